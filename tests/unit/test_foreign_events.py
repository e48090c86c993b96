"""Events that are no request of an HTTP API: each function answers them, says why in one log line, and never raises."""

import json
from typing import Any

import pytest

import health
import read_session
import stats
import write_message
from tests.support.bundle import EVENTS, Context, deployed, event
from tests.support.log_lines import logged

HANDLERS: dict[str, Any] = {module.__name__: module.handler for module in (write_message, read_session, stats, health)}
GOOD = {"write_message": "write_message", "read_session": "read_session", "stats": "stats", "health": "health"}
MARK = "MARKED-4711"

SHAPES: dict[str, Any] = {
    "null": None,
    "a number": 5,
    "zero": 0,
    "a decimal": 1.5,
    "true": True,
    "a text": MARK,
    "an empty text": "",
    "a list": [MARK],
    "an empty list": [],
    "a list of events": [{"source": "robot-brain.schedule", "action": "refresh_stats"}],
    "an empty object": {},
    "a source that is a list": {"source": ["robot-brain.schedule"], "action": "refresh_stats"},
    "a source that is an object": {"source": {MARK: MARK}},
    "an action that is a list": {"source": "robot-brain.schedule", "action": ["refresh_stats"]},
    "a body alone": {"body": MARK},
    "a context that is null": {"requestContext": None},
    "a context that is a text": {"requestContext": "http"},
    "a context that is a list": {"requestContext": ["http"]},
    "a context without http": {"requestContext": {}},
    "http that is null": {"requestContext": {"http": None}},
    "http that is a text": {"requestContext": {"http": "method"}},
    "no route": {"requestContext": {"http": {"method": "GET"}}},
    "a route that nobody can name": {"requestContext": {"http": {"method": 5}}, "rawPath": "/health"},
    **{file.stem: json.loads(file.read_text()) for file in sorted((EVENTS / "foreign").glob("*.json"))},
}

# Members of a good event, and what they must not be.
WRONG: dict[str, list[Any]] = {
    "routeKey": [5, ["GET /health"], {}, False],
    "rawPath": [5, [], {}],
    "rawQueryString": [5, {"limit": "5"}, ["limit=5"], False],
    "headers": [
        5,
        MARK,
        "",
        [],
        ["content-type"],
        {"content-type": 5},
        {"if-match": None},
        {"x": {}},
        {"x": []},
        False,
    ],
    "pathParameters": [5, "demo", ["demo"], [], {"session_id": 5}, {"session_id": None}, False],
    "body": [5, 0, {}, {MARK: MARK}, [MARK], False, True],
    "isBase64Encoded": ["false", "true", 1, 0, []],
    "requestContext": [None, 5, MARK, [], {}, {"http": None}, {"http": []}, {"http": MARK}],
}
WRONG_MEMBERS = [(member, value) for member, values in WRONG.items() for value in values]


def assert_refused(name: str, sent: Any) -> str:
    """Assert the answer and the one line of a function to an event that is no request; return the line's reason."""
    with deployed({"DATABASE_URL": "postgresql://app@127.0.0.1:1/none"}), logged() as lines:
        answer = HANDLERS[name](json.loads(json.dumps(sent)), Context(aws_request_id="id-1"))
    (line,) = lines()
    document = json.loads(answer["body"])
    assert (answer["statusCode"], document["status"], document["request_id"]) == (500, 500, "id-1")
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert "payload format 2.0" in document["detail"]
    assert (line["level"], line["status"], line["error"]) == ("ERROR", 500, "UnexpectedEventError")
    assert line["reason"].startswith("the event ")
    assert "frames" not in line
    assert MARK not in json.dumps([answer, line])
    return str(line["reason"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", HANDLERS)
def test_an_event_that_is_no_request_is_answered_and_named(name: str, shape: str) -> None:
    assert_refused(name, SHAPES[shape])


@pytest.mark.parametrize(("member", "value"), WRONG_MEMBERS)
@pytest.mark.parametrize("name", HANDLERS)
def test_a_member_of_another_type_is_answered_and_named(name: str, member: str, value: Any) -> None:
    reason = assert_refused(name, event(GOOD[name]) | {member: value})
    assert member in reason


@pytest.mark.parametrize(
    ("shape", "reason"),
    [
        ("null", "the event is null"),
        ("a list", "the event is an array"),
        ("true", "the event is true or false"),
        ("warmer", "the event has no requestContext.http"),
        ("http_api_payload_1", "the event has no requestContext.http"),
    ],
)
def test_the_log_says_what_an_event_is_and_what_to_do(shape: str, reason: str) -> None:
    said = assert_refused("stats", SHAPES[shape])
    assert said.startswith(reason)
    assert said.endswith("call this function through an HTTP API with payload format 2.0")


def test_a_head_of_health_answers_as_a_get_does() -> None:
    with deployed({}), logged() as lines:
        head, get = (health.handler(event(name), Context()) for name in ("health_head", "health"))
    # API Gateway leaves the body out and has its length from here.
    assert head == get
    assert [line["route"] for line in lines()] == ["HEAD /health", "GET /health"]
