"""The layer's own retries of POST /users make one user, and it repeats other changes only if that is safe."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from robot_brain.database import call
from tests.integration.edge import assert_problem
from tests.integration.held_locks import wait_for_waiter
from tests.integration.test_connection_silence import PATIENT, PATIENT_MILLISECONDS, relayed
from tests.support.bundle import Bundle, Reply
from tests.support.log_lines import logged
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid
from tests.support.waiting import PATIENCE_SECONDS

CREATE = "select body, replayed, etag from robot_brain_api.create_user('local', 'x', %s, %s, %s)"
ANN = {"email": "ann@b", "profile": {"first_name": "Ann"}}
BOB = {"email": "bob@b", "profile": {"first_name": "Bob"}}
KEYS = [None, "k"]
CHANGES = {"PUT": {"profile": {"first_name": "An"}}, "PATCH": {"email": None}, "DELETE": None}
keys = pytest.mark.parametrize("key", KEYS, ids=["no key", "key"])
changes = pytest.mark.parametrize("method", CHANGES)


@pytest.fixture
def served(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Bundle, FaultRelay]]:
    """The functions behind a relay, and the user ann. The layer waits only briefly for an answer."""
    with relayed(database, PATIENT) as (functions, relay):
        functions.context.milliseconds = PATIENT_MILLISECONDS
        assert functions.user("PUT", "ann", ANN).status == 201
        monkeypatch.setattr(call, "_LONGEST_ANSWER", 1.0)
        yield functions, relay


def create(connection: psycopg.Connection, key: str | None = None) -> tuple[Any, ...]:
    """Make one attempt of the creation of the user x."""
    row = connection.execute(CREATE, [json.dumps(BOB), "bob@b", key]).fetchone()
    assert row is not None
    return row


def ids(functions: Bundle) -> list[str]:
    """Return the ids of all users but ann."""
    return [user["id"] for user in functions.users().json["users"] if user["id"] != "ann"]


def change(functions: Bundle, method: str, if_match: str | None) -> Reply:
    """Send a change of the user ann."""
    return functions.user(method, "ann", CHANGES[method], {"if-match": if_match} if if_match else {})


@keys
@pytest.mark.parametrize("answers_only", [False, True], ids=["the request was lost", "the answer was lost"])
def test_an_unanswered_creation_is_repeated_and_makes_one_user(
    served: tuple[Bundle, FaultRelay], key: str | None, answers_only: bool
) -> None:
    functions, relay = served
    with logged() as lines:
        relay.silence_open(answers_only=answers_only)
        reply = functions.create_user(BOB, {"idempotency-key": key} if key else {})
        line = lines()[-1]
    assert reply.status == 201
    assert line["Retries"]
    # The client sent one request, so the answer is no replay. After a lost answer the tag may have changed.
    assert "idempotent-replayed" not in reply.headers
    assert ("etag" in reply.headers) == (not answers_only)
    assert ids(functions) == [reply.json["id"]]
    assert functions.user("GET", reply.json["id"]).body == reply.body


def test_an_unanswered_creation_whose_email_was_taken_is_504(served: tuple[Bundle, FaultRelay]) -> None:
    """The refusal of the retry does not say what the first attempt did."""
    functions, relay = served
    relay.silence_open()
    assert_problem(functions.create_user(ANN), 504, functions.context.aws_request_id)
    assert ids(functions) == []


@keys
def test_a_retry_of_a_creation_waits_for_the_attempt_that_still_runs(database: Database, key: str | None) -> None:
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        with one.transaction():
            body, replayed, etag = create(one, key)
            again = threads.submit(create, other, key)
            wait_for_waiter(one)
        assert again.result(PATIENCE_SECONDS) == (body, True, None)
    assert not replayed
    assert etag is not None


@keys
def test_a_retry_of_a_creation_that_was_rolled_back_creates_the_user(database: Database, key: str | None) -> None:
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        one.execute("begin")
        create(one, key)
        again = threads.submit(create, other, key)
        wait_for_waiter(one)
        one.execute("rollback")
        body, replayed, etag = again.result(PATIENCE_SECONDS)
    assert (json.loads(body)["id"], replayed) == ("x", False)
    assert etag is not None


def test_a_retry_without_a_key_gets_the_user_as_it_is_now(bundle: Bundle, database: Database) -> None:
    with database.app() as connection:
        create(connection)
        changed = bundle.user("PATCH", "x", {"email": None, "profile": {"last_name": "Lee"}})
        assert create(connection) == (changed.body, True, None)
    assert bundle.user("GET", "x").headers["etag"] == changed.headers["etag"]


@keys
def test_an_attempt_that_arrives_after_the_erasure_of_its_user_creates_no_user(
    bundle: Bundle, database: Database, key: str | None
) -> None:
    with database.app() as connection:
        create(connection, key)
        assert bundle.user("DELETE", "x").status == 204
        for _ in range(2):
            with pytest.raises(psycopg.Error) as raised:
                create(connection, key)
            # An attempt with a key finds the key, whose answer is erased.
            assert raised.value.sqlstate == ("RB410" if key else "RB409")
    assert ids(bundle) == []
    # Another request has an id of its own.
    assert bundle.create_user(BOB).status == 201


def test_an_attempt_that_arrives_while_its_user_is_erased_creates_no_user(bundle: Bundle, database: Database) -> None:
    with database.app() as connection, database.admin() as admin:
        create(connection)
        admin.execute(
            "insert into robot_brain.sessions (tenant_id, id, user_id, created_at, last_active, active_hour,"
            " message_count, response_length, answer_bytes)"
            " select 'local', 'many ' || n, 'x', now(), now(), now(), 0, 0, 0 from generate_series(1, 150) n"
        )
        state = admin.execute("select state from robot_brain_api.erase_user('local', 'x')").fetchone()
        assert state == ("erasing",)
        with pytest.raises(psycopg.Error) as raised:
            create(connection)
        assert raised.value.sqlstate == "RB429"
    assert ids(bundle) == []


def test_an_attempt_that_waits_for_an_erasure_creates_no_user(bundle: Bundle, database: Database) -> None:
    with database.app() as connection, database.app() as other, ThreadPoolExecutor(1) as threads:
        create(connection)
        with other.transaction():
            other.execute("select state from robot_brain_api.erase_user('local', 'x')")
            late = threads.submit(create, connection)
            wait_for_waiter(other)
        with pytest.raises(psycopg.Error) as raised:
            late.result(PATIENCE_SECONDS)
    assert raised.value.sqlstate == "RB409"
    assert ids(bundle) == []


def test_a_creation_whose_answer_was_lost_and_whose_user_was_erased_since_is_504(
    served: tuple[Bundle, FaultRelay], database: Database
) -> None:
    functions, relay = served

    def erase_then_accept() -> None:
        with database.admin() as admin:
            wait_for_pid(admin, "select 1 from robot_brain.users where id <> 'ann'", ())
            admin.execute("select robot_brain_api.erase_user('local', id) from robot_brain.users where id <> 'ann'")
        relay.restore()

    relay.lose_answers()
    relay.refuse()  # no retry succeeds before the erasure
    with ThreadPoolExecutor(1) as threads:
        erased = threads.submit(erase_then_accept)
        reply = functions.create_user(BOB)
        erased.result(PATIENCE_SECONDS)
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert ids(functions) == []


@changes
@pytest.mark.parametrize("lost", ["request", "answer"])
def test_an_unanswered_change_of_a_user_without_a_tag_is_504_after_one_attempt(
    served: tuple[Bundle, FaultRelay], method: str, lost: str
) -> None:
    functions, relay = served
    before = functions.user("GET", "ann")
    with logged() as lines:
        relay.silence_open(answers_only=lost == "answer")
        reply = change(functions, method, None)
        line = lines()[-1]
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert (line["error"], line["attempts"], line.get("Retries")) == ("DeadlineExceededError", 1, None)
    relay.restore()
    if lost == "request":
        assert functions.user("GET", "ann").body == before.body


@changes
def test_an_unanswered_change_of_a_user_with_a_tag_is_repeated(served: tuple[Bundle, FaultRelay], method: str) -> None:
    functions, relay = served
    tag = functions.user("GET", "ann").headers["etag"]
    with logged() as lines:
        relay.silence_open()
        reply = change(functions, method, tag)
        line = lines()[-1]
    assert reply.status == (204 if method == "DELETE" else 200)
    assert line["Retries"]


@changes
def test_a_change_of_a_user_with_a_tag_whose_answer_is_lost_is_504_and_done_once(
    served: tuple[Bundle, FaultRelay], method: str
) -> None:
    functions, relay = served
    first = functions.user("GET", "ann")
    relay.lose_answers()
    assert_problem(change(functions, method, first.headers["etag"]), 504, functions.context.aws_request_id)
    assert functions.user("GET", "ann").headers.get("etag") != first.headers["etag"]
