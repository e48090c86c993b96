"""Users with sessions, turns, interactions and keys, made by set-based SQL, for benchmarks of erasures and exports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

# Random digits, because a text that repeats itself would be stored in less. The turns are a second apart.
_TURNS = """
insert into robot_brain.conversations (
  tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response, metadata
)
select
  'local', %(user)s || '-' || s, n, %(first)s::timestamptz + n * interval '1 second', 'barista', 'a question',
  (select string_agg(md5(n::text || '-' || s || '-' || i), '') from generate_series(1, %(text)s / 32) i), '{}'
from generate_series(%(from)s, %(from)s + %(sessions)s - 1) s
cross join generate_series(1, %(turns)s) n
"""
_SESSIONS = """
insert into robot_brain.sessions (
  tenant_id, id, user_id, user_metadata, created_at, last_active, active_hour, previous_active, message_count,
  response_length, answer_bytes
)
select
  'local', c.session_id, %(user)s, '{"topic": "coffee"}', min(c.created_at), max(c.created_at),
  date_bin('1 hour', max(c.created_at), to_timestamp(0)), max(c.created_at), count(*), sum(length(c.robot_response)),
  sum(robot_brain.turn_bytes(c.robot_personality, c.user_message, c.robot_response, c.metadata, c.items))
from robot_brain.conversations c
where c.session_id in (
  select %(user)s || '-' || s from generate_series(%(from)s, %(from)s + %(sessions)s - 1) s
)
group by c.session_id
"""
_INTERACTIONS = """
insert into robot_brain.robot_interactions (
  tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, created_at
)
select 'local', c.session_id, c.seq, 'robot', 'order', 5, true, c.created_at
from robot_brain.sessions s
join robot_brain.conversations c on c.tenant_id = s.tenant_id and c.session_id = s.id
where s.tenant_id = 'local' and s.user_id = %(user)s and c.seq %% 10 = 0
"""
# For the first turn of every other session of the user.
_KEYS = """
insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, session_id, expires_at)
select 'local', sha256(s.id::bytea), sha256('x'), repeat('x', 200), s.id, now() + interval '24 hours'
from robot_brain.sessions s
where s.tenant_id = 'local' and s.user_id = %(user)s and right(s.id, 1) in ('0', '2', '4', '6', '8')
"""
_USER = (
    "select from robot_brain_api.save_user(p_tenant_id => 'local', p_user_id => %(user)s, p_user => %(content)s,"
    " p_email_key => %(email)s)"
)
_FIRST = "select (date_trunc('hour', now()) - interval '1 day')::text"
_REFRESH = "select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()"


@dataclass(frozen=True)
class Sessions:
    """A number of sessions, their turns each, and the bytes of a turn's text."""

    sessions: int
    turns: int
    text: int = 320

    @property
    def all_turns(self) -> int:
        """Return the turns of all sessions."""
        return self.sessions * self.turns


def add_user(admin: psycopg.Connection[Any], user: str, *parts: Sessions) -> None:
    """Store a user with a profile and the sessions of all `parts`."""
    # Values in the text, because PostgreSQL finds two types for one parameter.
    cursor = psycopg.ClientCursor(admin)
    email = f"{user}@example.org"
    content = f'{{"email": "{email}", "profile": {{"first_name": "Ann"}}}}'
    cursor.execute(_USER, {"user": user, "content": content, "email": email})
    first = admin.execute(_FIRST).fetchone()
    assert first is not None
    number = 1
    for part in parts:
        values = {"user": user, "first": first[0], "from": number, **vars(part)}
        for statement in (_TURNS, _SESSIONS):
            cursor.execute(statement.encode(), values)
        number += part.sessions
    for statement in (_INTERACTIONS, _KEYS):
        cursor.execute(statement.encode(), {"user": user})


def count(admin: psycopg.Connection[Any]) -> None:
    """Refresh the statistics and those of the planner, as they are on a server that has had its users for a while."""
    admin.execute("vacuum (analyze)")
    admin.execute(_REFRESH)
    admin.execute("vacuum (analyze)")
    admin.execute("checkpoint")
