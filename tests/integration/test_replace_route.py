"""PUT of a turn, and turns with items, through the handler."""

import json
from typing import Any

from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, Json, event, turn
from tests.support.servers.databases import Database

CALL = {"interaction_type": "order", "duration_ms": 5, "success": True}
ITEMS: list[Json] = [
    {"type": "function_call", "arguments": '{"a": "\\u0001"}', "call_id": "1"},
    {"type": "reasoning", "content": [None, {"deep": [[1.5, -0.25, 10**20, True]]}], "": {}},
    {},
]


def body(**fields: Any) -> Json:
    """Return a replacement."""
    return {"user_message": "question", "robot_response": "answer", **fields}


def stored(functions: Bundle, seq: int = 1) -> Json:
    """Return a turn of the session `s`, as it reads back."""
    (found,) = functions.read("s", limit=1, after=seq - 1).json["messages"]
    return dict(found)


def test_items_read_back_equal_and_absent_items_stay_absent(bundle: Bundle) -> None:
    assert bundle.write("s", {"messages": [turn(items=ITEMS), turn(), turn(items=[])]}).status == 201
    assert [stored(bundle, seq).get("items") for seq in (1, 2, 3)] == [ITEMS, None, []]
    assert "items" not in stored(bundle, 2)
    assert "updated_at" not in stored(bundle)


def test_a_half_turn_is_completed_as_the_events_do(bundle: Bundle) -> None:
    assert bundle.call("write_message", event("write_message_half")).status == 201
    before = bundle.read("demo")
    reply = bundle.call("write_message", event("write_message_complete"))
    assert reply.status == 200
    read = bundle.read("demo")
    assert read.headers["etag"] == reply.headers["etag"] != before.headers["etag"]
    (kept,), (completed,) = before.json["messages"], read.json["messages"]
    sent = json.loads(event("write_message_complete")["body"])
    sent.pop("interaction", None)
    assert completed == kept | {"metadata": {}} | sent | {"updated_at": reply.json["updated_at"]}
    assert reply.json == {"session_id": "demo", "seq": 1, "updated_at": completed["updated_at"]}


def test_a_replacement_leaves_what_it_does_not_name_absent(bundle: Bundle) -> None:
    assert bundle.write("s", turn(items=ITEMS, metadata={"a": 1}, interaction=CALL)).status == 201
    first = bundle.replace("s", 1, body())
    assert first.status == 200
    found = stored(bundle)
    assert "items" not in found
    assert (found["metadata"], found["user_message"], found["robot_personality"]) == ({}, "question", "barista")
    again = bundle.replace("s", 1, body(metadata={}))
    assert (again.json, again.headers["etag"]) == (first.json, first.headers["etag"])


def test_a_replacement_that_equals_the_turn_changes_nothing(bundle: Bundle) -> None:
    sent = turn(items=ITEMS, metadata={"b": 1, "a": 2}, interaction=CALL)
    tag = bundle.write("s", sent).headers["etag"]
    del sent["robot_personality"]
    reply = bundle.replace("s", 1, sent)
    assert (reply.status, reply.headers["etag"]) == (200, tag)
    assert reply.json == {"session_id": "s", "seq": 1, "updated_at": None}


def test_a_turn_keeps_its_interaction_and_refuses_another(bundle: Bundle, database: Database) -> None:
    assert bundle.write("s", {"messages": [turn(), turn(2, interaction=CALL)]}).status == 201
    assert bundle.replace("s", 1, body(interaction=CALL | {"metadata": {"a": 1}})).status == 200
    assert bundle.replace("s", 2, body()).status == 200
    for seq, other in ((1, CALL), (2, CALL | {"success": False}), (2, CALL | {"metadata": {"a": 1}})):
        reply = bundle.replace("s", seq, body(interaction=other))
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [
            (["body", "interaction"], "interaction_differs")
        ]
    with database.admin() as admin:
        kept = admin.execute(
            "select seq, success, metadata from robot_brain.robot_interactions order by seq"
        ).fetchall()
    assert kept == [(1, True, {"a": 1}), (2, True, {})]


def test_a_seq_without_a_turn_is_not_found(bundle: Bundle) -> None:
    assert_problem(bundle.replace("s", 1, body()), 404, bundle.context.aws_request_id)
    assert bundle.replace("s", 1, body()).json["title"] == "Session not found"
    bundle.write("s", {"messages": [turn(1), turn(2)]})
    bundle.remove("s", 1)
    for seq in (2, 3, 2**31 - 1):
        reply = bundle.replace("s", seq, body(), {"if-match": '"77"'})
        assert_problem(reply, 404, bundle.context.aws_request_id)
        assert reply.json["title"] == "Turn not found"
    for wrong in (0, 2**31, "x", "-1"):
        reply = bundle.replace("s", wrong, body())
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert reply.json["errors"][0]["loc"] == ["path", "seq"]


def larger_as_stored() -> list[Json]:
    """Return items of 200 KiB of JSON, which PostgreSQL stores with a space after each comma."""
    return [{"a": [0] * 100_000}]


def test_items_that_are_too_large_only_as_stored_are_refused_at_their_place(bundle: Bundle) -> None:
    bundle.write("s", turn())
    large = larger_as_stored()
    for reply, place in (
        (bundle.write("s", json.dumps(turn(items=large), separators=(",", ":"))), ["body", "items"]),
        (bundle.write("s", {"messages": [turn(), turn(items=large)]}), ["body", "messages", 1, "items"]),
        (bundle.write("s", {"messages": [turn(items=large)]}), ["body", "messages", 0, "items"]),
        (bundle.replace("s", 1, body(items=large)), ["body", "items"]),
    ):
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(place, "items_too_large")]
    assert bundle.read("s").json["session"]["message_count"] == 1
