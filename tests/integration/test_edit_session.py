"""PATCH and DELETE of a session, and DELETE of its turns, through the handler."""

import re

import pytest

from robot_brain import limits
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, event, turn
from tests.support.log_lines import logged
from tests.support.marks import without_pooler
from tests.support.servers.databases import APP, Database

TAG = re.compile(r'"[0-9]+\.[0-9a-f]+"')


def write(functions: Bundle, count: int, session_id: str = "s") -> str:
    """Write `count` turns and return the tag of the session."""
    reply = functions.write(session_id, {"messages": [turn(number) for number in range(1, count + 1)]})
    assert reply.status == 201
    return reply.headers["etag"]


def test_a_patch_merges_user_metadata_and_answers_with_the_session(bundle: Bundle) -> None:
    tag = write(bundle, 1)
    assert bundle.patch("s", {"user_metadata": {"name": "Ada", "likes": {"milk": "oat", "tea": True}}}).status == 200
    reply = bundle.patch("s", {"user_metadata": {"likes": {"tea": None}, "table": 4}, "user_id": "guest-7"})
    assert reply.status == 200
    session = reply.json["session"]
    assert session["user_metadata"] == {"name": "Ada", "likes": {"milk": "oat"}, "table": 4}
    assert session["user_id"] == "guest-7"
    read = bundle.read("s")
    assert read.json["session"] == session
    assert read.headers["etag"] == reply.headers["etag"] != tag


def test_a_patch_of_an_unknown_session_creates_it_without_a_turn(bundle: Bundle) -> None:
    reply = bundle.patch("new", {}, {"if-match": '"0"'})
    assert reply.status == 200
    session = reply.json["session"]
    assert (session["message_count"], session["last_seq"], session["user_metadata"]) == (0, 0, {})
    assert session["last_active"] == session["created_at"]
    assert "user_id" not in session
    assert TAG.fullmatch(reply.headers["etag"])
    assert bundle.read("new").json["messages"] == []


def test_a_patch_that_changes_nothing_leaves_the_tag(bundle: Bundle) -> None:
    first = bundle.patch("s", {"user_metadata": {"a": 1}, "user_id": "u"})
    again = bundle.patch("s", {"user_metadata": {"a": 1, "b": None}, "user_id": "u"})
    assert again.headers["etag"] == first.headers["etag"]
    cleared = bundle.patch("s", {"user_id": None})
    assert "user_id" not in cleared.json["session"]
    assert cleared.headers["etag"] != first.headers["etag"]


def test_a_removal_keeps_the_session_and_its_counter(bundle: Bundle) -> None:
    write(bundle, 5)
    reply = bundle.remove("s", 2)
    assert (reply.status, reply.json) == (200, {"session_id": "s", "removed": 3, "message_count": 2, "last_seq": 5})
    read = bundle.read("s")
    assert [message["seq"] for message in read.json["messages"]] == [1, 2]
    assert read.headers["etag"] == reply.headers["etag"]
    assert bundle.remove("s", 2).json["removed"] == 0
    assert bundle.write("s", turn()).json["messages"][0]["seq"] == 6
    assert bundle.remove("s", 0).json == {"session_id": "s", "removed": 3, "message_count": 0, "last_seq": 6}


def test_an_erased_session_is_unknown(bundle: Bundle) -> None:
    write(bundle, 3)
    reply = bundle.erase("s")
    assert (reply.status, reply.body, dict(reply.headers)) == (204, None, {})
    assert_problem(bundle.read("s"), 404, bundle.context.aws_request_id)
    for again in (bundle.erase("s"), bundle.remove("s", 0), bundle.replace("s", 1, event_body())):
        assert_problem(again, 404, bundle.context.aws_request_id)
        assert again.json["title"] == "Session not found"


def event_body() -> str:
    """Return the body of events/write_message_replace.json."""
    return str(event("write_message_replace")["body"])


def test_a_change_needs_the_state_that_if_match_names(bundle: Bundle) -> None:
    old = write(bundle, 2)
    tag = bundle.patch("s", {"user_metadata": {"a": 1}}).headers["etag"]
    for stale in (old, '"1"', '"0"'):
        for reply in (
            bundle.patch("s", {}, {"if-match": stale}),
            bundle.remove("s", 0, {"if-match": stale}),
            bundle.erase("s", {"if-match": stale}),
            bundle.replace("s", 1, event_body(), {"if-match": stale}),
        ):
            assert_problem(reply, 412, bundle.context.aws_request_id)
            assert (reply.json["last_seq"], reply.headers["etag"]) == (2, tag)
    assert bundle.remove("s", 1, {"if-match": tag}).status == 200
    assert bundle.erase("s", {"if-match": '"2"'}).status == 204
    unknown = bundle.patch("s", {}, {"if-match": tag})
    assert_problem(unknown, 412, bundle.context.aws_request_id)
    assert (unknown.json["last_seq"], unknown.headers.get("etag")) == (0, None)


def test_an_idempotency_key_is_ignored_by_changes(bundle: Bundle) -> None:
    write(bundle, 3)
    key = {"idempotency-key": "k,k"}
    assert bundle.patch("s", {}, key).status == 200
    assert bundle.replace("s", 1, event_body(), key).status == 200
    assert bundle.remove("s", 1, key).status == 200
    assert bundle.erase("s", key).status == 204


def test_a_key_of_an_erased_session_is_gone(bundle: Bundle) -> None:
    assert bundle.write("s", turn(), {"idempotency-key": "k"}).status == 201
    assert bundle.erase("s").status == 204
    for body in (turn(), turn(2)):
        reply = bundle.write("s", body, {"idempotency-key": "k"})
        assert_problem(reply, 410, bundle.context.aws_request_id)
        assert reply.json["title"] == "Idempotency key erased"


LARGE = 12_000


def write_large(functions: Bundle) -> None:
    """Write a session of LARGE turns, which one step cannot erase."""
    for _ in range(LARGE // limits.MAX_TURNS):
        assert functions.write("s", {"messages": [turn()] * limits.MAX_TURNS}).status == 201


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_large_session_is_erased_step_by_step_in_one_request(bundle: Bundle, database: Database) -> None:
    write_large(bundle)
    with logged() as lines:
        assert bundle.erase("s").status == 204
        assert lines()[-1]["erasure_steps"] > 2
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.conversations").fetchone() == (0,)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_an_erasure_without_time_is_202_and_a_repetition_goes_on(bundle: Bundle, database: Database) -> None:
    write_large(bundle)
    assert bundle.write("s", turn(), {"idempotency-key": "k"}).status == 201
    # 2 of these 2.4 seconds are for the answer.
    bundle.context.milliseconds = 2400
    reply = bundle.erase("s")
    assert (reply.status, reply.body, dict(reply.headers)) == (202, None, {"retry-after": "1"})

    assert bundle.read("s").status == 404
    assert bundle.remove("s", 0).status == 404
    assert bundle.replace("s", 1, event_body()).status == 404
    assert bundle.sessions().json["sessions"] == []
    for refused in (bundle.write("s", turn()), bundle.patch("s", {})):
        assert_problem(refused, 409, bundle.context.aws_request_id)
        assert (refused.json["title"], refused.headers["retry-after"]) == ("Session being erased", "1")
    assert bundle.write("s", turn(), {"idempotency-key": "k"}).status == 410

    bundle.context.milliseconds = 28_000
    assert bundle.erase("s").status == 204
    assert bundle.erase("s").status == 404
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.conversations").fetchone() == (0,)
    assert bundle.write("s", turn()).json["last_seq"] == 1


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_refresh_goes_on_with_an_erasure_that_no_request_finished(bundle: Bundle, database: Database) -> None:
    write_large(bundle)
    bundle.context.milliseconds = 2400
    assert bundle.erase("s").status == 202
    bundle.context.milliseconds = 28_000
    erased: list[int] = []
    while not erased or erased[-1]:
        with logged() as lines:
            erased.append(bundle.refresh()["turns_erased"])
            assert lines()[-1]["turns_erased"] == erased[-1]
    assert sum(erased) <= LARGE
    assert len(erased) > 2
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.conversations").fetchone() == (0,)


@without_pooler
def test_an_erasure_whose_later_step_fails_is_202_and_the_log_has_the_reason(
    bundle: Bundle, database: Database
) -> None:
    write_large(bundle)
    with database.admin() as admin:
        admin.execute(f"alter role {APP} in database {database.name} set lock_timeout = '200ms'".encode())
        admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename like 'robot_brain_app%'")
    with database.admin() as other, logged() as lines:
        other.autocommit = False
        # A step deletes the oldest turns that are left, so the first step does not meet this one.
        other.execute("select from robot_brain.conversations where seq = %s for update", (LARGE,))
        reply = bundle.erase("s")
        line = lines()[-1]
        other.rollback()
    assert (reply.status, reply.headers["retry-after"]) == (202, "1")
    assert (line["error"], line["status"]) == ("ConflictError", 202)
    assert bundle.erase("s").status == 204


def test_a_log_line_of_a_change_has_counts_and_no_content(bundle: Bundle) -> None:
    secret = "mocha-" * 3
    body = {"user_message": secret, "robot_response": secret, "items": [{"a": secret}, {}]}
    with logged() as lines:
        bundle.write("s", {"robot_personality": "barista", **body})
        bundle.replace("s", 1, body | {"metadata": {"b": secret}})
        bundle.patch("s", {"user_metadata": {"c": secret}, "user_id": secret})
        bundle.sessions(user_id=secret)
        written, replaced, *_ = lines()
    assert (written["turns"], written["items"], replaced["items"], replaced["seq"]) == (1, 2, 2, 1)
    assert secret not in str(lines())
