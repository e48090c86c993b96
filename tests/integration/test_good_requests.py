"""Requests exactly at the limits of the contract are accepted, and read back as they were sent."""

import json
from typing import Any

import pytest

from tests.integration.edge import Good, function_of, get, nested, other, post
from tests.support.bundle import EVENTS, Bundle, Json, deployed, event, turn
from tests.support.servers.databases import Database

KIB = 1024
WRITES = [
    path.stem for path in sorted(EVENTS.glob("write_message*.json")) if event(path.stem)["routeKey"].startswith("POST")
]

_ODD = "\x01\x1f\x7f\x85\u2028\u2029\u200f\ufeff\ufffe\U0001f916\U0010ffff e\u0301 \\ / \" ' %s {} <>&"
_DEEP = turn(metadata=nested(63))
_DEEP_IN_BATCH = turn(metadata=nested(61))
_ESCAPED = '{"robot_personality": "a", "user_message": "\\ud83e\\udd16\\u0001", "robot_response": "\\/\\u00e9"}'
_JSON = json.dumps(turn(3)).encode()
_PLAIN: dict[str, Any] = {"robot_personality": "a", "user_message": "", "robot_response": ""}


def _one(says: str, session: str, sent: Json, **headers: Any) -> Good:
    return Good(says, session, post(sent, session, **headers), [sent])


def _session(says: str, session: str) -> Good:
    return _one(f"a session id {says}", session, turn())


TABLE = [
    _one("empty texts", "empty", turn(user_message="", robot_response="")),
    _one("texts of spaces and line breaks", "spaces", turn(user_message=" \n\t\r ", robot_response="\n")),
    _one("every odd character", "odd", turn(user_message=_ODD, robot_response=_ODD[::-1], metadata={_ODD: _ODD})),
    _one("texts of 256 KiB", "large", turn(user_message="a" * 256 * KIB, robot_response="\U0001f916" * 64 * KIB)),
    _one("a text of 256 KiB that JSON escapes", "escapes", turn(user_message='"' * 128 * KIB + "\\" * 128 * KIB)),
    _one("metadata of 16 KiB", "metadata", turn(metadata={"a": "b" * (16 * KIB - 9)})),
    _one("metadata of 16 KiB in bytes", "bytes", turn(metadata={"ü": "€" * 5458})),
    _one("metadata with null in it", "null", turn(metadata={"a": None, "b": [None, {"c": None}], "": False})),
    _one("numbers of every kind", "numbers", turn(metadata={"a": [0, -1, 2**53 + 1, 10**308, 0.1, 5e-324, 1.5e300]})),
    _one("a personality of 50 characters", "personality", turn(robot_personality="\U0001f916" * 50)),
    _one("nesting of 64", "deep", _DEEP),
    Good(
        "nesting of 64 in a batch", "deep batch", post({"messages": [_DEEP_IN_BATCH]}, "deep batch"), [_DEEP_IN_BATCH]
    ),
    Good(
        "100 turns",
        "hundred",
        post({"messages": [turn(n) for n in range(100)]}, "hundred"),
        [turn(n) for n in range(100)],
    ),
    Good("base64", "base64", post("", "base64", base64_of=json.dumps(turn(7)).encode()), [turn(7)]),
    Good(
        "base64 of UTF-8",
        "utf-8",
        post("", "utf-8", base64_of=json.dumps(turn(metadata={"é": "é"}), ensure_ascii=False).encode()),
        [turn(metadata={"é": "é"})],
    ),
    Good(
        "a pair of surrogates",
        "pair",
        post(_ESCAPED, "pair"),
        [{**_PLAIN, "user_message": "\U0001f916\x01", "robot_response": "/é"}],
    ),
    Good("4 MiB", "whole", post(json.dumps(turn(8)).ljust(4 * KIB * KIB), "whole"), [turn(8)]),
    Good(
        "a repeated key, of which the last value counts",
        "repeated",
        post(json.dumps(_PLAIN)[:-1] + ', "user_message": "b"}', "repeated"),
        [{**_PLAIN, "user_message": "b"}],
    ),
    Good("a byte order mark", "mark", post("\ufeff" + json.dumps(turn(3)), "mark"), [turn(3)]),
    Good("a byte order mark in base64", "mark 64", post("", "mark 64", base64_of=b"\xef\xbb\xbf" + _JSON), [turn(3)]),
    _one("the content encoding identity", "identity", turn(), content_encoding="identity"),
    _one("a charset", "charset", turn(), content_type="application/json; charset=utf-8"),
    _one("a content type in capitals", "capitals", turn(), content_type="Application/JSON"),
    _one("a key of 255 characters", "key", turn(), idempotency_key="~" * 255),
    _one("a key of one character", "short key", turn(), idempotency_key="!"),
    _one('If-Match "0" for a new session', "new", turn(), if_match='"0"'),
    _session("of one character", "a"),
    _session("of 100 characters of four bytes", "\U0001f916" * 100),
    _session("of three dots", "..."),
    _session("with characters that URLs escape", " !\"$&'()*+,;:@<>[]^`{|}~é"),
    _session("that looks like SQL", "'; drop table robot_brain.sessions; --"),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.says)
def test_a_request_at_a_limit_reads_back_as_sent(embedded_database: Database, row: Good) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        written = row.send(functions)

        assert written.status == 201, written.body
        assert written.json["session_id"] == row.session
        assert written.json["message_count"] == len(row.turns)
        read = functions.read(row.session, limit=200)

    assert read.status == 200
    assert read.json["session"]["id"] == row.session
    assert [_sent(message) for message in read.json["messages"]] == [{"metadata": {}, **sent} for sent in row.turns]


@pytest.mark.parametrize("name", WRITES)
def test_an_event_file_of_a_write_is_accepted(embedded_database: Database, name: str) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        assert functions.call("write_message", event(name)).status == 201


@pytest.mark.parametrize("name", sorted(path.stem for path in EVENTS.glob("*_session*.json")))
def test_an_event_file_of_a_change_or_a_read_is_accepted(bundle: Bundle, name: str) -> None:
    sent = event(name)
    if "if-match" in sent["headers"]:
        sent["headers"]["if-match"] = bundle.write("demo", turn()).headers["etag"]
    else:
        bundle.write("demo", turn())
    assert bundle.call(function_of(sent), sent).status in (200, 204)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "&&",
        "limit=1",
        "limit=200",
        "limit=007",
        "%6Cimit=%31",
        "before=1",
        f"before={2**31 - 1}",
        "after=0",
        f"after={2**31 - 1}",
        "max_chars=1",
        "max_chars=10000000",
        "limit=5&before=2&max_chars=9",
    ],
)
def test_a_query_at_a_limit_is_answered(embedded_database: Database, query: str) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        assert functions.write("kept", turn()).status == 201
        assert get(query)(functions).status == 200


def test_an_interaction_is_stored_with_its_robot(bundle: Bundle, database: Database) -> None:
    shortest = {"interaction_type": "a", "duration_ms": 0, "success": False}
    longest = {"interaction_type": "ü" * 50, "duration_ms": 2**31 - 1, "success": True, "robot_id": "€" * 50}
    turns = [turn(interaction=shortest), turn(), turn(interaction=longest)]

    assert bundle.write("s", {"messages": turns}).status == 201

    with database.admin() as admin:
        kept = admin.execute(
            "select seq, robot_id, interaction_type, duration_ms, success"
            " from robot_brain.robot_interactions order by seq"
        ).fetchall()
    assert kept == [(1, "barista", "a", 0, False), (3, "€" * 50, "ü" * 50, 2**31 - 1, True)]


def test_user_metadata_of_16_kib_in_two_writes_is_stored(bundle: Bundle) -> None:
    first, second = {"a": "x" * 8000}, {"b": "y" * (16 * KIB - 8000 - 18)}
    assert bundle.write("s", turn(user_metadata=first)).status == 201
    assert bundle.write("s", turn(user_metadata=second)).status == 201
    assert bundle.read("s").json["session"]["user_metadata"] == first | second
    assert bundle.write("s", turn(user_metadata={"b": second["b"] + "y"})).status == 422


def test_a_session_id_on_stats_is_decoded(bundle: Bundle) -> None:
    assert bundle.write("é +", turn()).status == 201
    assert other("stats", "session_id=%C3%A9+%2B")(bundle).json["session_id"] == "é +"


def test_an_unreadable_if_none_match_gives_the_full_answer(bundle: Bundle) -> None:
    assert bundle.write("kept", turn()).status == 201
    for header in ("", "1", '"1', "W/1", "\ud83d", '"\ud83d"', "***", '"1.0"'):
        assert get(if_none_match=header)(bundle).status == 200, header
    tag = bundle.read("kept").headers["etag"]
    for header in (tag, f"W/{tag}", f'"0", W/{tag}', "*", f' {tag} ,"2"'):
        assert get(if_none_match=header)(bundle).status == 304, header


def _sent(message: Json) -> Json:
    """Return the members of a message that the client sent, with numbers in a form that can be compared."""
    sent = {name: value for name, value in message.items() if name not in ("id", "seq", "created_at")}
    return _numbers_as_read(sent)


def _numbers_as_read(sent: Json) -> Json:
    text = json.dumps(sent)
    # 1.5e300 is read back as 301 digits. That is an integer in Python, but the same number in JSON.
    found: Json = json.loads(text, parse_int=lambda digits: float(digits) if len(digits) == 301 else int(digits))
    return found
