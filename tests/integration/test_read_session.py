"""GET /sessions/{session_id} against a real database."""

import json
import re
from typing import Any

import pytest

from robot_brain.limits import MAX_ANSWER_BYTES
from tests.support.bundle import Bundle, event, turn
from tests.support.marks import without_pooler


@pytest.fixture
def seven(bundle: Bundle) -> Bundle:
    """The functions on a database with a session `s` of seven turns."""
    for number in range(1, 8):
        assert bundle.write("s", turn(number)).status == 201
    return bundle


def seqs(reply_json: dict[str, list[dict[str, int]]]) -> list[int]:
    """Return the seqs of a page."""
    return [message["seq"] for message in reply_json["messages"]]


def test_a_turn_that_was_written_is_read_back(bundle: Bundle) -> None:
    sent = turn(1, user_message='é "q" \\ \n\t\x01 \U0001f916 </script>', metadata={"a": [1, 1.5, None, {"b": "ü"}]})
    written = bundle.write("ü ñ+&=", {**sent, "user_metadata": {"k": "v"}}).json
    page = bundle.read("ü ñ+&=").json
    assert set(page) == {"session", "messages", "page"}
    created = written["messages"][0]["created_at"]
    assert page["session"] == {
        "id": "ü ñ+&=",
        "created_at": created,
        "last_active": created,
        "message_count": 1,
        "last_seq": 1,
        "user_metadata": {"k": "v"},
    }
    assert page["messages"] == [{**written["messages"][0], **sent}]
    assert page["page"] == {"before": None, "after": 1}


def test_absent_metadata_reads_as_an_empty_object(bundle: Bundle) -> None:
    bundle.write("s", turn())
    page = bundle.read("s").json
    assert (page["messages"][0]["metadata"], page["session"]["user_metadata"]) == ({}, {})


def test_an_unknown_session_is_not_found(bundle: Bundle) -> None:
    reply = bundle.call("read_session", event("read_session"))
    assert (reply.status, reply.json["title"]) == (404, "Session not found")


@without_pooler
@pytest.mark.parametrize(
    ("query", "expected", "before", "after"),
    [
        ({}, [1, 2, 3, 4, 5, 6, 7], None, 7),
        ({"limit": 3}, [5, 6, 7], 5, 7),
        ({"limit": 3, "before": 5}, [2, 3, 4], 2, 4),
        ({"limit": 3, "before": 2}, [1], None, 1),
        ({"limit": 200, "before": 2**31 - 1}, [1, 2, 3, 4, 5, 6, 7], None, 7),
        ({"before": 1}, [], None, None),
        ({"limit": 3, "after": 0}, [1, 2, 3], None, 3),
        ({"limit": 3, "after": 3}, [4, 5, 6], 4, 6),
        ({"after": 6}, [7], 7, 7),
        ({"after": 7}, [], None, 7),
        ({"after": 2**31 - 1}, [], None, 2**31 - 1),
    ],
)
def test_a_page_holds_the_turns_that_its_parameters_select(
    seven: Bundle, query: dict[str, Any], expected: list[int], before: int | None, after: int | None
) -> None:
    page = seven.read("s", **query).json
    assert seqs(page) == expected
    assert page["page"] == {"before": before, "after": after}


def test_without_parameters_a_page_holds_the_50_newest_turns(bundle: Bundle) -> None:
    bundle.write("s", {"messages": [turn(number) for number in range(60)]})
    assert seqs(bundle.read("s").json) == list(range(11, 61))


@without_pooler
@pytest.mark.parametrize(
    ("max_chars", "expected"),
    # A turn has 10 + 8 code points.
    [(1, [7]), (18, [7]), (35, [7]), (36, [6, 7]), (125, [2, 3, 4, 5, 6, 7]), (126, [1, 2, 3, 4, 5, 6, 7])],
)
def test_max_chars_takes_whole_turns_from_the_newest(seven: Bundle, max_chars: int, expected: list[int]) -> None:
    assert seqs(seven.read("s", max_chars=max_chars).json) == expected


def test_max_chars_counts_code_points_and_stays_within_limit_and_before(bundle: Bundle) -> None:
    bundle.write("s", {"messages": [turn(n, user_message="\U0001f916" * 10, robot_response="") for n in range(5)]})
    assert seqs(bundle.read("s", max_chars=30).json) == [3, 4, 5]
    assert seqs(bundle.read("s", max_chars=30, limit=2).json) == [4, 5]
    page = bundle.read("s", max_chars=20, before=4).json
    assert (seqs(page), page["page"]) == ([2, 3], {"before": 2, "after": 3})


def test_following_before_gives_each_turn_once_also_during_writes(seven: Bundle) -> None:
    seen: list[int] = []
    page = seven.read("s", limit=2).json
    while True:
        seen[:0] = seqs(page)
        seven.write("s", turn(99))
        if page["page"]["before"] is None:
            break
        page = seven.read("s", limit=2, before=page["page"]["before"]).json
    assert seen == [1, 2, 3, 4, 5, 6, 7]


# Entity tags


def test_the_etag_is_the_last_seq_and_a_version_that_only_user_metadata_changes(bundle: Bundle) -> None:
    tags = [bundle.write("s", body).headers["etag"] for body in (turn(), {**turn(), "user_metadata": {}}, turn())]
    assert bundle.read("s").headers["etag"] == tags[-1]
    seqs, versions = zip(*(tag.strip('"').split(".") for tag in tags), strict=True)
    assert seqs == ("1", "2", "3")
    assert versions[0] != versions[1] == versions[2]
    assert all(re.fullmatch("[0-9a-f]{1,13}", version) for version in versions)


def test_each_session_has_a_version_of_its_own_in_its_tag(bundle: Bundle) -> None:
    tags = {bundle.write(session, turn()).headers["etag"] for session in ("a", "b", "c")}
    assert len(tags) == 3


@without_pooler
@pytest.mark.parametrize("copy", ["{tag}", "W/{tag}", '"1", W/{tag}', '"x",{tag} , "9"', "*"])
def test_a_session_is_not_sent_again_if_the_client_has_its_present_tag(seven: Bundle, copy: str) -> None:
    tag = seven.read("s").headers["etag"]
    reply = seven.read("s", {"if-none-match": copy.format(tag=tag)})
    assert (reply.status, reply.body, reply.headers["etag"]) == (304, None, tag)


@without_pooler
@pytest.mark.parametrize("copy", ['"6"', 'W/"6"', '"77"', "7", '"7"', '"7.1"', "", "nonsense"])
def test_a_session_is_sent_if_the_client_has_another_tag(seven: Bundle, copy: str) -> None:
    assert seven.read("s", {"if-none-match": copy}).status == 200


def test_an_unknown_session_is_not_found_if_any_tag_matches(bundle: Bundle) -> None:
    assert bundle.read("unknown", {"if-none-match": "*"}).status == 404


# Size


@pytest.mark.parametrize(
    ("text", "fits"),
    [("\x01", 1), ('"', 2), ("\\", 2), ("\n", 3), ("x", 10), ("é", 10), ("\U0001f916", 10)],
    ids=["control", "quote", "backslash", "newline", "letter", "accent", "emoji"],
)
@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_an_answer_stays_under_lambdas_limit_and_its_cursors_lead_to_the_rest(
    bundle: Bundle, text: str, fits: int
) -> None:
    largest = text * (256 * 1024 // len(text.encode()))
    turns = fits + 3  # at least two pages, and three of the largest
    for number in range(turns):
        reply = bundle.write("s", turn(number, user_message=largest, robot_response=largest))
        assert reply.status == 201
    for start, step in (({}, "before"), ({"after": 0}, "after")):
        seen: list[int] = []
        query: dict[str, Any] = dict(start)
        while True:
            page = bundle.read("s", limit=200, **query)
            assert page.status == 200
            # Lambda measures the whole answer as JSON, in which the body is a string of JSON.
            answer = {"statusCode": 200, "headers": dict(page.headers), "body": page.body}
            assert len(json.dumps(answer, ensure_ascii=False).encode()) < MAX_ANSWER_BYTES
            if not seqs(page.json):
                break
            assert len(seqs(page.json)) >= min(fits, turns - len(seen))
            seen = seqs(page.json) + seen if step == "before" else seen + seqs(page.json)
            following = page.json["page"][step]
            if following is None:
                break
            query = {step: following}
        assert seen == list(range(1, turns + 1))
