"""The edge: events become requests, responses and exceptions become answers, and each leaves one log line."""

import base64
import gzip
import json
from typing import Any

import pytest

from robot_brain import errors
from robot_brain.entry import routes
from robot_brain.errors import InvalidRequestError, UnsupportedMediaTypeError
from robot_brain.http.request import JSON, Request, Response
from tests.support.bundle import Context, Json, event
from tests.support.log_lines import logged

MARK = "MARKED-4711"


def parse(**changes: Any) -> Request:
    """Return the request of events/write_message.json with top-level members replaced."""
    return Request.parse({**event("write_message"), **changes}, Context())


def call(function: Any, request: Json | None = None) -> tuple[Json, list[Json]]:
    """Return the answer of a handler with the one function, and what it logged."""
    sent = request or event("write_message")
    handler = routes({sent.get("routeKey", "GET /one"): lambda request, **_: function(request)})
    with logged() as lines:
        answer = handler(sent, Context(aws_request_id="id-1"))
    return json.loads(json.dumps(answer)), lines()


def failing(error: Exception) -> Any:
    """Return a handler that raises `error`."""

    def handler(_: Request) -> Response:
        raise error

    return handler


def test_an_event_becomes_a_request() -> None:
    request = parse(rawQueryString="a=1", headers={"If-Match": '"1"', "IDEMPOTENCY-KEY": "K"})
    assert request.route == "POST /sessions/{session_id}/messages"
    assert request.path_parameter("session_id") == "demo"
    assert request.query("a") == {"a": "1"}
    assert request.headers == {"if-match": '"1"', "idempotency-key": "K"}
    assert request.is_base64 is False
    assert request.deadline.remaining() <= 27.5


@pytest.mark.parametrize("member", ["body", "headers", "pathParameters", "rawQueryString", "isBase64Encoded"])
@pytest.mark.parametrize("gone", [True, False])
def test_a_member_may_be_null_or_absent(member: str, gone: bool) -> None:
    sent = event("write_message") | {member: None}
    if gone:
        del sent[member]
    request = Request.parse(sent, Context())
    assert request.query() == {}
    if member == "pathParameters":
        with pytest.raises(InvalidRequestError):
            request.path_parameter("session_id")
    if member == "headers":
        with pytest.raises(UnsupportedMediaTypeError):
            request.json()


def test_the_default_route_is_named_by_method_and_path() -> None:
    sent = event("health")
    del sent["routeKey"]
    assert Request.parse(sent, Context()).route == "GET /health"


@pytest.mark.parametrize(
    "kind", ["application/json", "APPLICATION/JSON", " application/json ", "application/json;charset=utf-8"]
)
def test_json_in_any_spelling_is_json(kind: str) -> None:
    assert parse(headers={"Content-Type": kind}, body='{"a": 1}').json() == {"a": 1}


@pytest.mark.parametrize(
    "kind", ['application/json; profile="a,b"', 'application/json;a="b,c" ; d=e', "application/json ; charset=utf-8"]
)
def test_a_comma_inside_quotes_is_part_of_a_parameter(kind: str) -> None:
    assert parse(headers={"content-type": kind}, body="{}").json() == {}


@pytest.mark.parametrize(
    "kind",
    [
        "application/json,application/json",
        "application/json;charset=utf-8,application/json",
        "application/json; charset=utf-8, text/plain",
        'application/json; profile="a,b",text/plain',
        'application/json; profile="a,b',
    ],
)
def test_a_content_type_sent_twice_is_not_json(kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="once"):
        parse(headers={"content-type": kind}, body="{}").json()


@pytest.mark.parametrize("encoding", ["", " ", "identity", "Identity "])
def test_a_body_that_is_not_encoded_may_say_so(encoding: str) -> None:
    assert parse(headers={"content-type": JSON, "content-encoding": encoding}, body="{}").json() == {}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "gzip,identity", "identity,gzip", "utf-8", "x"])
def test_an_encoded_body_is_refused_by_its_header(encoding: str) -> None:
    body = base64.b64encode(gzip.compress(b"{}")).decode()
    sent = {"Content-Type": JSON, "Content-Encoding": encoding}
    with pytest.raises(UnsupportedMediaTypeError, match="Content-Encoding"):
        parse(headers=sent, body=body, isBase64Encoded=True).json()


@pytest.mark.parametrize(
    "kind", ["", "text/json", "application/json+x", "application/jsonp", "json", "application/json, x"]
)
def test_anything_else_is_not(kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError):
        parse(headers={"content-type": kind}, body="{}").json()


def test_a_response_becomes_what_lambda_returns() -> None:
    answer, (line,) = call(lambda _: Response(201, '{"a": 1}', {"etag": '"1"'}))
    assert answer == {
        "statusCode": 201,
        "headers": {"content-type": "application/json", "etag": '"1"'},
        "body": '{"a": 1}',
    }
    assert (line["message"], line["status"], line["route"]) == ("answered", 201, "POST /sessions/{session_id}/messages")
    assert (line["request_id"], line["level"], line["response_size"]) == ("id-1", "INFO", 8)
    assert "error" not in line


def test_a_response_without_a_body_has_no_content_type() -> None:
    answer, _ = call(lambda _: Response(304, None, {"etag": '"1"'}))
    assert answer == {"statusCode": 304, "headers": {"etag": '"1"'}}


def test_a_refused_request_is_logged_by_its_kind_and_without_its_reason() -> None:
    answer, (line,) = call(failing(InvalidRequestError.at(["body"], MARK, "wrong")))
    assert (answer["statusCode"], line["status"], line["level"], line["error"]) == (
        422,
        422,
        "INFO",
        "InvalidRequestError",
    )
    assert MARK in answer["body"]
    assert MARK not in json.dumps(line)
    assert {"frames", "reason"} & set(line) == set()


def test_a_refusing_database_is_logged_with_its_reason_and_not_told() -> None:
    answer, (line,) = call(failing(errors.DatabaseRefusedError(MARK)))
    assert (answer["statusCode"], line["level"], line["reason"]) == (503, "ERROR", MARK)
    assert MARK not in json.dumps(answer)
    assert "frames" not in line


def test_wrong_settings_are_logged_with_their_reason_and_not_told() -> None:
    answer, (line,) = call(failing(errors.SettingsError(MARK)))
    assert (answer["statusCode"], line["reason"]) == (500, MARK)
    assert MARK not in json.dumps(answer)


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, RecursionError, MemoryError, AssertionError])
def test_an_unforeseen_exception_is_a_500_with_frames_in_the_log_and_no_text_anywhere(kind: type[Exception]) -> None:
    try:
        raise ZeroDivisionError(MARK)
    except ZeroDivisionError as cause:
        error = kind(MARK)
        error.__cause__ = cause

    answer, (line,) = call(failing(error))

    assert answer["statusCode"] == 500
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer["body"])["request_id"] == "id-1"
    assert (line["level"], line["error"], line["reason"]) == ("ERROR", kind.__name__, kind.__name__)
    assert any("test_http.py" in frame for frame in line["frames"])
    assert MARK not in json.dumps([answer, line])


def test_an_event_that_is_no_request_is_a_500() -> None:
    answer, (line,) = call(lambda _: Response(200), {"source": "elsewhere"})
    assert (answer["statusCode"], line["route"], line["error"]) == (500, "unknown", "UnexpectedEventError")


def test_fields_of_one_request_are_not_in_the_next_ones_line() -> None:
    _, (first,) = call(lambda _: Response(200, "{}"))
    _, (second,) = call(lambda _: Response(200, "{}"), event("health"))
    assert first["session_id"] == "demo"
    assert "session_id" not in second
