"""The functions as Lambda calls them, in this process: `handler(event, context)` with events as under events/."""

import copy
import json
import logging
import sys
import uuid
from collections import ChainMap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast
from urllib.parse import urlencode

import edit_session
import edit_user
import health
import read_audit
import read_session
import read_user
import search
import stats
import write_message
from local.settings import ROOT
from robot_brain import environment, telemetry
from robot_brain.database.connection import LazyConnection, lazy_connection
from robot_brain.environment import Environment

EVENTS = ROOT / "events"

Json = dict[str, Any]


@dataclass
class Context:
    """What a handler uses of Lambda's context."""

    function_name: str = "Function"
    milliseconds: int = 28_000
    aws_request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        """Return a fixed time; tests of the deadline set it."""
        return self.milliseconds


@dataclass(frozen=True)
class Reply:
    """What a handler returned. `json` is the parsed body, or {} without a body."""

    status: int
    headers: Mapping[str, str]
    body: str | None

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else {}


def event(name: str) -> Json:
    """Return a copy of events/<name>.json."""
    loaded: Json = json.loads((EVENTS / f"{name}.json").read_text())
    return loaded


def turn(number: int = 1, **fields: Any) -> Json:
    """Return a valid turn whose texts say its number."""
    return {
        "robot_personality": "barista",
        "user_message": f"question {number}",
        "robot_response": f"answer {number}",
        **fields,
    }


_HANDLERS: dict[str, Any] = {
    "write_message": write_message.handler,
    "read_session": read_session.handler,
    "edit_session": edit_session.handler,
    "read_user": read_user.handler,
    "edit_user": edit_user.handler,
    "read_audit": read_audit.handler,
    "search": search.handler,
    "stats": stats.handler,
    "health": health.handler,
}


class Bundle:
    """Calls the functions; each method makes the event of one route from its file under events/."""

    def __init__(self, milliseconds: int = 28_000) -> None:
        self.context = Context(milliseconds=milliseconds)

    def call(self, function: str, event: Json) -> Reply:
        """Call one function with one event. Event and answer pass through JSON, as in Lambda."""
        answer = _HANDLERS[function](json.loads(json.dumps(event)), self.context)
        answer = json.loads(json.dumps(answer))
        return Reply(answer["statusCode"], answer["headers"], answer.get("body"))

    def write(self, session_id: str, body: Any, headers: Mapping[str, str] | None = None, query: str = "") -> Reply:
        """POST a turn, a batch, or a raw text to a session."""
        request = changed(event("write_message"), f"/sessions/{session_id}/messages", headers, query, body)
        request["pathParameters"] = {"session_id": session_id}
        return self.call("write_message", request)

    def replace(self, session_id: str, seq: object, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """PUT a turn."""
        path = f"/sessions/{session_id}/messages/{seq}"
        request = changed(event("write_message_replace"), path, headers, "", body)
        request["pathParameters"] = {"session_id": session_id, "seq": str(seq)}
        return self.call("write_message", request)

    def patch(self, session_id: str, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """PATCH a session."""
        request = changed(event("edit_session"), f"/sessions/{session_id}", headers, "", body)
        request["pathParameters"] = {"session_id": session_id}
        return self.call("edit_session", request)

    def remove(self, session_id: str, after: object, headers: Mapping[str, str] | None = None) -> Reply:
        """DELETE the turns of a session that are above the seq `after`."""
        path = f"/sessions/{session_id}/messages"
        request = changed(event("edit_session_remove"), path, headers, urlencode({"after": after}))
        request["pathParameters"] = {"session_id": session_id}
        return self.call("edit_session", request)

    def erase(self, session_id: str, headers: Mapping[str, str] | None = None) -> Reply:
        """DELETE a session."""
        request = changed(event("edit_session_erase"), f"/sessions/{session_id}", headers, "")
        request["pathParameters"] = {"session_id": session_id}
        return self.call("edit_session", request)

    def sessions(self, **query: Any) -> Reply:
        """GET a page of the list of sessions."""
        return self.call("read_session", changed(event("read_session_list"), "/sessions", {}, urlencode(query)))

    def read(self, session_id: str, headers: Mapping[str, str] | None = None, **query: Any) -> Reply:
        """GET a page of a session."""
        request = event("read_session")
        request["rawPath"] = f"/sessions/{session_id}"
        request["pathParameters"] = {"session_id": session_id}
        request["rawQueryString"] = urlencode(query)
        request["headers"].update(headers or {})
        return self.call("read_session", request)

    def user(self, method: str, user_id: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Reply:
        """GET, PUT, PATCH or DELETE a user."""
        names = {"GET": "read_user", "PUT": "edit_user", "PATCH": "edit_user_patch", "DELETE": "edit_user_erase"}
        request = changed(event(names[method]), f"/users/{user_id}", headers, "", body)
        request["pathParameters"] = {"user_id": user_id}
        return self.call("read_user" if method == "GET" else "edit_user", request)

    def create_user(self, body: Any, headers: Mapping[str, str] | None = None) -> Reply:
        """POST a user, without a key unless `headers` has one."""
        request = event("edit_user_create")
        del request["headers"]["idempotency-key"]
        return self.call("edit_user", changed(request, "/users", headers, "", body))

    def count_user(self, user_id: str) -> Reply:
        """DELETE a user as a dry run."""
        request = changed(event("edit_user_erase_dry_run"), f"/users/{user_id}", {}, "dry_run=true")
        request["pathParameters"] = {"user_id": user_id}
        return self.call("edit_user", request)

    def export(self, user_id: str, **query: Any) -> Reply:
        """GET a page of the export of a user."""
        request = changed(event("read_user_export"), f"/users/{user_id}/export", {}, urlencode(query))
        request["pathParameters"] = {"user_id": user_id}
        return self.call("read_user", request)

    def users(self, **query: Any) -> Reply:
        """GET a page of the list of users."""
        return self.call("read_user", changed(event("read_user_list"), "/users", {}, urlencode(query)))

    def audit(self, **query: Any) -> Reply:
        """GET a page of the audit trail."""
        return self.call("read_audit", changed(event("read_audit"), "/audit", {}, urlencode(query)))

    def search(self, q: str, **query: Any) -> Reply:
        """GET a page of the turns that have these words."""
        return self.call("search", changed(event("search"), "/search", {}, urlencode({"q": q} | query)))

    def stats(self, **query: Any) -> Reply:
        """GET /stats."""
        request = event("stats")
        request["rawQueryString"] = urlencode(query)
        return self.call("stats", request)

    def refresh(self) -> Json:
        """Refresh the statistics, as the schedule does."""
        answer: Json = stats.handler(event("schedule"), self.context)
        return answer

    def health(self) -> Reply:
        """GET /health."""
        return self.call("health", event("health"))

    def database_health(self) -> Reply:
        """GET /health/database."""
        return self.call("stats", event("stats_database_health"))


class _CurrentStdout:
    """Writes to the current stdout. Powertools keeps one handler per process, and each test has its own stdout."""

    def write(self, text: str) -> int:
        return sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@contextmanager
def deployed(variables: Mapping[str, str]) -> Iterator[Bundle]:
    """Start a new execution environment with these variables and no others. It ends with the block.

    Without AUTH there is no authorizer, as on one machine.
    """
    before = environment.current
    environment.current = Environment(ChainMap(cast("dict[str, str]", variables), {"AUTH": "none"}))
    for handler in telemetry.logger().handlers:
        assert isinstance(handler, logging.StreamHandler)
        handler.stream = _CurrentStdout()
    try:
        yield Bundle()
    finally:
        if LazyConnection in environment.current.objects:
            lazy_connection().discard()
        environment.current = before


def changed(request: Json, path: str, headers: Mapping[str, str] | None, query: str, body: Any = None) -> Json:
    """Return an event with another path, query and body, and with more headers. A text is sent unchanged."""
    request["rawPath"] = path
    request["rawQueryString"] = query
    request["headers"].update(headers or {})
    if body is not None:
        request["body"] = body if isinstance(body, str) else json.dumps(body)
    return request


def copied(request: Json, **changes: Any) -> Json:
    """Return a deep copy of an event with top-level members replaced."""
    return {**copy.deepcopy(request), **changes}
