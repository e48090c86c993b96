"""Requests for users again: with a key in each state of what the key made, and changes without one."""

import pytest

from tests.model.request import ERASE_USER, GET_USER, LIST_USERS, PATCH_USER, POST, POST_USER, PUT_USER, Request, send
from tests.model.states import stored, turn
from tests.model.states_of_users import HASH, begin_erasure
from tests.model.tables import answers
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database

KEY = "order-4711"
FIRST = {"email": "ann@example.com", "profile": {"first_name": "Ann"}}
# The key made a user, or a write of the session `s`. Then something happened, and the key comes again. `first` is the
# first answer again, with Idempotent-Replayed.
TABLE = """
then                   | same      | other body | as a write
-----------------------+-----------+------------+-----------
nothing                | 201 first | 422        | 422
changed                | 201 first | 422        | 422
being erased           | 410       | 410        | 410
erased                 | 410       | 410        | 410
"""
TABLE_OF_WRITES = """
then                   | as a user
-----------------------+----------
nothing                | 422
being erased           | 410
erased                 | 410
"""
REQUESTS = {
    "same": Request(POST_USER, body=FIRST, key=KEY),
    "other body": Request(POST_USER, body={}, key=KEY),
    "as a write": Request(POST, "s", body=turn("1"), key=KEY),
    "as a user": Request(POST_USER, body=FIRST, key=KEY),
}
ROWS = answers(TABLE)
ROWS_OF_WRITES = answers(TABLE_OF_WRITES)
_OWN: str = "update robot_brain.sessions set user_id = 'ann' where tenant_id = %s"
_HASH = "select password_hash from robot_brain.users"


@pytest.mark.parametrize(("then", "name", "answer"), ROWS)
def test_the_table_says_what_a_key_answers_that_made_a_user(
    one_database: Database, then: str, name: str, answer: str
) -> None:
    tenant = f"key-{ROWS.index((then, name, answer))}"
    with deployed({"DATABASE_URL": one_database.app_url, "TENANT_ID": tenant}), one_database.admin() as admin:
        first = send(REQUESTS["same"])
        user_id = first.json["id"]
        if then == "changed":
            assert send(Request(PUT_USER, user_id=user_id, body={})).status == 200
        elif then == "being erased":
            begin_erasure(one_database, tenant, user_id)
        elif then == "erased":
            assert send(Request(ERASE_USER, user_id=user_id)).status == 204
        before = stored(admin, tenant)
        reply = send(REQUESTS[name])
        assert stored(admin, tenant) == before
        status, *marks = answer.split()
        assert reply.status == int(status), reply.body
        assert ("etag" in reply.headers, reply.headers.get("idempotent-replayed")) == (False, "true" if marks else None)
        if marks:
            assert reply.json == first.json
        if reply.status == 422:
            assert (reply.json["user_id"], "session_id" in reply.json) == (user_id, False)


@pytest.mark.parametrize(("then", "name", "answer"), ROWS_OF_WRITES)
def test_the_table_says_what_a_key_of_a_write_answers_to_a_user(
    one_database: Database, then: str, name: str, answer: str
) -> None:
    tenant = f"write-{ROWS_OF_WRITES.index((then, name, answer))}"
    with deployed({"DATABASE_URL": one_database.app_url, "TENANT_ID": tenant}), one_database.admin() as admin:
        assert send(REQUESTS["as a write"]).status == 201
        admin.execute(_OWN.encode(), [tenant])
        if then == "being erased":
            begin_erasure(one_database, tenant, "ann")
        elif then == "erased":
            assert send(Request(ERASE_USER, user_id="ann")).status == 204
        before = stored(admin, tenant)
        reply = send(REQUESTS[name])
        assert stored(admin, tenant) == before
        assert reply.status == int(answer), reply.body
        if reply.status == 422:
            assert (reply.json["session_id"], reply.json["seq"], "user_id" in reply.json) == ("s", 1, False)


def test_a_user_without_a_key_is_made_each_time_it_is_sent(bundle: Bundle) -> None:
    ids = {send(Request(POST_USER, body={})).json["id"] for _ in range(3)}
    assert {user["id"] for user in send(Request(LIST_USERS)).json["users"]} == ids
    assert len(ids) == 3


def test_a_change_of_a_user_sent_again_changes_nothing(bundle: Bundle) -> None:
    for route, body in ((PUT_USER, FIRST), (PATCH_USER, {"profile": {"first_name": None}}), (PUT_USER, {})):
        first, again = (send(Request(route, user_id="ann", body=body)) for _ in range(2))
        assert (again.json, again.headers["etag"]) == (first.json, first.headers["etag"])
    assert [send(Request(ERASE_USER, user_id="ann")).status for _ in range(2)] == [204, 404]


def test_only_a_patch_with_null_removes_the_password_hash(bundle: Bundle, database: Database) -> None:
    tags = [send(Request(PUT_USER, user_id="ann", body={"password_hash": HASH})).headers["etag"]]
    with database.admin() as admin:
        for route, body, kept in (
            (PUT_USER, {"email": "ann@example.com"}, HASH),
            (PUT_USER, {}, HASH),
            (PATCH_USER, {"profile": {"last_name": "Lee"}}, HASH),
            (PATCH_USER, {"password_hash": None}, None),
        ):
            tags.append(send(Request(route, user_id="ann", body=body)).headers["etag"])
            assert admin.execute(_HASH).fetchone() == (kept,)
    assert len(set(tags)) == len(tags)
    assert "hash" not in str(send(Request(GET_USER, user_id="ann")).body)


def test_an_e_mail_stays_the_users_while_other_members_change(bundle: Bundle) -> None:
    assert send(Request(PUT_USER, user_id="ann", body=FIRST)).status == 201
    for body in ({"profile": {"last_name": "Lee"}}, {"password_hash": HASH}, {"email": "ANN@example.com"}, {}):
        assert send(Request(PATCH_USER, user_id="ann", body=body)).status == 200
        found = send(Request(LIST_USERS, query={"email": "Ann@Example.com"})).json["users"]
        assert [user["id"] for user in found] == ["ann"]
        taken = send(Request(PUT_USER, user_id="ben", body=FIRST))
        assert (taken.status, taken.json["errors"][0]["type"]) == (422, "email_taken")
    assert send(Request(PATCH_USER, user_id="ann", body={"email": None})).status == 200
    assert send(Request(PUT_USER, user_id="ben", body=FIRST)).status == 201
