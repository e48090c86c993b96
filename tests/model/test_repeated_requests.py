"""The same request again: with its key in each state of the session, and without a key."""

import pytest

from tests.model.request import ERASE, GET, PATCH, POST, PUT, REMOVE, Request, send
from tests.model.states import erasing, stored, turn
from tests.model.store import Json
from tests.model.tables import answers
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database

KEY = "order-4711"
FIRST = {"messages": [turn("1"), turn("2")]}
# The key was used for FIRST in the session `s`. Then something happened, and the key comes again with this request.
# `first` is the first answer again, with Idempotent-Replayed.
TABLE = """
then                  | same      | if-match  | other body | other session | no turn
----------------------+-----------+-----------+------------+---------------+--------
nothing               | 201 first | 201 first | 422        | 422           | 422
more turns            | 201 first | 201 first | 422        | 422           | 422
turns edited          | 201 first | 201 first | 422        | 422           | 422
turns removed         | 201 first | 201 first | 422        | 422           | 422
erased                | 410       | 410       | 410        | 410           | 422
being erased          | 410       | 410       | 410        | 410           | 422
erased, then namesake | 410       | 410       | 410        | 410           | 422
"""
REQUESTS = {
    "same": Request(POST, "s", body=FIRST, key=KEY),
    "if-match": Request(POST, "s", body=FIRST, key=KEY, if_match='"99"'),
    "other body": Request(POST, "s", body=turn("other"), key=KEY),
    "other session": Request(POST, "other", body=FIRST, key=KEY),
    "no turn": Request(POST, "s", body={"messages": []}, key=KEY),
}
ROWS = answers(TABLE)


@pytest.mark.parametrize(("then", "name", "answer"), ROWS)
def test_the_table_says_what_a_key_answers_that_comes_again(
    one_database: Database, then: str, name: str, answer: str
) -> None:
    tenant = f"key-{ROWS.index((then, name, answer))}"
    with (
        deployed({"DATABASE_URL": one_database.app_url, "TENANT_ID": tenant}),
        one_database.admin() as admin,
    ):
        first = send(REQUESTS["same"])
        assert first.status == 201
        happen(one_database, tenant, then)
        before = stored(admin, tenant)
        reply = send(REQUESTS[name])
        assert stored(admin, tenant) == before
    status, *marks = answer.split()
    assert reply.status == int(status), reply.body
    assert "etag" not in reply.headers
    assert reply.headers.get("idempotent-replayed") == ("true" if marks else None)
    if marks:
        assert reply.json == first.json
    if reply.status == 422 and name != "no turn":
        assert (reply.json["session_id"], reply.json["seq"]) == ("s", 1)


def happen(database: Database, tenant: str, then: str) -> None:
    """Change the session as a row of TABLE says."""
    if then == "more turns":
        assert send(Request(POST, "s", body=turn("more"))).status == 201
    elif then == "turns edited":
        edited = {"user_message": "", "robot_response": ""}
        assert send(Request(PUT, "s", 1, body=edited)).status == 200
    elif then == "turns removed":
        assert send(Request(REMOVE, "s", query={"after": 0})).json["removed"] == 2
    elif then == "being erased":
        erasing(database, tenant, "s")
    elif then.startswith("erased"):
        assert send(Request(ERASE, "s")).status == 204
        if then.endswith("namesake"):
            assert send(Request(POST, "s", body=FIRST)).json["last_seq"] == 2


def test_a_key_of_an_erased_session_is_410_also_for_an_unfinished_erasure_of_another_body(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "t"}):
        send(REQUESTS["same"])
        erasing(database, "t", "s")
        # A new key, and no key, have to wait.
        for key in (None, "another"):
            reply = send(Request(POST, "s", body=FIRST, key=key))
            assert (reply.status, "retry-after" in reply.headers) == (409, True)
        assert send(REQUESTS["other body"]).status == 410
        assert send(Request(ERASE, "s")).status == 204
        # A refused key was not remembered.
        assert send(Request(POST, "s", body=FIRST, key="another")).status == 201


def test_a_write_without_a_key_is_written_each_time_it_is_sent(bundle: Bundle) -> None:
    request = Request(POST, "s", body=FIRST)
    assert [send(request).json["last_seq"] for _ in range(3)] == [2, 4, 6]


def test_a_replacement_sent_again_changes_neither_the_turn_nor_the_tag(bundle: Bundle) -> None:
    posted = send(Request(POST, "s", body=turn("1", items=[{"a": 1.0, "b": 2}], metadata={"m": 1})))
    same = {**turn("1", items=[{"b": 2, "a": 1}], metadata={"m": 1.0})}
    del same["robot_personality"]
    unchanged = send(Request(PUT, "s", 1, body=same))
    assert unchanged.json == {"session_id": "s", "seq": 1, "updated_at": None}
    assert unchanged.headers["etag"] == posted.headers["etag"]
    request = Request(PUT, "s", 1, body={"user_message": "x", "robot_response": ""})
    first, again = send(request), send(request)
    assert first.headers["etag"] != posted.headers["etag"]
    assert (again.status, again.json, again.headers["etag"]) == (200, first.json, first.headers["etag"])
    (shown,) = send(Request(GET, "s")).json["messages"]
    assert shown["updated_at"] == first.json["updated_at"]
    assert "items" not in shown
    assert shown["metadata"] == {}


def test_an_interaction_is_added_once_and_never_replaced(bundle: Bundle) -> None:
    plain = turn("1")
    interaction = plain.pop("interaction")
    tags = [send(Request(POST, "s", body=plain)).headers["etag"]]
    sent = {"user_message": plain["user_message"], "robot_response": plain["robot_response"]}
    for body in (sent, {**sent, "interaction": interaction}, {**sent, "interaction": interaction}, sent):
        reply = send(Request(PUT, "s", 1, body=body))
        assert reply.status == 200
        tags.append(reply.headers["etag"])
    assert tags[0] == tags[1] != tags[2] == tags[3] == tags[4]
    for change in ({"duration_ms": 2}, {"success": False}, {"robot_id": "x"}, {"metadata": {"a": 1}}):
        reply = send(Request(PUT, "s", 1, body={**sent, "interaction": {**interaction, **change}}))
        assert (reply.status, reply.json["errors"][0]["loc"]) == (422, ["body", "interaction"]), change
    assert send(Request(GET, "s")).headers["etag"] == tags[-1]
    assert bundle.stats().json["totals"]["interactions"] == 1


def test_a_removal_an_erasure_and_a_patch_sent_again_change_nothing(bundle: Bundle) -> None:
    send(Request(POST, "s", body=FIRST))
    removal = Request(REMOVE, "s", query={"after": 1})
    first, again = send(removal), send(removal)
    assert first.json == {"session_id": "s", "removed": 1, "message_count": 1, "last_seq": 2}
    assert again.json == {"session_id": "s", "removed": 0, "message_count": 1, "last_seq": 2}
    assert again.headers["etag"] == first.headers["etag"]
    patch = Request(PATCH, "s", body={"user_metadata": {"a": {"b": 1}}, "user_id": "guest-7"})
    first, again = send(patch), send(patch)
    assert (again.json, again.headers["etag"]) == (first.json, first.headers["etag"])
    nothing: list[Json] = [{}, {"user_metadata": {}}, {"user_metadata": {"x": None}}, {"user_id": "guest-7"}]
    for body in nothing:
        assert send(Request(PATCH, "s", body=body)).headers["etag"] == first.headers["etag"]
    assert [send(Request(ERASE, "s")).status for _ in range(2)] == [204, 404]


def test_two_patches_may_both_meet_a_session_without_a_turn(bundle: Bundle) -> None:
    for value in (1, 2):
        assert send(Request(PATCH, "s", body={"user_metadata": {"a": value}}, if_match='"0"')).status == 200
    assert send(Request(POST, "s", body=FIRST, if_match='"0"')).status == 201
    assert send(Request(PATCH, "s", body={}, if_match='"0"')).status == 412


def test_a_namesake_starts_at_seq_1_and_no_old_tag_matches_it(bundle: Bundle) -> None:
    tags = [send(Request(POST, "s", body=turn("old"))).headers["etag"]]
    tags.append(send(Request(PUT, "s", 1, body={"user_message": "x", "robot_response": "x"})).headers["etag"])
    assert send(Request(ERASE, "s")).status == 204
    written = send(Request(POST, "s", body=turn("new"), if_match='"0"'))
    assert (written.status, written.json["last_seq"], written.json["message_count"]) == (201, 1, 1)
    for tag in tags:
        assert tag != written.headers["etag"]
        for request in (
            Request(POST, "s", body=turn("x"), if_match=tag),
            Request(PUT, "s", 1, body={"user_message": "y", "robot_response": "y"}, if_match=tag),
            Request(REMOVE, "s", query={"after": 0}, if_match=tag),
            Request(PATCH, "s", body={"user_metadata": {"a": 1}}, if_match=tag),
            Request(ERASE, "s", if_match=tag),
        ):
            reply = send(request)
            assert (reply.status, reply.headers["etag"]) == (412, written.headers["etag"])
        assert send(Request(GET, "s", if_none_match=tag)).status == 200
    shown = send(Request(GET, "s")).json
    assert [message["user_message"] for message in shown["messages"]] == ["question new"]
    assert shown["session"]["user_metadata"] == {}
