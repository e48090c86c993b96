"""Two changes of users at the same time: the second waits for the first, and neither is lost."""

import json
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.support.bundle import Bundle
from tests.support.servers.databases import Database
from tests.support.waiting import PATIENCE_SECONDS

SAVE = "select body, etag, created from robot_brain_api.save_user('local', %s, %s, %s)"
PATCH = "select body, etag, created from robot_brain_api.save_user('local', %s, %s, null, true)"
CREATE = "select body, replayed, etag from robot_brain_api.create_user('local', %s, %s, %s)"


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_of_two_replacements_of_a_new_user_at_once_one_creates_it(database: Database, end: str) -> None:
    names = [json.dumps({"profile": {"first_name": name}}) for name in ("one", "two")]
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        one.execute("begin")
        first = one.execute(SAVE, ["ann", names[0], None]).fetchone()
        running = threads.submit(other.execute, SAVE, ["ann", names[1], None])
        wait_for_waiter(one)
        one.execute(end.encode())
        second = running.result(PATIENCE_SECONDS).fetchone()
    assert first is not None
    assert second is not None
    assert (first[2], second[2]) == (True, end == "rollback")
    assert json.loads(second[0])["profile"] == {"first_name": "two"}
    assert first[1] != second[1]


def test_two_patches_of_a_user_at_once_are_both_kept(bundle: Bundle, database: Database) -> None:
    tag = bundle.user("PUT", "ann", {}).headers["etag"]
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        with one.transaction():
            one.execute(PATCH, ["ann", json.dumps({"profile": {"first_name": "Ann"}})])
            running = threads.submit(other.execute, PATCH, ["ann", json.dumps({"profile": {"last_name": "Lee"}})])
            wait_for_waiter(one)
        row = running.result(PATIENCE_SECONDS).fetchone()
    assert row is not None
    assert json.loads(row[0])["profile"] == {"first_name": "Ann", "last_name": "Lee"}
    read = bundle.user("GET", "ann")
    assert (read.headers["etag"], tag) == (row[1], f'"{int(row[1].strip(chr(34)), 16) - 2:x}"')


def test_of_two_changes_with_one_tag_at_once_the_second_is_412(bundle: Bundle, database: Database) -> None:
    version = bundle.user("PUT", "ann", {}).headers["etag"].strip('"')
    statement = PATCH.replace("true)", "true, %s)").encode()
    patch = json.dumps({"profile": {"first_name": "Ann"}})
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        with one.transaction():
            one.execute(statement, ["ann", patch, version])
            running = threads.submit(other.execute, statement, ["ann", patch, version])
            wait_for_waiter(one)
        with pytest.raises(psycopg.Error) as raised:
            running.result(PATIENCE_SECONDS)
    assert raised.value.sqlstate == "RB412"
    assert json.loads(raised.value.diag.message_detail or "") == {"etag": bundle.user("GET", "ann").headers["etag"]}


@pytest.mark.parametrize("statement", [SAVE, CREATE], ids=["save_user", "create_user"])
@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_of_two_writers_of_one_email_at_once_the_second_waits_and_succeeds_only_if_the_first_failed(
    database: Database, statement: str, end: str
) -> None:
    user = json.dumps({"email": "a@b"})
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        one.execute("begin")
        one.execute(statement.encode(), ["x", user, "a@b"])
        second = threads.submit(other.execute, statement.encode(), ["y", user, "a@b"])
        wait_for_waiter(one)
        one.execute(end.encode())
        if end == "rollback":
            row = second.result(PATIENCE_SECONDS).fetchone()
            assert row is not None
            assert json.loads(row[0])["id"] == "y"
        else:
            with pytest.raises(psycopg.Error) as raised:
                second.result(PATIENCE_SECONDS)
            assert raised.value.sqlstate == "RB425"
    with database.admin() as admin:
        ids = admin.execute("select id from robot_brain.users").fetchall()
    assert ids == [("y" if end == "rollback" else "x",)]


def test_two_users_that_take_each_others_email_at_once_end_without_500(database: Database) -> None:
    swap = "select body from robot_brain_api.save_user('local', %s, %s, %s, true)"
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        for name, connection in (("a", one), ("b", other)):
            connection.execute(SAVE, [name, json.dumps({"email": f"{name}@b"}), f"{name}@b"])
        one.execute("begin")
        one.execute(swap, ["a", json.dumps({"profile": {"first_name": "A"}}), None])
        # The other one has locked its row, and waits for the e-mail of a.
        taking = threads.submit(other.execute, swap, ["b", json.dumps({"email": "a@b"}), "a@b"])
        wait_for_waiter(one)
        states = []
        try:
            one.execute(swap, ["a", json.dumps({"email": "b@b"}), "b@b"])
            one.execute("commit")
        except psycopg.Error as error:
            states.append(error.sqlstate)
            one.execute("rollback")
        try:
            taking.result(PATIENCE_SECONDS)
        except psycopg.Error as error:
            states.append(error.sqlstate)
    # PostgreSQL ends one of the two deadlocked calls, and the layer retries it. The other one is refused or succeeds.
    assert set(states) <= {"40P01", "RB425"}
    assert states
    with database.admin() as admin:
        assert admin.execute("select count(distinct email_key) from robot_brain.users").fetchone() == (2,)
