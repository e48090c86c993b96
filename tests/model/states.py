"""Sessions in each state that the contract knows, made through the API.

`user` is the end user that makes the session, so that it becomes the session's user. None is a service.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import psycopg

from tests.model.request import ERASE, PATCH, POST, REMOVE, Request, send
from tests.model.store import Json
from tests.support.servers.databases import Database

# An erasure removes up to 5,000 turns in its first step, so more turns leave it unfinished.
MANY_TURNS = 5_100
_WRITE = "select from robot_brain_api.write_message(p_tenant_id => %s, p_session_id => %s, p_messages => %s)"
_ERASE = "select state from robot_brain_api.erase_session(p_tenant_id => %s, p_session_id => %s)"
_TABLES = (
    "sessions",
    "conversations",
    "robot_interactions",
    "idempotency_keys",
    "uncounted",
    "users",
    "user_profiles",
    "user_erasures",
    "audit_logs",
)


@dataclass(frozen=True)
class Tags:
    """The entity tags of a session: its present one, or its last one, and one of a state before that."""

    now: str
    stale: str


def turn(text: str = "", **members: object) -> Json:
    """Return a turn, with an interaction so that an erasure has one to remove."""
    interaction = {"interaction_type": "order", "duration_ms": 1, "success": True}
    texts = {"user_message": f"question {text}", "robot_response": f"answer {text}"}
    return {"robot_personality": "barista", **texts, "interaction": interaction, **members}


def unknown(database: Database, tenant: str, session_id: str, user: str | None = None) -> Tags:
    """Make no session. The tags are of no session."""
    return Tags('"3.1f"', '"2.1f"')


def patched(database: Database, tenant: str, session_id: str, user: str | None = None) -> Tags:
    """Make a session without a turn."""
    first = send(Request(PATCH, session_id, body={"user_metadata": {"state": 1}}, user=user))
    second = send(Request(PATCH, session_id, body={"user_metadata": {"state": 2}}, user=user))
    return Tags(second.headers["etag"], first.headers["etag"])


def live(database: Database, tenant: str, session_id: str, user: str | None = None) -> Tags:
    """Make a session with the turns 1 and 2. The turn 3 was removed, so the last seq is 3."""
    first = send(Request(POST, session_id, body={"messages": [turn("1"), turn("2"), turn("3")]}, user=user))
    second = send(Request(REMOVE, session_id, query={"after": 2}, user=user))
    return Tags(second.headers["etag"], first.headers["etag"])


def erased(database: Database, tenant: str, session_id: str, user: str | None = None) -> Tags:
    """Make a session and erase it."""
    tags = live(database, tenant, session_id, user)
    assert send(Request(ERASE, session_id, user=user)).status == 204
    return tags


def erasing(database: Database, tenant: str, session_id: str, user: str | None = None) -> Tags:
    """Make a session that is marked for erasure and still has turns."""
    tags = live(database, tenant, session_id, user)
    many = json.dumps([turn(metadata={}, interaction=None)] * 100).replace(', "interaction": null', "")
    with database.app() as app:
        for _ in range(MANY_TURNS // 100):
            app.execute(_WRITE, [tenant, session_id, many])
        assert app.execute(_ERASE, [tenant, session_id]).fetchone() == ("erasing",)
    return tags


MAKERS: dict[str, Callable[[Database, str, str, str | None], Tags]] = {
    "unknown": unknown,
    "erased": erased,
    "erasing": erasing,
    "no turn": patched,
    "2 turns": live,
}


def stored(admin: psycopg.Connection, tenant: str) -> list[tuple[str, str]]:
    """Return a digest of the rows of a tenant in each table that a request may change."""
    union = " union all ".join(
        f"select '{table}', md5(string_agg(t::text, ',' order by t::text)) from robot_brain.{table} t "
        f"where tenant_id = '{tenant}'"
        for table in _TABLES
    )
    return admin.execute(union.encode()).fetchall()
