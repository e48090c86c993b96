"""Every fault of the stand-in with every kind of request, on a fresh and on a reused connection. See docs/faults.md."""

import threading
import time
import uuid
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from robot_brain.database import condition as health
from robot_brain.database.connection import lazy_connection
from tests.faults.expectations import DEGRADED, SERVED, Cell, cells, word
from tests.faults.stage import SESSION, Stage
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.neon.faults import FAULTS, fault
from tests.support.servers.binaries import debian_libfaketime, skip_without

# Seconds. A request ends within Lambda's remaining time. Deep health always ends within three.
REMAINING = 3.0
REMAINING_FOR_HEALTH = 10.0
# For requests that must succeed. The time to start servers or to connect depends on the machine.
ENOUGH = 28.0
# For a busy machine. Without a deadline an attempt to connect would take ten seconds.
SLACK = 6.0
HUNG_AFTER = 60.0


class Seen(NamedTuple):
    """The answer to a request, and whether it came in time."""

    reply: Reply
    word: str
    in_time: bool
    seconds: float


class Request:
    """One request that can be sent again. A write has a key of its own."""

    def __init__(self, bundle: Bundle, operation: str) -> None:
        self._bundle = bundle
        self._operation = operation
        self.text = str(uuid.uuid4())

    def send(self, remaining: float = REMAINING) -> Seen:
        """Return the answer. If the request hangs, the test fails and the run continues."""
        within = min(remaining, health.LONGEST) if self._operation == "health" else remaining
        remaining = max(remaining, REMAINING_FOR_HEALTH) if self._operation == "health" else remaining
        self._bundle.context.milliseconds = int(remaining * 1000)
        replies: list[Reply] = []
        sender = threading.Thread(target=lambda: replies.append(self._answer()), daemon=True)
        started = time.monotonic()
        sender.start()
        sender.join(HUNG_AFTER)
        seconds = time.monotonic() - started
        assert not sender.is_alive(), f"{self._operation} hangs"
        assert replies, f"{self._operation} raised"
        return Seen(replies[0], word(self._operation, replies[0]), seconds <= within + SLACK, round(seconds, 2))

    def _answer(self) -> Reply:
        if self._operation == "write":
            return self._bundle.write(SESSION, turn(user_message=self.text), {"idempotency-key": self.text})
        if self._operation == "read":
            return self._bundle.read(SESSION, limit=1)
        return self._bundle.stats() if self._operation == "stats" else self._bundle.database_health()


@pytest.fixture
def bundle(stage: Stage) -> Iterator[Bundle]:
    """The four functions on the stand-in, in an execution environment of their own."""
    with deployed({"DATABASE_URL": stage.stand_in.url}) as functions:
        yield functions


def test_the_table_has_every_fault_and_no_other() -> None:
    assert list(dict.fromkeys(cell.fault for cell in cells())) == list(FAULTS)


@pytest.mark.parametrize("cell", cells(), ids=str)
def test_a_client_sees_what_the_table_says_and_the_next_request_succeeds(
    cell: Cell, stage: Stage, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    if cell.fault == "clock_step":
        skip_without(debian_libfaketime)
    if cell.connection == "reused":
        assert bundle.read(SESSION).status == 200
    holder = lazy_connection()
    request = Request(bundle, cell.operation)
    is_served = set(cell.words) <= {SERVED, DEGRADED}
    with fault(stage.stand_in, cell.fault), monkeypatch.context() as patched:
        if is_served:
            patched.setattr(health, "LONGEST", ENOUGH)
        during = request.send(ENOUGH if is_served else REMAINING)
    monkeypatch.setattr(health, "LONGEST", ENOUGH)
    after = request.send(ENOUGH)
    print("FAULT", cell, during, after)

    assert cell.allows(during.word), during
    assert during.in_time
    assert after.word in (SERVED, DEGRADED), after
    assert after.in_time
    assert lazy_connection() is holder
    if cell.operation == "write":
        assert stage.stored(request.text) == 1
        if during.word == SERVED:
            # The acknowledged write is the stored one.
            assert after.reply.headers["idempotent-replayed"] == "true"
            assert after.reply.json == during.reply.json


# Appended to the stand-in's URL. Only these are answered by 500, no fault of a server is.
WRONG_SETTINGS = ["sslmode=sideways", "port=many", "channel_binding=perhaps", "no_such_parameter=strange"]


@pytest.mark.parametrize("operation", ["write", "read", "stats", "health"])
@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_wrong_settings_are_answered_by_500(wrong: str, operation: str, stage: Stage) -> None:
    url = f"{stage.stand_in.url}&{wrong}"
    with deployed({"DATABASE_URL": url}) as functions:
        seen = Request(functions, operation).send()
    assert (seen.reply.status, seen.reply.json["title"]) == (500, "Misconfigured")
    assert wrong.partition("=")[2] not in (seen.reply.body or "")
