"""The edge: an HTTP API's payload 2.0 becomes a Request, a Response becomes what Lambda returns, an error an answer.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from robot_brain import json_body, parameters, telemetry
from robot_brain.deadline import Context, Deadline, deadline_of
from robot_brain.errors import UnexpectedEventError
from robot_brain.problems import problem

JSON = "application/json"

Event = Mapping[str, Any]
Answer = dict[str, Any]

# What each member is, if it is there and not null.
_MEMBERS = (
    ("routeKey", str),
    ("rawPath", str),
    ("rawQueryString", str),
    ("headers", dict),
    ("pathParameters", dict),
    ("body", str),
    ("isBase64Encoded", bool),
)
_ONLY_TEXTS = {str}
_NAMES = {type(None): "null", bool: "true or false", str: "a text", list: "an array", dict: "an object"}


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the handlers see it. `route` is such as `GET /stats`; header names are in lower case."""

    route: str
    path: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    body: str
    is_base64: bool
    request_id: str
    deadline: Deadline

    @classmethod
    def parse(cls, event: Event, context: Context) -> Request:
        """Return the request in a payload 2.0 event. Raise UnexpectedEventError if it is anything else."""
        _check(event)
        return cls(
            route=event.get("routeKey") or f"{event['requestContext']['http']['method']} {event['rawPath']}",
            path=event.get("pathParameters") or {},
            query_string=event.get("rawQueryString") or "",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            body=event.get("body") or "",
            is_base64=event.get("isBase64Encoded") or False,
            request_id=context.aws_request_id,
            deadline=deadline_of(context),
        )

    def session_id(self) -> str:
        """Return the path's session id. Raise InvalidRequestError."""
        session_id = parameters.session_id(self.path.get("session_id", ""), ["path", "session_id"])
        telemetry.note(session_id=session_id)
        return session_id

    def query(self, *allowed: str) -> dict[str, str]:
        """Return the query's parameters. Raise MalformedRequestError or InvalidRequestError."""
        return parameters.query(self.query_string, allowed)

    def json(self) -> dict[str, Any]:
        """Return the body's JSON object. Raise UnsupportedMediaTypeError and what `json_body.parse` raises."""
        parameters.content_type(self.headers.get("content-type", ""))
        parameters.content_encoding(self.headers.get("content-encoding", ""))
        return json_body.parse(self.body, self.is_base64)


def _check(event: object) -> None:
    """Raise UnexpectedEventError if `event` is no request in payload 2.0; its text names the member, not the value."""
    if not isinstance(event, dict):
        raise _unexpected(f"is {_NAMES.get(type(event), 'a number')}")
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    if not isinstance(http, dict):
        raise _unexpected("has no requestContext.http")
    for name, kind in _MEMBERS:
        value = event.get(name)
        if value is not None and type(value) is not kind:
            raise _unexpected(f"has the member {name}, which must be {_NAMES[kind]}")
    for name in ("headers", "pathParameters"):
        if not _ONLY_TEXTS.issuperset(map(type, (event.get(name) or {}).values())):
            raise _unexpected(f"has the member {name}, whose values must be texts")
    if not event.get("routeKey") and not (type(http.get("method")) is type(event.get("rawPath")) is str):
        raise _unexpected("has no routeKey, and no method and rawPath either")


def _unexpected(what: str) -> UnexpectedEventError:
    return UnexpectedEventError(f"the event {what}; call this function through an HTTP API with payload format 2.0")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; `body` is JSON text, or None for none."""

    status: int
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def endpoint(function: Callable[[Request], Response]) -> Callable[[Event, Context], Answer]:
    """Make a Lambda handler of a function from Request to Response.

    Whatever it raises becomes an answer by the table in `problems`; each request gives one log line and one EMF line.
    """

    @wraps(function)
    def handler(event: Event, context: Context) -> Answer:
        started = time.monotonic()
        route, size = "unknown", 0
        try:
            request = Request.parse(event, context)
            route, size = request.route, len(request.body)
            response = function(request)
            status, body = response.status, response.body
            headers = {"content-type": JSON, **response.headers} if body is not None else dict(response.headers)
        except Exception as error:
            status, headers, body = problem(error, context.aws_request_id)
            _explain(error, status)
        telemetry.answered(route, status, time.monotonic() - started, size, len(body or ""), context)
        answer: Answer = {"statusCode": status, "headers": headers}
        if body is not None:
            answer["body"] = body
        return answer

    return handler


def _explain(error: Exception, status: int) -> None:
    """Add to the log what the client does not see: the kind of error, and for a 500 where it came from."""
    telemetry.note(error=type(error).__name__)
    if status >= 500:
        telemetry.note(reason=error_text(error))
    if status == 500 and not isinstance(error, UnexpectedEventError):
        # Frames are code. The message of an unforeseen exception may quote a turn, so it is left out.
        telemetry.note(frames=traceback.format_tb(error.__traceback__))


def error_text(error: Exception) -> str:
    """Return an error's message where it is one of ours, which quote nothing, and its type otherwise."""
    return str(error) if type(error).__module__.startswith("robot_brain.") else type(error).__name__
