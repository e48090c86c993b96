"""POST /sessions/{session_id}/messages with an Idempotency-Key, against a real database."""

import uuid
from collections.abc import Callable

import pytest

from tests.integration.test_write_message import rows
from tests.support.bundle import Bundle, event, turn
from tests.support.servers.databases import Database


def test_a_request_sent_again_with_its_key_gets_the_first_answer_again(bundle: Bundle, database: Database) -> None:
    request = event("write_message_idempotent")
    first = bundle.call("write_message", request)
    bundle.write("demo", turn(2))
    again = bundle.call("write_message", request)
    assert (first.status, again.status) == (201, 201)
    assert again.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert rows(database, "select count(*) from robot_brain.conversations") == [(2,)]


def test_a_replay_comes_before_if_match(bundle: Bundle) -> None:
    headers = {"idempotency-key": "k", "if-match": '"0"'}
    first = bundle.write("s", turn(), headers)
    again = bundle.write("s", turn(), headers)
    other = bundle.write("s", turn(), {"idempotency-key": "k", "if-match": '"77"'})
    assert first.status == again.status == other.status == 201
    assert first.body == again.body == other.body


def test_the_order_of_members_and_explicit_defaults_do_not_change_a_request(bundle: Bundle) -> None:
    key = {"idempotency-key": "k"}
    full = '{"robot_personality":"p","user_message":"u","robot_response":"r","metadata":{"b":1,"a":2}}'
    moved = '{"metadata":{"a":2,"b":1},"robot_response":"r","user_message":"u","robot_personality":"p"}'
    batch = f'{{"messages":[{moved}]}}'
    bodies = [bundle.write("s", text, key) for text in (full, moved, batch)]
    assert {reply.status for reply in bodies} == {201}
    assert len({reply.body for reply in bodies}) == 1
    bare = bundle.write("t", turn(), {"idempotency-key": "d"})
    assert bundle.write("t", turn(metadata={}), {"idempotency-key": "d"}).body == bare.body


@pytest.mark.parametrize(
    ("session_id", "body"),
    [
        ("other", turn()),
        ("s", turn(2)),
        ("s", {**turn(), "user_metadata": {}}),
        ("s", {"messages": [turn(), turn()]}),
        ("s", turn(interaction={"interaction_type": "x", "duration_ms": 1, "success": True})),
    ],
    ids=["another session", "another text", "user_metadata added", "one turn more", "an interaction added"],
)
def test_a_key_used_for_another_request_is_refused(
    bundle: Bundle, database: Database, session_id: str, body: object
) -> None:
    bundle.write("s", turn(), {"idempotency-key": "k"})
    reply = bundle.write(session_id, body, {"idempotency-key": "k"})
    assert reply.status == 422
    assert reply.json["title"] == "Idempotency key reused"
    assert (reply.json["session_id"], reply.json["seq"]) == ("s", 1)
    assert "etag" not in reply.headers
    counts = "select count(*), (select count(*) from robot_brain.sessions) from robot_brain.conversations"
    assert rows(database, counts) == [(1, 1)]


def test_a_key_of_a_refused_write_is_not_remembered(bundle: Bundle) -> None:
    failed = bundle.write("s", turn(), {"idempotency-key": "k", "if-match": '"5"'})
    written = bundle.write("s", turn(), {"idempotency-key": "k"})
    assert (failed.status, written.status) == (412, 201)
    assert "idempotent-replayed" not in written.headers


def test_a_reused_key_names_the_session_and_seq_of_its_first_write(bundle: Bundle) -> None:
    bundle.write("first", {"messages": [turn()] * 3})
    bundle.write("first", {"messages": [turn(), turn()]}, {"idempotency-key": "k"})
    reply = bundle.write("second", turn(), {"idempotency-key": "k"})
    assert (reply.status, reply.json["session_id"], reply.json["seq"]) == (422, "first", 4)


def test_a_key_is_stored_as_its_hash(bundle: Bundle, database: Database) -> None:
    bundle.write("s", turn(), {"idempotency-key": "card 4711"})
    kept = rows(database, "select key_hash = sha256('card 4711'), key_hash::text from robot_brain.idempotency_keys")
    assert [same for same, _ in kept] == [True]


def test_a_key_is_forgotten_after_24_hours_and_the_refresh_clears_it(bundle: Bundle, database: Database) -> None:
    for number in range(6):
        bundle.write("s", turn(number), {"idempotency-key": f"k{number}"})
    remembered = rows(
        database,
        "select distinct extract(epoch from expires_at - created_at)::integer from robot_brain.idempotency_keys k"
        " join robot_brain.conversations c on (k.response::jsonb #>> '{messages,0,id}')::uuid = c.id",
    )
    assert remembered == [(24 * 3600,)]
    with database.admin() as admin:
        admin.execute("update robot_brain.idempotency_keys set expires_at = now() - interval '1 second'")
    again = bundle.write("s", turn(5), {"idempotency-key": "k5"})
    assert "idempotent-replayed" not in again.headers
    bundle.write("s", turn(9), {"idempotency-key": "k9"})
    bundle.refresh()
    left = rows(database, "select count(*), bool_and(expires_at > now()) from robot_brain.idempotency_keys")
    assert left == [(2, True)]


def test_a_write_without_a_key_stores_no_key(bundle: Bundle, database: Database) -> None:
    bundle.write("s", turn())
    assert rows(database, "select count(*) from robot_brain.idempotency_keys") == [(0,)]


@pytest.mark.parametrize("digits", [str, lambda written: written.replace("-", "")], ids=["as answered", "bare"])
def test_a_client_may_use_the_id_of_a_turn_as_its_key(
    bundle: Bundle, database: Database, digits: Callable[[str], str]
) -> None:
    """The layer detects its own retries by this id, but never mistakes a client's key for a retry."""
    first = bundle.write("s", turn()).json["messages"][0]["id"]
    assert uuid.UUID(first).version == 4
    reply = bundle.write("s", turn(), {"idempotency-key": digits(first)})
    assert (reply.status, reply.json["message_count"]) == (201, 2)
    assert "idempotent-replayed" not in reply.headers
    assert rows(database, "select count(distinct id) from robot_brain.conversations") == [(2,)]
