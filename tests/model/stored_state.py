"""The state of the model as the rows of a tenant show it, also if no answer has said it."""

from __future__ import annotations

from typing import LiteralString

import psycopg

from tests.model.store import Session, Store, Turn, User

_SESSIONS: LiteralString = """
select s.id, s.version::text, s.user_id, s.message_count + s.removed, s.user_metadata
from robot_brain.sessions s where s.tenant_id = %s and s.erasing_at is null
"""
_TURNS: LiteralString = """
select c.session_id, c.id::text, c.seq, c.robot_personality, c.user_message, c.robot_response, c.items, c.metadata,
  robot_brain.iso_time(c.updated_at), to_jsonb(i) - 'updated_at'
from robot_brain.conversations c
left join robot_brain.robot_interactions i
  on i.tenant_id = c.tenant_id and i.session_id = c.session_id and i.seq = c.seq
where c.tenant_id = %s
order by c.session_id, c.seq
"""
_USERS: LiteralString = """
select u.id, u.version::text, robot_brain.user_document(u, robot_brain.profile_of(u.tenant_id, u.id))
from robot_brain.users u where u.tenant_id = %s
"""


def stored_state(admin: psycopg.Connection, tenant: str) -> Store:
    """Return the sessions, turns and users of a tenant. Times of creation are left out."""
    turns: dict[str, list[Turn]] = {}
    for session_id, id, seq, personality, message, response, items, metadata, updated_at, interaction in admin.execute(
        _TURNS, [tenant]
    ).fetchall():
        made = Turn(id, seq, personality, message, response, items, metadata, interaction, "", updated_at)
        turns.setdefault(session_id, []).append(made)
    sessions = {
        id: Session(id, version, "", "", last_seq, tuple(turns.get(id, [])), metadata, user_id)
        for id, version, user_id, last_seq, metadata in admin.execute(_SESSIONS, [tenant]).fetchall()
    }
    users = {
        id: User(id, version, "", "", {"profile": {}, **document})
        for id, version, document in admin.execute(_USERS, [tenant]).fetchall()
    }
    return Store(sessions=sessions, users=users)
