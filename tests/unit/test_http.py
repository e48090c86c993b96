"""The edge: an event becomes a request, a response or an exception becomes an answer, and each logs one line."""

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
from tests.support.private_text import PRIVATE


def parse(**changes: Any) -> Request:
    """Return the request of events/write_message.json with top-level members replaced."""
    return Request.parse({**event("write_message"), **changes}, Context())


def call(function: Any, request: Json | None = None) -> tuple[Json, list[Json]]:
    """Call a handler whose only route runs `function`. Return the answer and the log lines."""
    sent = request or event("write_message")
    handler = routes({sent.get("routeKey", "GET /one"): lambda request, **_: function(request)}, open_to_anyone=True)
    with logged() as lines:
        answer = handler(sent, Context(aws_request_id="id-1"))
    return json.loads(json.dumps(answer)), lines()


def failing(error: Exception) -> Any:
    """Return a function that raises `error`."""

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
@pytest.mark.parametrize("absent", [True, False])
def test_a_member_of_an_event_may_be_null_or_absent(member: str, absent: bool) -> None:
    sent = event("write_message") | {member: None}
    if absent:
        del sent[member]
    request = Request.parse(sent, Context())
    assert request.query() == {}
    if member == "pathParameters":
        with pytest.raises(InvalidRequestError):
            request.path_parameter("session_id")
    if member == "headers":
        with pytest.raises(UnsupportedMediaTypeError):
            request.json()


def test_the_route_of_an_event_without_a_route_key_is_its_method_and_path() -> None:
    sent = event("health")
    del sent["routeKey"]
    assert Request.parse(sent, Context()).route == "GET /health"


@pytest.mark.parametrize(
    "kind", ["application/json", "APPLICATION/JSON", " application/json ", "application/json;charset=utf-8"]
)
def test_the_content_type_of_json_is_accepted_in_every_spelling(kind: str) -> None:
    assert parse(headers={"Content-Type": kind}, body='{"a": 1}').json() == {"a": 1}


@pytest.mark.parametrize(
    "kind", ['application/json; profile="a,b"', 'application/json;a="b,c" ; d=e', "application/json ; charset=utf-8"]
)
def test_a_quoted_comma_in_a_content_type_is_part_of_its_parameter(kind: str) -> None:
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
def test_a_content_type_that_was_sent_twice_is_refused(kind: str) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="once"):
        parse(headers={"content-type": kind}, body="{}").json()


@pytest.mark.parametrize("encoding", ["", " ", "identity", "Identity "])
def test_a_body_that_is_not_encoded_may_have_a_content_encoding_of_identity(encoding: str) -> None:
    assert parse(headers={"content-type": JSON, "content-encoding": encoding}, body="{}").json() == {}


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate", "gzip,identity", "identity,gzip", "utf-8", "x"])
def test_an_encoded_body_is_refused_because_of_its_content_encoding(encoding: str) -> None:
    body = base64.b64encode(gzip.compress(b"{}")).decode()
    sent = {"Content-Type": JSON, "Content-Encoding": encoding}
    with pytest.raises(UnsupportedMediaTypeError, match="Content-Encoding"):
        parse(headers=sent, body=body, isBase64Encoded=True).json()


@pytest.mark.parametrize(
    "kind", ["", "text/json", "application/json+x", "application/jsonp", "json", "application/json, x"]
)
def test_a_content_type_other_than_json_is_refused(kind: str) -> None:
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


@pytest.mark.parametrize(
    ("replayed", "etag", "headers"),
    [
        (False, '"1"', {"etag": '"1"'}),
        (False, None, {}),
        (True, None, {"idempotent-replayed": "true"}),
        (True, '"1"', {"etag": '"1"', "idempotent-replayed": "true"}),
    ],
)
def test_what_was_created_is_answered_with_201_and_says_if_it_was_created_before(
    replayed: bool, etag: str | None, headers: Json
) -> None:
    assert Response.created("{}", replayed, etag) == (201, "{}", headers)


def test_a_response_without_a_body_has_no_content_type() -> None:
    answer, _ = call(lambda _: Response(304, None, {"etag": '"1"'}))
    assert answer == {"statusCode": 304, "headers": {"etag": '"1"'}}


def test_the_log_line_of_a_refused_request_has_the_error_and_no_reason() -> None:
    answer, (line,) = call(failing(InvalidRequestError.at(["body"], PRIVATE, "wrong")))
    assert (answer["statusCode"], line["status"], line["level"], line["error"]) == (
        422,
        422,
        "INFO",
        "InvalidRequestError",
    )
    assert PRIVATE in answer["body"]
    assert PRIVATE not in json.dumps(line)
    assert {"frames", "reason"} & set(line) == set()


def test_the_reason_why_the_database_refuses_is_in_the_log_and_not_in_the_answer() -> None:
    answer, (line,) = call(failing(errors.DatabaseRefusedError(PRIVATE)))
    assert (answer["statusCode"], line["level"], line["reason"]) == (503, "ERROR", PRIVATE)
    assert PRIVATE not in json.dumps(answer)
    assert "frames" not in line


def test_the_reason_of_a_settings_error_is_in_the_log_and_not_in_the_answer() -> None:
    answer, (line,) = call(failing(errors.SettingsError(PRIVATE)))
    assert (answer["statusCode"], line["reason"]) == (500, PRIVATE)
    assert PRIVATE not in json.dumps(answer)


@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, RecursionError, MemoryError, AssertionError])
def test_an_unforeseen_exception_is_a_500_whose_text_is_neither_logged_nor_answered(kind: type[Exception]) -> None:
    try:
        raise ZeroDivisionError(PRIVATE)
    except ZeroDivisionError as cause:
        error = kind(PRIVATE)
        error.__cause__ = cause

    answer, (line,) = call(failing(error))

    assert answer["statusCode"] == 500
    assert answer["headers"]["content-type"] == "application/problem+json"
    assert json.loads(answer["body"])["request_id"] == "id-1"
    assert (line["level"], line["error"], line["reason"]) == ("ERROR", kind.__name__, kind.__name__)
    assert any("test_http.py" in frame for frame in line["frames"])
    assert PRIVATE not in json.dumps([answer, line])


def test_an_event_that_is_no_request_is_a_500() -> None:
    answer, (line,) = call(lambda _: Response(200), {"source": "elsewhere"})
    assert (answer["statusCode"], line["route"], line["error"]) == (500, "unknown", "UnexpectedEventError")


def test_the_log_line_of_a_request_has_no_field_of_the_request_before() -> None:
    _, (first,) = call(lambda _: Response(200, "{}"))
    _, (second,) = call(lambda _: Response(200, "{}"), event("health"))
    assert first["session_id"] == "demo"
    assert "session_id" not in second
