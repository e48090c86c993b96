"""The clients' process: `python -m tests.soak.clients HOST:PORT FOLDER SEED NUMBER ISSUER`, until its input ends.

The clients have a process of their own. So they and the front with the emulator do not wait for each other's Python.
"""

import sys
import threading
import time
from pathlib import Path

from local.issuer import read_key
from tests.soak.client import Client
from tests.soak.journal import Journal
from tests.soak.people import SHARED_PEOPLE
from tests.soak.person_client import PersonClient
from tests.soak.sessions import SHARED_SESSIONS, SharedNames
from tests.soak.tokens import Tokens

# Clients may retry for so long after the end, because the last fault may have come just before.
GIVE_UP_SECONDS = 30.0
# So many of the clients, the last ones, are clients of people.
PERSON_CLIENTS = 4


def names(number: int) -> list[str]:
    """Return the names of `number` clients. Their journals have the same names."""
    return [f"c{index:02}" for index in range(1, number + 1)]


def main(address: str, folder: Path, seed: str, number: int, issuer: str) -> int:
    """Run the clients. Return 1 if a client raised an error, which is a fault of this program."""
    stop = threading.Event()
    failed: list[str] = []
    clients: list[Client | PersonClient] = []
    threads = []
    sessions = SharedNames("soak-shared", SHARED_SESSIONS)
    # Every other person writes with a token of its own.
    people = SharedNames("soak-person", SHARED_PEOPLE)
    tokens = Tokens(read_key(folder), issuer)
    for place, name in enumerate(names(number), 1):
        journal = Journal(folder / f"{name}.jsonl")
        client: Client | PersonClient
        if place <= number - PERSON_CLIENTS:
            large = place == number - PERSON_CLIENTS
            client = Client(name, address, journal, seed, stop, sessions, tokens, large=large)
        else:
            client = PersonClient(name, address, journal, seed, stop, people, tokens, large=place == number)
        clients.append(client)
        threads.append(threading.Thread(target=_run, args=(client, failed), name=name))
    for thread in threads:
        thread.start()
    sys.stdin.read()
    for client in clients:
        client.asker.give_up_at = time.monotonic() + GIVE_UP_SECONDS
    stop.set()
    for thread in threads:
        thread.join()
    return 1 if failed else 0


def _run(client: Client | PersonClient, failed: list[str]) -> None:
    try:
        client.run()
    except BaseException:
        failed.append(threading.current_thread().name)
        raise


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5]))
