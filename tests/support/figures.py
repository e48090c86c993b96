"""Compare an answer of GET /stats with what the rows themselves say.

Days are history: a turn that was removed stays counted on its day, so the rows do not say it any more. If a test
removes turns or erases sessions, it calls `keep_history` first. Then `compare` counts days by what was written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

Json = dict[str, Any]

# A session of the same id that was made after an erasure is another session, so a turn is kept with its session's time.
# The trigger is on the parent, so a month that is made later adds nothing when turns move into it.
_KEEP_HISTORY = """
create schema history;
create table history.turns (tenant_id text, session_id text, session_created_at timestamptz, created_at timestamptz);
create function history.keep() returns trigger language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into history.turns
  select w.tenant_id, w.session_id, s.created_at, w.created_at
  from written w
  join robot_brain.sessions s on s.tenant_id = w.tenant_id and s.id = w.session_id;
  return null;
end
$$;
create trigger keep after insert on robot_brain.conversations
referencing new table as written for each statement execute function history.keep();
"""
_HAS_HISTORY = "select to_regclass('history.turns') is not null"
_DAYS_FROM_HISTORY = """
select row(h.session_id, h.session_created_at)::text as session, (h.created_at at time zone 'UTC')::date as day
from history.turns h where h.tenant_id = %(tenant)s
"""
_DAYS_FROM_ROWS = "select t.session_id as session, t.day from turns t"

# One statement, so that it has one snapshot. The result has the shape and the order of the answer. A session counts on
# each day on which a turn of it was written. A session whose erasure is not finished counts until its row goes, and its
# turns count until they go.
_ROWS = """
with turns as materialized (
  select
    c.session_id,
    c.robot_personality,
    length(c.robot_response) as length,
    (c.created_at at time zone 'UTC')::date as day
  from robot_brain.conversations c
  where c.tenant_id = %(tenant)s
),
said as materialized ({days}),
today as (select %(today)s::date as day)
select json_build_object(
  'totals', json_build_object(
    'sessions', (select count(*) from robot_brain.sessions s where s.tenant_id = %(tenant)s),
    'messages', (select count(*) from turns),
    'interactions', (select count(*) from robot_brain.robot_interactions i where i.tenant_id = %(tenant)s)
  ),
  'personalities', (
    select coalesce(json_agg(json_build_object(
      'robot_personality', p.robot_personality, 'messages', p.messages, 'avg_response_length', p.average
    ) order by p.messages desc, p.robot_personality), '[]')
    from (
      select
        robot_personality, count(*) as messages, round(avg(length) filter (where length > 0), 2) as average
      from turns
      group by 1
    ) p
  ),
  'daily', (
    select json_agg(json_build_object('date', d.day, 'sessions', d.sessions, 'messages', d.messages) order by d.day)
    from (
      select today.day - ago as day, count(distinct t.session) as sessions, count(t.session) as messages
      from today cross join generate_series(0, 30) ago left join said t on t.day = today.day - ago
      group by 1
    ) d
  ),
  'top_sessions', (
    select coalesce(json_agg(json_build_object(
      'session_id', s.id, 'message_count', s.message_count, 'last_message', robot_brain.iso_time(s.last_active)
    ) order by s.message_count desc, s.last_active desc, s.id), '[]')
    from (
      select s.*
      from robot_brain.sessions s, today
      where s.tenant_id = %(tenant)s and s.message_count > 0 and s.erasing_at is null
        and s.last_active >= (today.day - 30)::timestamp at time zone 'UTC'
      order by s.message_count desc, s.last_active desc, s.id
      limit 10
    ) s
  )
)
"""
# The counters of each session and what its turns say, and turns whose session is missing. An erasure takes the turns of
# its session step by step, so the counters of that session mean nothing any more.
_SESSIONS = """
with turns as (
  select
    c.session_id, count(*)::integer as message_count, sum(length(c.robot_response)) as response_length,
    count(*) filter (where c.robot_response = '') as unanswered, min(c.seq) as first_seq, max(c.seq) as last_seq
  from robot_brain.conversations c
  where c.tenant_id = %(tenant)s
  group by 1
)
select coalesce(json_agg(json_build_array(
  coalesce(s.id, t.session_id),
  json_build_object(
    'message_count', s.message_count, 'response_length', s.response_length, 'unanswered', s.unanswered,
    'is_within', t.session_id is null or (t.first_seq >= s.first_seq and t.last_seq <= s.message_count + s.removed)
  ),
  json_build_object(
    'message_count', coalesce(t.message_count, 0), 'response_length', coalesce(t.response_length, 0),
    'unanswered', coalesce(t.unanswered, 0), 'is_within', true
  )
)), '[]')
from (select * from robot_brain.sessions where tenant_id = %(tenant)s) s
full join turns t on t.session_id = s.id
where s.erasing_at is null
"""
_ANSWER = "select (robot_brain_api.stats(%s, null, 0)).body::json"
_TODAY = "select (now() at time zone 'UTC')::date"
_LATER = "select robot_brain.iso_time(clock_timestamp())"


@dataclass
class Compared:
    """How many figures were compared with the rows, and one line for each wrong one."""

    figures: int = 0
    wrong: list[str] = field(default_factory=list)

    def add(self, other: "Compared") -> None:
        """Add another comparison."""
        self.figures += other.figures
        self.wrong += other.wrong


def keep_history(observer: "psycopg.Connection[Any]") -> None:
    """Keep in the database on which day each turn was written, from now on and for all tenants.

    `observer` is a superuser's autocommit connection. Call it before the first write to the database. A trigger adds a
    row for each turn, in the transaction that writes it.
    """
    observer.execute(_KEEP_HISTORY)


def compare(
    observer: "psycopg.Connection[Any]", tenant: str, *, refreshed: bool, answer: Json | None = None
) -> Compared:
    """Compare the figures of `tenant` and the counters of its sessions with its rows, in one snapshot.

    `observer` is a superuser's autocommit connection. `answer` is the answer that a client got; no client may write
    meanwhile. Without `answer` we call the SQL function in the snapshot of the rows, so clients may write. The member
    `top_sessions` is as old as the last refresh. We compare it only if all writes are `refreshed`. Call `keep_history`
    before the first write if turns are removed.
    """
    with observer.transaction():
        observer.execute("set transaction isolation level repeatable read")
        said = answer if answer is not None else _value(observer, _ANSWER, tenant)
        days = _DAYS_FROM_HISTORY if _value(observer, _HAS_HISTORY) else _DAYS_FROM_ROWS
        rows = _value(observer, _ROWS.format(days=days), {"tenant": tenant, "today": said["daily"][-1]["date"]})
        sessions = _value(observer, _SESSIONS, {"tenant": tenant})
        today = _value(observer, _TODAY)
        later = _value(observer, _LATER)
    compared = Compared()
    # Midnight may have passed since a client got its answer.
    if said["daily"][-1]["date"] not in (str(today), *([str(today - timedelta(1))] if answer is not None else ())):
        compared.wrong.append(f"{tenant}: the last day is {said['daily'][-1]['date']}, and today is {today}")
    members = ("totals", "personalities", "daily", *(("top_sessions",) if refreshed else ()))
    for member in members:
        expected, found = dict(_figures(member, rows[member])), dict(_figures(member, said[member]))
        compared.figures += len(expected)
        for name in sorted(expected.keys() | found.keys()):
            if expected.get(name) != found.get(name):
                compared.wrong.append(f"{tenant}: {name} is {found.get(name)}, and {expected.get(name)} by the rows")
    for session_id, counters, turns in sessions:
        compared.figures += 3
        if counters != turns:
            compared.wrong.append(f"{tenant}: the session {session_id} has {counters}, and {turns} by its turns")
    compared.figures += 3
    if said["as_of"] > later:
        compared.wrong.append(f"{tenant}: as_of {said['as_of']} lies after the server's clock, {later}")
    if said["age_seconds"] < 0:
        compared.wrong.append(f"{tenant}: age_seconds is {said['age_seconds']}")
    return compared


def _value(observer: "psycopg.Connection[Any]", statement: str, parameters: Any = None) -> Any:
    given = [parameters] if isinstance(parameters, str) else parameters
    row = observer.execute(statement, given).fetchone()
    assert row is not None
    return row[0]


def _figures(member: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Yield each figure with its place in the answer, so that a wrong order counts as wrong figures."""
    if isinstance(value, dict):
        for name, figure in value.items():
            yield f"{member}.{name}", figure
    else:
        for place, entry in enumerate(value):
            yield from _figures(f"{member}[{place}]", entry)
