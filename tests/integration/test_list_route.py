"""GET /sessions through the handler."""

import re

from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, turn

CURSOR = re.compile(r"[\x21-\x7e]{1,1000}")


def test_the_most_recently_active_session_comes_first_and_a_walk_finds_each_once(bundle: Bundle) -> None:
    for name in "abcde":
        assert bundle.write(name, turn()).status == 201
    assert bundle.write("b", turn()).status == 201
    walked: list[str] = []
    page = bundle.sessions(limit=2)
    while True:
        assert page.status == 200
        assert page.headers["cache-control"] == "private, no-cache"
        assert "etag" not in page.headers
        walked += [session["id"] for session in page.json["sessions"]]
        cursor = page.json["page"]["cursor"]
        if cursor is None:
            break
        assert CURSOR.fullmatch(cursor)
        page = bundle.sessions(limit=2, cursor=cursor)
    assert walked == ["b", "e", "d", "c", "a"]


def test_a_session_in_the_list_is_the_session_of_a_read(bundle: Bundle) -> None:
    bundle.write("s", turn(user_metadata={"a": {"b": 1}}))
    bundle.patch("s", {"user_id": "ü"})
    bundle.patch("empty", {})
    listed = bundle.sessions().json
    assert listed["page"] == {"cursor": None}
    by_id = {session["id"]: session for session in listed["sessions"]}
    assert by_id == {name: bundle.read(name).json["session"] for name in ("s", "empty")}


def test_a_list_of_one_user_holds_no_session_of_another(bundle: Bundle) -> None:
    for name, user in (("a", "Ada +&"), ("b", "Bo"), ("c", "Ada +&"), ("d", None)):
        bundle.write(name, turn())
        bundle.patch(name, {"user_id": user})
    found = bundle.sessions(user_id="Ada +&", limit=1).json
    assert [session["id"] for session in found["sessions"]] == ["c"]
    after = bundle.sessions(user_id="Ada +&", limit=1, cursor=found["page"]["cursor"]).json
    assert [session["id"] for session in after["sessions"]] == ["a"]
    assert bundle.sessions(user_id="nobody").json == {"sessions": [], "page": {"cursor": None}}


def test_a_preview_is_the_beginning_of_the_last_turn(bundle: Bundle) -> None:
    bundle.write("s", turn(1))
    bundle.write("s", turn(user_message="é" * 300, robot_response="\U0001f916" * 200))
    bundle.patch("empty", {})
    by_id = {session["id"]: session for session in bundle.sessions(preview="true").json["sessions"]}
    assert by_id["s"]["preview"] == {"seq": 2, "user_message": "é" * 200, "robot_response": "\U0001f916" * 200}
    assert "preview" not in by_id["empty"]
    assert all("preview" not in session for session in bundle.sessions(preview="false").json["sessions"])
    bundle.remove("s", 1)
    (one,) = (session for session in bundle.sessions(preview="true").json["sessions"] if session["id"] == "s")
    assert one["preview"] == {"seq": 1, "user_message": "question 1", "robot_response": "answer 1"}


def test_a_cursor_is_refused_with_another_filter(bundle: Bundle) -> None:
    for name in "ab":
        bundle.write(name, turn())
        bundle.patch(name, {"user_id": "u"})
    cursor = bundle.sessions(limit=1, user_id="u").json["page"]["cursor"]
    for reply in (
        bundle.sessions(cursor=cursor),
        bundle.sessions(cursor=cursor, user_id="v"),
        bundle.sessions(cursor="x"),
    ):
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]
