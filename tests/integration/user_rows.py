"""People with sessions, filled by few statements, and one step at a time of the erasure of a person."""

from __future__ import annotations

import json
from typing import Any, LiteralString

import psycopg

from tests.support.servers.databases import Database

Connection = psycopg.Connection[Any]

# Sessions `<prefix><n>` of a user, each with turns of which each second one has an interaction. Each session has the
# remembered answer of a key. The counts and the statistics are those that the API would have written.
_FILL: tuple[LiteralString, ...] = (
    """
    insert into robot_brain.sessions (
      tenant_id, id, user_id, user_metadata, created_at, last_active, active_hour, previous_active, message_count,
      response_length, answer_bytes
    )
    select
      %(tenant)s, %(prefix)s || n, %(user)s, jsonb_build_object('note', %(text)s::text), moment, moment,
      date_bin('1 hour', moment, to_timestamp(0)), moment, %(turns)s, %(turns)s * length(%(text)s),
      %(turns)s * (500 + 40 * length(%(text)s))
    from generate_series(1, %(sessions)s) n
    cross join lateral (select clock_timestamp() - n * %(apart)s::interval) m (moment)
    """,
    """
    insert into robot_brain.conversations (
      tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response, metadata, items
    )
    select
      s.tenant_id, s.id, n, s.last_active, 'barista', %(text)s, %(text)s, jsonb_build_object('m', %(text)s::text),
      jsonb_build_array(jsonb_build_object('item', %(text)s::text))
    from robot_brain.sessions s
    cross join generate_series(1, %(turns)s) n
    where s.tenant_id = %(tenant)s and s.user_id = %(user)s and starts_with(s.id, %(prefix)s)
    """,
    """
    insert into robot_brain.robot_interactions (
      tenant_id, session_id, seq, created_at, robot_id, interaction_type, duration_ms, success, metadata
    )
    select
      s.tenant_id, s.id, n, s.last_active, left(%(text)s, 50), 'chat', 1, true,
      jsonb_build_object('i', %(text)s::text)
    from robot_brain.sessions s
    cross join generate_series(1, %(turns)s, 2) n
    where s.tenant_id = %(tenant)s and s.user_id = %(user)s and starts_with(s.id, %(prefix)s)
    """,
    """
    insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, session_id, expires_at)
    select
      s.tenant_id, sha256(convert_to('key of ' || s.id, 'UTF8')), 'x', json_build_object('session_id', s.id), s.id,
      clock_timestamp() + interval '24 hours'
    from robot_brain.sessions s
    where s.tenant_id = %(tenant)s and s.user_id = %(user)s and starts_with(s.id, %(prefix)s)
    """,
    """
    insert into robot_brain.uncounted (
      tenant_id, day, robot_personality, messages, response_length, sessions, opened, interactions
    )
    select
      s.tenant_id, (s.last_active at time zone 'UTC')::date, 'barista', count(*) * %(turns)s,
      count(*) * %(turns)s * length(%(text)s), count(*), case when %(turns)s > 0 then count(*) else 0 end,
      count(*) * ((%(turns)s + 1) / 2)
    from robot_brain.sessions s
    where s.tenant_id = %(tenant)s and s.user_id = %(user)s and starts_with(s.id, %(prefix)s)
    group by s.tenant_id, 2
    """,
)
_STEP = "select state from robot_brain_api.erase_user(%s, %s, p_continue => %s)"
_COUNT = "select body::json from robot_brain_api.count_user(%s, %s)"
_ROWS = """
select
  (select count(*) from robot_brain.sessions where tenant_id = %(tenant)s),
  (select count(*) from robot_brain.conversations where tenant_id = %(tenant)s),
  (select count(*) from robot_brain.robot_interactions where tenant_id = %(tenant)s)
"""


def fill(
    admin: Connection,
    user: str,
    sessions: int,
    turns: int,
    *,
    prefix: str = "",
    text: str = "a text",
    tenant: str = "local",
    apart: str = "0 s",
) -> None:
    """Store sessions of a user. `prefix` begins their ids, and is the user's id without one. `apart` is between them.

    The first one is the newest.
    """
    given = {"user": user, "sessions": sessions, "turns": turns, "prefix": prefix or user, "text": text}
    with psycopg.ClientCursor(admin) as cursor:
        for statement in _FILL:
            cursor.execute(statement, {**given, "tenant": tenant, "apart": apart})


def step(connection: Connection, user: str, *, continues: bool = False, tenant: str = "local") -> str:
    """Take one step of the erasure of a user, and return the state after it."""
    row = connection.execute(_STEP, [tenant, user, continues]).fetchone()
    assert row is not None
    return str(row[0])


def finish(connection: Connection, user: str) -> int:
    """Take steps until the user is erased, and return their number."""
    steps = 1
    while step(connection, user, continues=True) != "erased":
        steps += 1
        assert steps < 500
    return steps


def dry_run(connection: Connection, user: str, tenant: str = "local") -> dict[str, int] | None:
    """Return what an erasure would erase, or None if nothing is held about the user."""
    row = connection.execute(_COUNT, [tenant, user]).fetchone()
    assert row is not None
    found: dict[str, int] | None = row[0]
    return found


def stored(admin: Connection, tenant: str = "local") -> dict[str, int]:
    """Count the rows of a tenant, in the form of a dry run."""
    row = admin.execute(_ROWS, {"tenant": tenant}).fetchone()
    assert row is not None
    return dict(zip(("sessions", "messages", "interactions"), row, strict=True))


def left_of(database: Database, text: str) -> list[tuple[str, str]]:
    """Return each stored row that contains `text`, with its table. The view of the statistics counts as a table."""
    with database.admin() as admin:
        tables = [name for (name,) in admin.execute(_RELATIONS).fetchall()]
        assert len(tables) > 8
        return [
            (name, row)
            for name in tables
            for (row,) in admin.execute(f"select t::text from {name} t where t::text like %s".encode(), [f"%{text}%"])
        ]


_RELATIONS = """
select c.oid::regclass::text
from pg_class c
join pg_namespace n on n.oid = c.relnamespace
where n.nspname = 'robot_brain' and c.relkind in ('r', 'p', 'm') and not c.relispartition
"""
TURN: dict[str, Any] = {"robot_personality": "barista", "user_message": "q", "robot_response": "a", "metadata": {}}
TURNS = json.dumps([TURN])
