"""Requests at the limits of the contract as data, and the form of every refusal."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from local.settings import ROOT
from local.template import load_template
from tests.support.bundle import Bundle, Json, Reply, event, turn
from tests.support.private_text import PRIVATE

TEMPLATE = load_template(ROOT / "template.yaml")

Send = Callable[[Bundle], Reply]

TABLES = ("sessions", "conversations", "idempotency_keys", "robot_interactions", "users", "user_profiles")

# What no answer may contain: the words of a request, code, SQL and addresses.
_NEVER_ANSWERED = (
    PRIVATE,
    "Traceback",
    'File "',
    ".py",
    "psycopg",
    "pydantic",
    "SQLSTATE",
    "CONTEXT",
    "DETAIL",
    "select ",
    "insert into",
    "robot_brain_api",
    "robot_brain.",
    "postgresql://",
)

# The further members of a problem, by its title. Those of a user differ from those of a session.
_MORE_MEMBERS: dict[str, list[set[str]]] = {
    "Precondition failed": [{"last_seq"}, set()],
    "Idempotency key reused": [{"session_id", "seq"}, {"user_id"}],
}


@dataclass(frozen=True)
class Bad:
    """A request that is refused. `points` is the `loc` of an error, or a part of `detail`."""

    says: str
    status: int
    points: list[str | int] | str
    send: Send


@dataclass(frozen=True)
class Good:
    """A write that is accepted, and the turns, as sent, that a read of the session returns."""

    says: str
    session: str
    send: Send
    turns: list[Json]


def marked(**fields: Any) -> Json:
    """Return a valid turn whose texts are PRIVATE."""
    return turn(user_message=PRIVATE, robot_response=PRIVATE, **fields)


def raw(members: str) -> str:
    """Return the JSON of a turn whose texts are PRIVATE, with more `members` unchanged, such as '"metadata": {}'."""
    return json.dumps(marked())[:-1] + f", {members}}}"


def nested(depth: int) -> Json:
    """Return an object of `depth` objects and lists inside one another."""
    value: Any = {} if depth % 2 else []
    for level in range(depth - 1, 0, -1):
        value = {"a": value} if level % 2 else [value]
    found: Json = value
    return found


def post(
    body: Any,
    session: str = "demo",
    query: str = "",
    base64_of: bytes | None = None,
    is_base64: bool = False,
    **headers: str | None,
) -> Send:
    """Return a write of `body`, or of `base64_of` in base64.

    A text is sent unchanged, None is no body, and any other body becomes JSON. Underscores in header names become
    hyphens. None removes a header.
    """

    def send(bundle: Bundle) -> Reply:
        request = event("write_message")
        request["pathParameters"] = {"session_id": session}
        request["rawQueryString"] = query
        request["body"] = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False)
        if body is None:
            del request["body"]
        request["isBase64Encoded"] = is_base64 or base64_of is not None
        if base64_of is not None:
            request["body"] = base64.b64encode(base64_of).decode()
        _set(request["headers"], headers)
        return bundle.call("write_message", request)

    return send


def get(query: str = "", session: str = "kept", **headers: str) -> Send:
    """Return a read with a raw query string."""

    def send(bundle: Bundle) -> Reply:
        request = event("read_session")
        request["pathParameters"] = {"session_id": session}
        request["rawQueryString"] = query
        _set(request["headers"], headers)
        return bundle.call("read_session", request)

    return send


def other(name: str, query: str) -> Send:
    """Return the request of events/<name>.json with a raw query string."""

    def send(bundle: Bundle) -> Reply:
        return bundle.call(function_of(event(name)), event(name) | {"rawQueryString": query})

    return send


def function_of(request: Json) -> str:
    """Return the name of the function that serves an event's route in template.yaml."""
    (found,) = (route for route in TEMPLATE.routes if f"{route.method} {route.path}" == request["routeKey"])
    return TEMPLATE.functions[found.function].handler.removesuffix(".handler")


def row_counts(admin: psycopg.Connection) -> dict[str, int]:
    """Count the rows of every table that a request may add a row to."""
    union = " union all ".join(f"select '{table}', count(*) from robot_brain.{table}" for table in TABLES)
    return dict(admin.execute(union.encode()).fetchall())


def assert_problem(reply: Reply, status: int, request_id: str) -> None:
    """Assert that the answer is problem+json with its members, and holds no text that a client must not read."""
    assert reply.status == status, reply.body
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["cache-control"] == "no-store"
    answer = reply.json
    members = set(answer) - {"errors"} - {"type", "title", "status", "detail", "request_id"}
    assert members in _MORE_MEMBERS.get(answer["title"], [set()])
    assert answer["type"] == "about:blank"
    assert answer["status"] == status
    assert answer["request_id"] == request_id
    assert answer["title"]
    assert answer["detail"]
    for error in answer.get("errors", []):
        assert set(error) == {"loc", "msg", "type"}
        assert error["loc"]
        assert error["loc"][0] in ("body", "query", "path")
        assert error["msg"]
        assert error["type"]
    assert_nothing_private(reply)


def assert_nothing_private(reply: Reply) -> None:
    """Assert that an answer holds neither code nor SQL nor PRIVATE."""
    text = json.dumps([dict(reply.headers), reply.body])
    found = [words for words in _NEVER_ANSWERED if words in text or words in (reply.body or "")]
    assert found == []


def points(reply: Reply, place: list[str | int] | str) -> bool:
    """Return whether a problem names `place`: as the `loc` of an error, or in `detail`."""
    if isinstance(place, str):
        return place in reply.json["detail"]
    return place in [error["loc"] for error in reply.json.get("errors", [])]


def _set(headers: dict[str, str], changes: Mapping[str, str | None]) -> None:
    for name, value in changes.items():
        name = name.replace("_", "-")
        if value is None:
            headers.pop(name, None)
        else:
            headers[name] = value
