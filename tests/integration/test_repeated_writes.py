"""The layer's retries of a write without a key: the turns are written once, whichever attempt arrives first."""

import json
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.support.plans import touched
from tests.support.servers.databases import Database
from tests.support.waiting import PATIENCE_SECONDS

WRITE = "select body, replayed from robot_brain_api.write_message('local', %s, %s, %s, %s, null, %s, %s)"
BATCH = [{"robot_personality": "p", "user_message": f"{n}", "robot_response": "", "metadata": {}} for n in range(100)]
INTERACTION = {"robot_id": "r", "interaction_type": "x", "duration_ms": 1, "success": True}
ALL = "select (select count(*) from robot_brain.conversations), (select count(*) from robot_brain.robot_interactions)"

sessions = pytest.mark.parametrize("known", [False, True], ids=["new session", "known session"])


def write(
    connection: psycopg.Connection,
    first_id: uuid.UUID,
    *,
    repeated: bool,
    turns: Sequence[object] = BATCH[:1],
    user_metadata: object = None,
    if_match: str | None = None,
) -> tuple[str, bool]:
    """Write to the session s. Return the answer, and whether it is that of an earlier attempt."""
    metadata = None if user_metadata is None else json.dumps(user_metadata)
    row = connection.execute(WRITE, ("s", json.dumps(turns), metadata, if_match, first_id, repeated)).fetchone()
    assert row is not None
    return row[0], row[1]


def prepare(database: Database, known: bool) -> int:
    """Write a turn to the session s if it is to be `known`. Return how many turns it has."""
    if known:
        with database.app() as connection:
            write(connection, uuid.uuid4(), repeated=False)
    return int(known)


def stored(database: Database) -> tuple[int, int, int | None]:
    """Return the number of turns and of interactions, and the counter of the session."""
    with database.admin() as admin:
        row = admin.execute(f"{ALL}, (select message_count from robot_brain.sessions)").fetchone()
    assert row is not None
    return row[0], row[1], row[2]


@sessions
def test_a_retry_waits_for_the_attempt_that_still_runs_and_gives_its_answer(database: Database, known: bool) -> None:
    before, first_id = prepare(database, known), uuid.uuid4()
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        with one.transaction():
            first = write(one, first_id, repeated=False)
            again = threads.submit(write, other, first_id, repeated=True)
            wait_for_waiter(one)
        assert again.result(PATIENCE_SECONDS) == (first[0], True)
    assert stored(database) == (before + 1, 0, before + 1)


@sessions
def test_a_retry_of_a_rolled_back_attempt_writes(database: Database, known: bool) -> None:
    before, first_id = prepare(database, known), uuid.uuid4()
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        one.execute("begin")
        write(one, first_id, repeated=False)
        again = threads.submit(write, other, first_id, repeated=True)
        wait_for_waiter(one)
        one.execute("rollback")
        body, replayed = again.result(PATIENCE_SECONDS)
    assert not replayed
    assert json.loads(body)["messages"][0]["id"] == str(first_id)
    assert stored(database) == (before + 1, 0, before + 1)


@sessions
@pytest.mark.parametrize("running", [False, True], ids=["written", "still running"])
def test_a_first_attempt_that_arrives_after_its_retry_writes_nothing(
    database: Database, known: bool, running: bool
) -> None:
    before, first_id = prepare(database, known), uuid.uuid4()
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        with one.transaction():
            body, replayed = write(one, first_id, repeated=True, user_metadata={"a": 1})
            if running:
                late = threads.submit(write, other, first_id, repeated=False, user_metadata={"a": 1})
                wait_for_waiter(one)
        if not running:
            late = threads.submit(write, other, first_id, repeated=False, user_metadata={"a": 1})
        with pytest.raises(psycopg.Error) as raised:
            late.result(PATIENCE_SECONDS)
        assert raised.value.sqlstate == "RB409"
        assert not replayed
        # Later writes succeed, and a later retry still finds the turn.
        write(other, uuid.uuid4(), repeated=False)
        assert write(other, first_id, repeated=True, user_metadata={"a": 1}) == (body, True)
    assert stored(database) == (before + 2, 0, before + 2)


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_retry_gives_exactly_the_first_answer(database: Database, size: int) -> None:
    turns = [{**one, "interaction": INTERACTION} for one in BATCH[:size]]
    first_id = uuid.uuid4()
    with database.app() as connection:
        write(connection, uuid.uuid4(), repeated=False)
        first = write(connection, first_id, repeated=False, turns=turns, user_metadata={"a": 1}, if_match="1")
        write(connection, uuid.uuid4(), repeated=False, turns=BATCH[:3], user_metadata={"a": 2})
        for _ in range(2):
            again = write(connection, first_id, repeated=True, turns=turns, user_metadata={"a": 1}, if_match="1")
            assert again == (first[0], True)
        row = connection.execute(
            "select body from robot_brain_api.read_session('local', 's', 1, null, null, null, '{}')"
        )
        assert json.loads(next(row)[0])["session"]["user_metadata"] == {"a": 2}
    assert json.loads(first[0])["message_count"] == 1 + size
    assert stored(database) == (size + 4, size, size + 4)


def test_a_retry_finds_a_turn_whose_time_is_ahead_of_the_clock(database: Database) -> None:
    prepare(database, known=True)
    with database.admin() as admin:
        admin.execute("update robot_brain.sessions set last_active = now() + interval '40 days'")
    first_id = uuid.uuid4()
    with database.app() as connection:
        first = write(connection, first_id, repeated=False, turns=BATCH[:2])
        # In the same microsecond, because the clock is behind.
        write(connection, uuid.uuid4(), repeated=False)
        assert write(connection, first_id, repeated=True, turns=BATCH[:2]) == (first[0], True)
    assert stored(database) == (4, 0, 4)


# Moves all turns two hours back, as if the clock had jumped ahead after their write.
JUMP = """
with turns as (update robot_brain.conversations set created_at = created_at - interval '2 hours')
update robot_brain.sessions set created_at = created_at - interval '2 hours',
  last_active = last_active - interval '2 hours'
"""


def test_a_retry_finds_its_turn_after_the_clock_jumped_ahead_by_hours(database: Database) -> None:
    first_id = uuid.uuid4()
    with database.app() as connection, database.admin() as admin:
        body, _ = write(connection, first_id, repeated=False)
        admin.execute(JUMP)
        again, replayed = write(connection, first_id, repeated=True)
    assert replayed
    assert [one["seq"] for one in json.loads(again)["messages"]] == [one["seq"] for one in json.loads(body)["messages"]]
    assert stored(database) == (1, 0, 1)


def test_a_first_attempt_that_arrives_hours_after_its_retry_writes_nothing(database: Database) -> None:
    first_id = uuid.uuid4()
    with database.app() as connection, database.admin() as admin:
        write(connection, first_id, repeated=True)
        admin.execute(JUMP)
        for number in range(3):
            write(connection, uuid.uuid4(), repeated=number > 0)
        with pytest.raises(psycopg.Error) as raised:
            write(connection, first_id, repeated=False)
    assert raised.value.sqlstate == "RB409"
    assert stored(database) == (4, 0, 4)


def test_a_retry_that_finds_no_turn_scans_only_the_month(database: Database) -> None:
    prepare(database, known=True)
    with database.admin() as admin:
        months = admin.execute(
            "select distinct 'conversations_' || to_char((now() - past) at time zone 'UTC', 'YYYY_MM')"
            " from (values (interval '0'), ('1 hour')) p (past)"
        ).fetchall()
        call = "select robot_brain_api.write_message('local', 's', %s, null, null, null, %s, true)"
        for _ in range(8):
            scanned = touched(admin, call, (json.dumps(BATCH[:1]), uuid.uuid4()))
            assert scanned.keys() <= {name for (name,) in months}


def test_a_retry_finds_its_turn_among_many_by_the_index(database: Database) -> None:
    with database.admin() as admin:
        admin.execute(
            "insert into robot_brain.conversations (tenant_id, session_id, seq, created_at,"
            " robot_personality, user_message, robot_response)"
            " select 'local', 's' || n % 40, n / 40 + 1, now(), 'barista', 'q', repeat('a', 200)"
            " from generate_series(0, 19999) n"
        )
        admin.execute(
            "insert into robot_brain.sessions (tenant_id, id, created_at, last_active, active_hour, message_count,"
            " response_length, answer_bytes)"
            " select 'local', 's' || n, now(), now(), now(), 500, 9, 9 from generate_series(0, 39) n"
        )
        admin.execute("vacuum analyze robot_brain.conversations")
        row = admin.execute("select id from robot_brain.conversations where session_id = 's7' and seq = 3").fetchone()
        assert row is not None
    # A new connection, because the server adds up the scans of all transactions of a connection.
    with database.admin() as admin:
        for first_id in (row[0], uuid.uuid4()):
            scanned = touched(admin, "select robot_brain.answer_of('local', 's7', %s, 1)", (first_id,))
            assert scanned
            assert all(sequential == 0 for _, sequential in scanned.values()), scanned
