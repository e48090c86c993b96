"""Events that are no HTTP API requests: each function answers 500, logs one line with the reason, and never raises."""

import importlib
import json
from typing import Any

import pytest

import health
from local.settings import ROOT
from tests.support.bundle import EVENTS, Context, deployed, event
from tests.support.log_lines import logged
from tests.support.private_text import PRIVATE

HANDLERS: dict[str, Any] = {
    path.stem: importlib.import_module(path.stem).handler for path in sorted((ROOT / "functions").glob("*.py"))
}

SHAPES: dict[str, Any] = {
    "null": None,
    "a number": 5,
    "zero": 0,
    "a decimal": 1.5,
    "true": True,
    "a text": PRIVATE,
    "an empty text": "",
    "a list": [PRIVATE],
    "an empty list": [],
    "a list of events": [{"source": "robot-brain.schedule", "action": "refresh_stats"}],
    "an empty object": {},
    "a source that is a list": {"source": ["robot-brain.schedule"], "action": "refresh_stats"},
    "a source that is an object": {"source": {PRIVATE: PRIVATE}},
    "an action that is a list": {"source": "robot-brain.schedule", "action": ["refresh_stats"]},
    "a body alone": {"body": PRIVATE},
    "a context that is null": {"requestContext": None},
    "a context that is a text": {"requestContext": "http"},
    "a context that is a list": {"requestContext": ["http"]},
    "a context without http": {"requestContext": {}},
    "http that is null": {"requestContext": {"http": None}},
    "http that is a text": {"requestContext": {"http": "method"}},
    "no route": {"requestContext": {"http": {"method": "GET"}}},
    "a route without a name": {"requestContext": {"http": {"method": 5}}, "rawPath": "/health"},
    **{file.stem: json.loads(file.read_text()) for file in sorted((EVENTS / "foreign").glob("*.json"))},
}

# Wrong values for members of a valid event.
WRONG_VALUES: dict[str, list[Any]] = {
    "routeKey": [5, ["GET /health"], {}, False],
    "rawPath": [5, [], {}],
    "rawQueryString": [5, {"limit": "5"}, ["limit=5"], False],
    "headers": [
        5,
        PRIVATE,
        "",
        [],
        ["content-type"],
        {"content-type": 5},
        {"if-match": None},
        {"x": {}},
        {"x": []},
        False,
    ],
    "pathParameters": [5, "demo", ["demo"], [], {"session_id": 5}, {"session_id": None}, {"seq": 7}, False],
    "body": [5, 0, {}, {PRIVATE: PRIVATE}, [PRIVATE], False, True],
    "isBase64Encoded": ["false", "true", 1, 0, []],
    "requestContext": [None, 5, PRIVATE, [], {}, {"http": None}, {"http": []}, {"http": PRIVATE}],
}
WRONG_MEMBERS = [(member, value) for member, values in WRONG_VALUES.items() for value in values]


def assert_refused(name: str, event: Any) -> str:
    """Assert that the function answers `event` with 500 and logs one line. Return the reason in that line."""
    with deployed({"DATABASE_URL": "postgresql://app@127.0.0.1:1/none"}), logged() as lines:
        answer = HANDLERS[name](json.loads(json.dumps(event)), Context(aws_request_id="id-1"))
    (line,) = lines()
    document = json.loads(answer["body"])
    assert (answer["statusCode"], document["status"], document["request_id"]) == (500, 500, "id-1")
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert "payload format 2.0" in document["detail"]
    assert (line["level"], line["status"], line["error"]) == ("ERROR", 500, "UnexpectedEventError")
    assert line["reason"].startswith("the event ")
    assert "frames" not in line
    assert PRIVATE not in json.dumps([answer, line])
    return str(line["reason"])


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", HANDLERS)
def test_an_event_that_is_no_request_is_answered_and_logged_with_its_reason(name: str, shape: str) -> None:
    assert_refused(name, SHAPES[shape])


@pytest.mark.parametrize(("member", "value"), WRONG_MEMBERS)
@pytest.mark.parametrize("name", HANDLERS)
def test_a_member_of_a_wrong_type_is_answered_and_named_in_the_log(name: str, member: str, value: Any) -> None:
    reason = assert_refused(name, event(name) | {member: value})
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
def test_the_log_says_what_is_wrong_with_an_event_and_what_to_do(shape: str, reason: str) -> None:
    logged_reason = assert_refused("stats", SHAPES[shape])
    assert logged_reason.startswith(reason)
    assert logged_reason.endswith("call this function through an HTTP API with payload format 2.0")


def test_head_health_answers_as_get_health_does() -> None:
    with deployed({}), logged() as lines:
        head, get = (health.handler(event(name), Context()) for name in ("health_head", "health"))
    # API Gateway removes the body of the answer and takes Content-Length from it.
    assert head == get
    assert [line["route"] for line in lines()] == ["HEAD /health", "GET /health"]
