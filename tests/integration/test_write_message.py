"""POST /sessions/{session_id}/messages against a real database."""

import re

import pytest

from tests.support.bundle import Bundle, deployed, event, turn
from tests.support.servers.databases import Database

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
TIME = re.compile(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9]\.[0-9]{6}Z")


def rows(database: Database, query: str) -> list[tuple[object, ...]]:
    """Run a query as the superuser, which sees every tenant."""
    with database.admin() as admin:
        return admin.execute(query.encode()).fetchall()


def test_a_turn_is_answered_with_its_id_seq_and_time(bundle: Bundle) -> None:
    reply = bundle.call("write_message", event("write_message"))
    assert reply.status == 201
    assert reply.headers["content-type"] == "application/json"
    assert "idempotent-replayed" not in reply.headers
    assert set(reply.json) == {"session_id", "message_count", "last_seq", "messages"}
    assert (reply.json["session_id"], reply.json["message_count"], reply.json["last_seq"]) == ("demo", 1, 1)
    (message,) = reply.json["messages"]
    assert set(message) == {"id", "seq", "created_at"}
    assert message["seq"] == 1
    assert UUID.fullmatch(message["id"])
    assert TIME.fullmatch(message["created_at"])


def test_the_turns_of_one_write_have_consecutive_seqs_and_one_time(bundle: Bundle) -> None:
    bundle.write("s", turn(1))
    reply = bundle.write("s", {"messages": [turn(2), turn(3), turn(4)]})
    assert reply.json["message_count"] == 4
    assert [message["seq"] for message in reply.json["messages"]] == [2, 3, 4]
    assert len({message["created_at"] for message in reply.json["messages"]}) == 1
    assert len({message["id"] for message in reply.json["messages"]}) == 3


def test_a_batch_of_one_hundred_turns_is_written(bundle: Bundle) -> None:
    reply = bundle.write("s", {"messages": [turn(number) for number in range(100)]})
    assert (reply.status, reply.json["message_count"]) == (201, 100)


def test_a_body_in_base64_is_read(bundle: Bundle) -> None:
    assert bundle.call("write_message", event("write_message_base64")).status == 201
    assert bundle.read("demo").json["messages"][0]["metadata"] == {"api_calls": ["get_menu_items", "add_order_item"]}


def test_user_metadata_is_a_merge_patch(bundle: Bundle) -> None:
    bundle.write("s", {**turn(), "user_metadata": {"a": {"x": 1, "z": 3}, "b": 1, "c": None}})
    bundle.write("s", turn())
    bundle.write("s", {"messages": [turn()], "user_metadata": {"a": {"y": 2, "z": None}, "d": [1]}})
    assert bundle.read("s").json["session"]["user_metadata"] == {"a": {"x": 1, "y": 2}, "b": 1, "d": [1]}


def test_an_interaction_without_a_robot_gets_the_personality_as_its_robot(bundle: Bundle, database: Database) -> None:
    bundle.call("write_message", event("write_message_batch"))
    bundle.write(
        "s", turn(interaction={"interaction_type": "x", "duration_ms": 0, "success": False, "robot_id": "robot-7"})
    )
    found = rows(
        database,
        "select session_id, seq, robot_id, interaction_type, duration_ms, success"
        " from robot_brain.robot_interactions order by session_id, seq",
    )
    assert found == [("demo", 2, "barista", "order", 840, True), ("s", 1, "robot-7", "x", 0, False)]


# If-Match


def test_if_match_writes_only_at_the_expected_seq(bundle: Bundle) -> None:
    assert bundle.call("write_message", event("write_message_if_match")).status == 201
    assert bundle.call("write_message", event("write_message_if_match")).status == 412
    assert bundle.write("demo-new", turn(), {"if-match": '"1"'}).status == 201
    stale = bundle.write("demo-new", turn(), {"if-match": '"1"'})
    assert (stale.status, stale.json["title"]) == (412, "Precondition failed")
    assert stale.json["last_seq"] == 2
    assert stale.headers["etag"] == bundle.read("demo-new").headers["etag"]
    assert bundle.read("demo-new").json["session"]["message_count"] == 2


def test_a_session_that_if_match_expects_is_not_created(bundle: Bundle) -> None:
    for tag in ('"3"', '"0.1f"', '"1.1f"'):
        refused = bundle.write("s", turn(), {"if-match": tag})
        assert (refused.status, refused.json["last_seq"]) == (412, 0)
        assert "etag" not in refused.headers
        assert bundle.read("s").status == 404


def test_if_match_takes_the_etag_of_a_read(bundle: Bundle) -> None:
    bundle.write("s", {**turn(), "user_metadata": {"a": 1}})
    etag = bundle.read("s").headers["etag"]
    assert bundle.write("s", turn(), {"if-match": etag}).status == 201


def test_if_match_with_a_whole_tag_matches_one_state_and_with_a_seq_any_version(bundle: Bundle) -> None:
    first = bundle.write("s", turn()).headers["etag"]
    with_metadata = bundle.write("s", {**turn(), "user_metadata": {"a": 1}}, {"if-match": first}).headers["etag"]
    stale = '"2.' + first.partition(".")[2]
    refused = bundle.write("s", {**turn(), "user_metadata": {"a": 2}}, {"if-match": stale})
    assert (refused.status, refused.json["last_seq"], refused.headers["etag"]) == (412, 2, with_metadata)
    assert bundle.write("s", turn(), {"if-match": with_metadata}).status == 201
    assert bundle.write("s", turn(), {"if-match": '"3"'}).status == 201


def test_a_write_returns_the_tag_of_its_session_and_a_replay_returns_no_tag(bundle: Bundle) -> None:
    sent = (turn(), {"idempotency-key": "k"})
    assert bundle.write("s", *sent).headers["etag"] == bundle.read("s").headers["etag"]
    bundle.write("s", turn())
    replay = bundle.write("s", *sent)
    assert replay.headers["idempotent-replayed"] == "true"
    assert "etag" not in replay.headers


# Tenants


def test_two_tenants_share_session_ids_and_keys_and_see_nothing_of_each_other(database: Database) -> None:
    for tenant in ("red", "blue"):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
            reply = bundle.write("s", turn(user_message=tenant), {"idempotency-key": "k"})
            assert (reply.status, reply.json["message_count"]) == (201, 1)
            assert "idempotent-replayed" not in reply.headers
    for tenant in ("red", "blue"):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
            assert [message["user_message"] for message in bundle.read("s").json["messages"]] == [tenant]
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "green"}) as bundle:
        assert bundle.read("s").status == 404


@pytest.mark.parametrize("name", ["x-tenant-id", "tenant-id", "x-robot-brain-tenant"])
def test_no_header_changes_the_tenant(bundle: Bundle, database: Database, name: str) -> None:
    bundle.write("s", turn(), {name: "other"})
    assert rows(database, "select distinct tenant_id from robot_brain.sessions") == [("local",)]
