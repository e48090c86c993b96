"""POST /users with an Idempotency-Key: one request creates one user."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem
from tests.integration.held_locks import wait_for_waiter
from tests.support.bundle import Bundle, Reply, deployed, event, turn
from tests.support.servers.databases import Database
from tests.support.waiting import PATIENCE_SECONDS

CREATE = "POST /users"
KEY = {"idempotency-key": "k"}
ANN = {"email": "a@b", "profile": {"first_name": "Ann"}}
CALL = "select body, replayed, etag from robot_brain_api.create_user('local', %s, '{}', null, 'k')"
_EXPIRE = "update robot_brain.idempotency_keys set expires_at = now() - interval '1 second'"


def expire(database: Database) -> None:
    """Let all keys expire, as a day would."""
    with database.admin() as admin:
        assert admin.execute(_EXPIRE).rowcount == 1


def users(database: Database) -> int:
    """Return how many users are stored."""
    with database.admin() as admin:
        row = admin.execute("select count(*) from robot_brain.users").fetchone()
    assert row is not None
    return int(row[0])


def test_a_creation_sent_again_with_its_key_gets_the_first_answer_and_no_tag(
    bundle: Bundle, database: Database
) -> None:
    request = event("edit_user_create")
    first = bundle.call("edit_user", request)
    assert bundle.user("PATCH", first.json["id"], {"profile": {"first_name": "An"}}).status == 200
    again = bundle.call("edit_user", request)
    assert (first.status, again.status, again.body) == (201, 201, first.body)
    assert_documented(CREATE, again)
    assert (set(first.headers), set(again.headers)) == (
        {"content-type", "etag"},
        {"content-type", "idempotent-replayed"},
    )
    assert users(database) == 1


def test_the_order_of_members_does_not_change_a_creation_and_another_body_does(
    bundle: Bundle, database: Database
) -> None:
    first = bundle.create_user('{"email": "a@b", "profile": {"first_name": "A", "last_name": "B"}}', KEY)
    moved = '{"profile": {"last_name": "B", "first_name": "A"}, "email": "a@b"}'
    assert bundle.create_user(moved, KEY).body == first.body
    for body in ({}, {"email": "a@b"}, {"email": "A@b", "profile": {"first_name": "A", "last_name": "B"}}):
        reply = bundle.create_user(body, KEY)
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert_documented(CREATE, reply)
        assert (reply.json["title"], reply.json["user_id"]) == ("Idempotency key reused", first.json["id"])
        assert "errors" not in reply.json
    assert users(database) == 1


def test_a_key_of_a_write_is_refused_by_a_creation_and_the_reverse(bundle: Bundle) -> None:
    assert bundle.write("s", turn(), {"idempotency-key": "of a write"}).status == 201
    reply = bundle.create_user(ANN, {"idempotency-key": "of a write"})
    assert_problem(reply, 422, bundle.context.aws_request_id)
    assert_documented(CREATE, reply)
    assert (reply.json["session_id"], reply.json["seq"]) == ("s", 1)

    user_id = bundle.create_user(ANN, KEY).json["id"]
    reply = bundle.write("s", turn(), KEY)
    assert_problem(reply, 422, bundle.context.aws_request_id)
    assert_documented("POST /sessions/{session_id}/messages", reply)
    assert reply.json["user_id"] == user_id
    assert bundle.read("s").json["session"]["message_count"] == 1
    assert bundle.users().json["users"][0]["id"] == user_id


def test_a_key_of_a_creation_is_forgotten_after_a_day(bundle: Bundle, database: Database) -> None:
    first = bundle.create_user({}, KEY)
    expire(database)
    second = bundle.create_user({}, KEY)
    assert second.status == 201
    assert second.json["id"] != first.json["id"]
    assert "idempotent-replayed" not in second.headers
    assert bundle.create_user({}, KEY).body == second.body
    expire(database)
    bundle.refresh()
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.idempotency_keys").fetchone() == (0,)


def test_a_key_of_an_erased_user_is_410_for_each_body_and_creates_no_user(bundle: Bundle, database: Database) -> None:
    created = bundle.create_user(ANN, KEY)
    assert bundle.user("DELETE", created.json["id"]).status == 204
    for body in (ANN, {}):
        reply = bundle.create_user(body, KEY)
        assert_problem(reply, 410, bundle.context.aws_request_id)
        assert_documented(CREATE, reply)
        assert reply.json["title"] == "Idempotency key erased"
    assert bundle.write("s", turn(), KEY).status == 410
    assert users(database) == 0
    with database.admin() as admin:
        kept = admin.execute("select response, length(fingerprint) from robot_brain.idempotency_keys").fetchall()
    assert kept == [("", 0)]


@pytest.mark.parametrize("later", ["a user", "a write"])
def test_the_erasure_of_a_user_leaves_the_answer_of_a_later_request_with_the_same_key(
    bundle: Bundle, database: Database, later: str
) -> None:
    old = bundle.create_user({}, KEY).json["id"]
    expire(database)

    def send() -> Reply:
        return bundle.create_user(ANN, KEY) if later == "a user" else bundle.write("s", turn(), KEY)

    first = send()
    assert first.status == 201
    assert bundle.user("DELETE", old).status == 204
    again = send()
    assert (again.status, again.body) == (201, first.body)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_key_of_one_tenant_is_unknown_to_another(database: Database) -> None:
    ids = set()
    for tenant in ("one", "two"):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as functions:
            reply = functions.create_user(ANN, KEY)
            assert "idempotent-replayed" not in reply.headers
            ids.add(reply.json["id"])
    assert len(ids) == users(database) == 2


def test_two_creations_with_one_key_at_once_make_one_user(database: Database) -> None:
    with database.app() as one, database.app() as other, ThreadPoolExecutor(1) as threads:
        with one.transaction():
            first = one.execute(CALL, ["x"]).fetchone()
            second = threads.submit(other.execute, CALL, ["y"])
            wait_for_waiter(one)
        again = second.result(PATIENCE_SECONDS).fetchone()
    assert first is not None
    assert again == (first[0], True, None)
    assert json.loads(first[0])["id"] == "x"
    assert users(database) == 1
