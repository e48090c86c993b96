"""The API with a database whose answers are lost now and then after their COMMIT, as when a network breaks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg

from tests.e2e.local_stack import open_folder, running
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import make_authority
from tests.support.servers.binaries import MissingBinaryError
from tests.support.servers.process import remove_folder, server_folder
from tests.support.servers.stand_in import neon_stand_in

# Between one lost answer and the next: this, and the time of so many new connections. A new connection takes several
# answers, which must come also on a busy machine.
_PAUSE_SECONDS = 0.15
_CONNECTIONS = 4


@dataclass
class LosingApi:
    """The address of the API, and the number of answers that its database has lost."""

    url: str
    lost: int = 0


@contextlib.contextmanager
def losing_api() -> Iterator[LosingApi | None]:
    """Run `make run` with the stand-in for Neon as its database. None without PostgreSQL and PgBouncer."""
    with contextlib.ExitStack() as stack:
        folder = server_folder()
        stack.callback(remove_folder, folder)
        folder.chmod(0o755)
        try:
            stand_in = stack.enter_context(neon_stand_in(make_authority(folder)))
        except MissingBinaryError as error:
            print(f"no answers of the database are lost: {error}", flush=True)
            yield None
            return
        state = stack.enter_context(open_folder())
        api = LosingApi(stack.enter_context(running(state / "state", DATABASE_URL=stand_in.url)).url)
        stack.enter_context(_losing(stand_in, api))
        yield api


@contextlib.contextmanager
def _losing(stand_in: StandIn, api: LosingApi) -> Iterator[None]:
    """Lose one answer after the other, each after a pause, until the end of the block."""
    ended = threading.Event()

    def lose() -> None:
        while not ended.is_set():
            began = time.monotonic()
            psycopg.connect(stand_in.url).close()
            if ended.wait(_PAUSE_SECONDS + _CONNECTIONS * (time.monotonic() - began)):
                return
            stand_in.relay.lose_answers()
            while stand_in.relay.to_come:
                if ended.wait(0.01):
                    return
            api.lost += 1

    thread = threading.Thread(target=lose, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10)
