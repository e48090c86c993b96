"""A real data set, written to `make run` through HTTP and read back: nothing is lost, doubled or changed."""

import gzip
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from tests.e2e.local_stack import Stack, running
from tests.support.waiting import PATIENCE_SECONDS

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "conversations.jsonl.gz"
CLIENTS = 8
PAGE = 2

Conversation = dict[str, Any]


@pytest.fixture(scope="module")
def conversations() -> list[Conversation]:
    """Return 2,500 dialogs of customers and baristas from Taskmaster-4 (Google LLC, CC BY 4.0)."""
    if not DATA.exists():
        pytest.skip(f"the data set is not beside the project: {DATA.name}")
    with gzip.open(DATA, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
def stack(folder: Path) -> Iterator[Stack]:
    """Run a local stack with a new database."""
    with running(folder) as started:
        yield started


class Client:
    """A client of the API with one keep-alive connection."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE_SECONDS)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def call(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, dict[str, str], Any]:
        """Send a request. Return the status, the headers in lower case, and the parsed body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        data = None if body is None else json.dumps(body, ensure_ascii=False).encode()
        self._connection.request(method, path, data, {"content-type": "application/json", **named})
        response = self._connection.getresponse()
        text = response.read()
        return response.status, {k.lower(): v for k, v in response.getheaders()}, json.loads(text) if text else None


def by_clients(url: str, items: list[Conversation], work: Callable[[Client, Conversation], None]) -> None:
    """Call `work` with each item, from CLIENTS clients at the same time. Raise the first failure."""
    failures: list[BaseException] = []
    pending = iter(items)
    lock = threading.Lock()

    def run() -> None:
        try:
            with closing(Client(url)) as client:
                while not failures:
                    with lock:
                        item = next(pending, None)
                    if item is None:
                        return
                    work(client, item)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def key_of(conversation: Conversation, number: int) -> str:
    """Return the idempotency key of a conversation's turn."""
    return f"{conversation['session_id']}/{number}"


def write_all(url: str, conversations: list[Conversation]) -> Counter[str]:
    """Write every turn with its own key. Return the number of new answers and of replays."""
    outcomes: Counter[str] = Counter()

    def write(client: Client, conversation: Conversation) -> None:
        path = f"/sessions/{quote(conversation['session_id'], safe='')}/messages"
        for number, turn in enumerate(conversation["turns"], start=1):
            body = {"robot_personality": conversation["robot_personality"], **turn}
            status, headers, answer = client.call("POST", path, body, idempotency_key=key_of(conversation, number))
            assert status == 201, answer
            assert answer["messages"][0]["seq"] == number
            outcomes["replayed" if headers.get("idempotent-replayed") == "true" else "new"] += 1

    by_clients(url, conversations, write)
    return outcomes


def read_all(url: str, conversations: list[Conversation]) -> int:
    """Read every session page by page, and compare it with the data set. Return the number of turns."""
    turns: list[int] = []

    def read(client: Client, conversation: Conversation) -> None:
        path = f"/sessions/{quote(conversation['session_id'], safe='')}"
        found: list[Any] = []
        before: int | None = None
        while True:
            status, _, page = client.call("GET", f"{path}?limit={PAGE}" + (f"&before={before}" if before else ""))
            assert status == 200, page
            assert page["session"]["message_count"] == len(conversation["turns"])
            found[:0] = page["messages"]
            before = page["page"]["before"]
            if before is None:
                break
        assert [message["seq"] for message in found] == list(range(1, len(conversation["turns"]) + 1))
        assert [
            {name: message[name] for name in ("user_message", "robot_response", "metadata")} for message in found
        ] == conversation["turns"]
        assert {message["robot_personality"] for message in found} == {conversation["robot_personality"]}
        times = [message["created_at"] for message in found]
        assert times == sorted(times)
        turns.append(len(found))

    by_clients(url, conversations, read)
    return sum(turns)


def test_every_conversation_reads_back_unchanged_and_a_replay_adds_nothing(
    stack: Stack, conversations: list[Conversation]
) -> None:
    total = sum(len(conversation["turns"]) for conversation in conversations)
    assert (len(conversations), total) == (2500, 4666)

    assert write_all(stack.url, conversations) == {"new": total}
    assert read_all(stack.url, conversations) == total
    assert write_all(stack.url, conversations) == {"replayed": total}
    assert read_all(stack.url, conversations) == total

    stack.invoke("StatsFunction", "events/schedule.json")
    with closing(Client(stack.url)) as client:
        _, _, figures = client.call("GET", "/stats")
    assert figures["totals"] == {"sessions": len(conversations), "messages": total, "interactions": 0}
    characters = sum(len(turn["robot_response"]) for one in conversations for turn in one["turns"])
    personalities = Counter(one["robot_personality"] for one in conversations for _ in one["turns"])
    assert {one["robot_personality"]: one["messages"] for one in figures["personalities"]} == personalities
    assert figures["personalities"][0]["avg_response_length"] == round(characters / total, 2)
    assert sum(day["messages"] for day in figures["daily"]) == total
    longest = sorted((len(one["turns"]) for one in conversations), reverse=True)[:10]
    assert [one["message_count"] for one in figures["top_sessions"]] == longest
