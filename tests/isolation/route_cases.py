"""For each route, the requests that use what a caller knows of another. `test_coverage` compares with template.yaml."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.isolation.calling import As
from tests.isolation.parties import SOUGHT, Known
from tests.support.bundle import Reply, changed, event

# It gets what the caller knows: a session of another caller, or a person of another tenant.
Send = Callable[[As, Any], Reply]


@dataclass(frozen=True)
class RouteCase:
    """A request. It is `steady` if two equal requests get equal answers."""

    name: str
    send: Send
    # Only a caller that sees all may send it.
    service_only: bool = False
    steady: bool = True


def _body(known: Known) -> dict[str, object]:
    return {"messages": known.messages}


def _tag(known: Known) -> dict[str, str]:
    return {"if-match": f'"{known.etag}"'}


def _seq(known: Known) -> dict[str, str]:
    return {"if-match": f'"{known.last_seq}"'}


def _key(known: Known) -> dict[str, str]:
    return {"idempotency-key": known.key}


WRONG = {"if-match": '"77"'}
NEW = {"if-match": '"0"'}
TURN = {"robot_personality": "own", "user_message": "q", "robot_response": "a"}


def _head_health(caller: As, _: Known) -> Reply:
    return caller.call("health", changed(event("health_head"), "/health", {}, ""))


ROUTE_CASES: dict[str, list[RouteCase]] = {
    "POST /sessions/{session_id}/messages": [
        RouteCase("its turns again", lambda a, k: a.write(k.id, _body(k))),
        RouteCase("its key and its body", lambda a, k: a.write(k.id, _body(k), _key(k))),
        RouteCase("its key and another body", lambda a, k: a.write(k.id, TURN, _key(k))),
        RouteCase("its key, its body and its whole tag", lambda a, k: a.write(k.id, _body(k), _key(k) | _tag(k))),
        RouteCase("its whole tag", lambda a, k: a.write(k.id, TURN, _tag(k))),
        RouteCase("its last seq as If-Match", lambda a, k: a.write(k.id, TURN, _seq(k))),
        RouteCase("If-Match of a session without turns", lambda a, k: a.write(k.id, TURN, NEW)),
        RouteCase("its metadata", lambda a, k: a.write(k.id, {**_body(k), "user_metadata": k.metadata})),
    ],
    "PUT /sessions/{session_id}/messages/{seq}": [
        RouteCase("its first turn as it is", lambda a, k: a.replace(k.id, 1, k.turn)),
        RouteCase("its last turn", lambda a, k: a.replace(k.id, max(k.last_seq, 1), k.turn)),
        RouteCase("its whole tag", lambda a, k: a.replace(k.id, 1, k.turn, _tag(k))),
        RouteCase("a wrong state as If-Match", lambda a, k: a.replace(k.id, 1, k.turn, WRONG)),
    ],
    "DELETE /sessions/{session_id}/messages": [
        RouteCase("all its turns", lambda a, k: a.remove(k.id, 0)),
        RouteCase("its last turn", lambda a, k: a.remove(k.id, max(k.last_seq - 1, 0))),
        RouteCase("its whole tag", lambda a, k: a.remove(k.id, 0, _tag(k))),
        RouteCase("a wrong state as If-Match", lambda a, k: a.remove(k.id, 0, WRONG)),
    ],
    "DELETE /sessions/{session_id}": [
        RouteCase("an erasure", lambda a, k: a.erase(k.id)),
        RouteCase("its whole tag", lambda a, k: a.erase(k.id, _tag(k))),
        RouteCase("a wrong state as If-Match", lambda a, k: a.erase(k.id, WRONG)),
    ],
    "PATCH /sessions/{session_id}": [
        RouteCase("an empty patch", lambda a, k: a.patch(k.id, {})),
        RouteCase("its metadata", lambda a, k: a.patch(k.id, {"user_metadata": k.metadata})),
        RouteCase("a member of its metadata removed", lambda a, k: a.patch(k.id, {"user_metadata": {"name": None}})),
        RouteCase("its whole tag", lambda a, k: a.patch(k.id, {}, _tag(k))),
        RouteCase("its last seq as If-Match", lambda a, k: a.patch(k.id, {}, _seq(k))),
        RouteCase("If-Match of a session without turns", lambda a, k: a.patch(k.id, {}, NEW)),
        RouteCase("its user", lambda a, k: a.patch(k.id, {"user_id": k.user}), service_only=True),
    ],
    "GET /sessions/{session_id}": [
        RouteCase("its newest page", lambda a, k: a.read(k.id)),
        RouteCase("the page before its last seq", lambda a, k: a.read(k.id, before=k.last_seq + 1, limit=1)),
        RouteCase("the page after its first seq", lambda a, k: a.read(k.id, after=max(k.last_seq - 1, 0))),
        RouteCase("what fits few characters", lambda a, k: a.read(k.id, max_chars=1)),
        RouteCase("its tag in If-None-Match", lambda a, k: a.read(k.id, {"if-none-match": f'"{k.etag}"'})),
        RouteCase("its weak tag in If-None-Match", lambda a, k: a.read(k.id, {"if-none-match": f'W/"{k.etag}"'})),
        RouteCase("any tag in If-None-Match", lambda a, k: a.read(k.id, {"if-none-match": "*"})),
    ],
    "GET /sessions": [
        RouteCase("its cursor", lambda a, k: a.sessions(cursor=k.cursors[0])),
        RouteCase("its cursor for the caller's own list", lambda a, k: a.sessions(cursor=k.cursor_for(a.party.user))),
        RouteCase("its last cursor with previews", lambda a, k: a.sessions(cursor=k.cursors[-1], preview="true")),
        RouteCase("a list with previews", lambda a, k: a.sessions(preview="true", limit=100)),
        RouteCase("its user as filter", lambda a, k: a.sessions(user_id=k.user or "bea")),
        RouteCase("its user and cursor", lambda a, k: a.sessions(user_id=k.user or "bea", cursor=k.cursors[0])),
    ],
    "GET /audit": [
        RouteCase("the entries of its session", lambda a, k: a.audit(record=k.id)),
        RouteCase("what its user did", lambda a, k: a.audit(user=k.user or "bea")),
        RouteCase("a cursor of its list", lambda a, k: a.audit(cursor=k.cursors[0])),
        RouteCase("all entries", lambda a, k: a.audit(limit=100)),
    ],
    "GET /search": [
        RouteCase("its words", lambda a, k: a.search(k.turn["user_message"])),
        RouteCase("the beginning of its word", lambda a, k: a.search(k.turn["user_message"][:-6], prefix="true")),
        RouteCase("all turns", lambda a, k: a.search(SOUGHT, limit=50)),
        RouteCase("all turns, by relevance", lambda a, k: a.search(SOUGHT, order="relevance")),
        RouteCase("turns of its session", lambda a, k: a.search(SOUGHT, session_id=k.id)),
        RouteCase("turns of its user", lambda a, k: a.search(SOUGHT, user_id=k.user or "bea")),
        RouteCase("turns with its metadata", lambda a, k: a.search(SOUGHT, metadata=json.dumps(k.turn["metadata"]))),
        RouteCase("its cursor", lambda a, k: a.search(SOUGHT, cursor=k.search_cursor)),
        RouteCase(
            "its cursor for the caller's own search",
            lambda a, k: a.search(SOUGHT, cursor=k.search_cursor_for(a.party.user)),
        ),
    ],
    "GET /stats": [
        RouteCase("the figures of its session", lambda a, k: a.stats(session_id=k.id)),
        RouteCase("the figures of all sessions", lambda a, k: a.stats()),
    ],
    "GET /health/database": [RouteCase("the report", lambda a, k: a.database_health(), steady=False)],
    "GET /health": [RouteCase("the state", lambda a, k: a.health())],
    "HEAD /health": [RouteCase("the state", _head_health)],
}
