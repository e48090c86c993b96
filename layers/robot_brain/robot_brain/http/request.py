"""Requests and responses: an HTTP API's event (payload 2.0) becomes a Request, and an endpoint returns a Response.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from robot_brain import telemetry
from robot_brain.caller import Caller, caller_of
from robot_brain.deadline import Context, Deadline, deadline_of
from robot_brain.errors import UnexpectedEventError
from robot_brain.http import json_body, parameters

JSON = "application/json"

Event = Mapping[str, Any]

# The type of each member, if it is present and not null.
_MEMBERS = (
    ("routeKey", str),
    ("rawPath", str),
    ("rawQueryString", str),
    ("headers", dict),
    ("pathParameters", dict),
    ("body", str),
    ("isBase64Encoded", bool),
)
_PATH_PARAMETERS: dict[str, Callable[[str, list[str | int]], str | int]] = {
    "session_id": parameters.session_id,
    "seq": parameters.seq,
    "user_id": parameters.user_id,
}
# The names in the log, if they differ. `user_id` is the caller there.
_LOG_NAMES = {"user_id": "named_user_id"}
_ONLY_TEXTS = {str}
_NAMES = {type(None): "null", bool: "true or false", str: "a text", list: "an array", dict: "an object"}


class Request(NamedTuple):
    """A parsed request for an endpoint. `route` looks like `GET /stats`. Header names are in lower case."""

    route: str
    path: Mapping[str, str]
    query_string: str
    headers: Mapping[str, str]
    body: str
    is_base64: bool
    authorizer: Mapping[str, Any]
    request_id: str
    deadline: Deadline

    @classmethod
    def parse(cls, event: Event, context: Context) -> Request:
        """Return the request in a payload 2.0 event. Raises UnexpectedEventError for any other event."""
        _check(event)
        return cls(
            route=f"{event['requestContext']['http']['method']} {event['rawPath']}"
            if _unnamed(event)
            else event["routeKey"],
            path=event.get("pathParameters") or {},
            query_string=event.get("rawQueryString") or "",
            headers={name.lower(): value for name, value in (event.get("headers") or {}).items()},
            body=event.get("body") or "",
            is_base64=event.get("isBase64Encoded") or False,
            authorizer=event["requestContext"].get("authorizer") or {},
            request_id=context.aws_request_id,
            deadline=deadline_of(context),
        )

    def caller(self) -> Caller:
        """Return the caller, and add it to the request's log line. Raises ForbiddenError."""
        found = caller_of(self.authorizer, self.request_id)
        telemetry.note(tenant_id=found.tenant_id, **({} if found.user_id is None else {"user_id": found.user_id}))
        return found

    def path_parameter(self, name: str) -> str | int:
        """Return a valid parameter of the path, and add it to the request's log line. Raises InvalidRequestError."""
        value = _PATH_PARAMETERS[name](self.path.get(name, ""), ["path", name])
        telemetry.note(**{_LOG_NAMES.get(name, name): value})
        return value

    def query(self, *allowed: str) -> dict[str, str]:
        """Return the query's parameters. Raises what `parameters.query` raises."""
        return parameters.query(self.query_string, allowed)

    def if_match(self) -> str | None:
        """Return the state that If-Match names, None without the header. Raises MalformedRequestError."""
        return parameters.if_match(self.headers.get("if-match"))

    def json(self) -> dict[str, Any]:
        """Return the body's JSON object. Raises UnsupportedMediaTypeError and what `json_body.parse` raises."""
        parameters.content_type(self.headers.get("content-type", ""))
        parameters.content_encoding(self.headers.get("content-encoding", ""))
        return json_body.parse(self.body, self.is_base64)


def _check(event: object) -> None:
    """Raise UnexpectedEventError if `event` is not in payload 2.0. Its text names the wrong member, not the value."""
    if not isinstance(event, dict):
        raise _unexpected(f"is {_NAMES.get(type(event), 'a number')}")
    context = event.get("requestContext")
    http = context.get("http") if isinstance(context, dict) else None
    if not isinstance(context, dict) or not isinstance(http, dict):
        raise _unexpected("has no requestContext.http")
    if not isinstance(context.get("authorizer") or {}, dict):
        raise _unexpected("has the member requestContext.authorizer, which must be an object")
    for name, kind in _MEMBERS:
        value = event.get(name)
        if value is not None and type(value) is not kind:
            raise _unexpected(f"has the member {name}, which must be {_NAMES[kind]}")
    for name in ("headers", "pathParameters"):
        if not _ONLY_TEXTS.issuperset(map(type, (event.get(name) or {}).values())):
            raise _unexpected(f"has the member {name}, whose values must be texts")
    if _unnamed(event) and not (type(http.get("method")) is type(event.get("rawPath")) is str):
        raise _unexpected("has neither a routeKey nor a method with a rawPath")


def _unnamed(event: Event) -> bool:
    """Return whether the event names no route. The event of a function URL names none."""
    return event.get("routeKey") in (None, "", "$default")


def _unexpected(what: str) -> UnexpectedEventError:
    return UnexpectedEventError(f"the event {what}; call this function through an HTTP API with payload format 2.0")


class Response(NamedTuple):
    """An answer. `body` is JSON text, or None if there is no body."""

    status: int
    body: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})

    @classmethod
    def created(cls, body: str, replayed: bool, etag: str | None) -> Response:
        """Return 201 with the entity tag, if it is known. `replayed` says that an earlier request created it."""
        headers = {"etag": etag} if etag else {}
        return cls(201, body, headers | {"idempotent-replayed": "true"} if replayed else headers)
