"""Compare an answer of GET /stats with what the rows themselves say."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import psycopg

Json = dict[str, Any]

# One statement, so that it has one snapshot. The result has the shape and the order of the answer. A session counts on
# each day on which it has a turn.
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
      select robot_personality, count(*) as messages, round(avg(length), 2) as average from turns group by 1
    ) p
  ),
  'daily', (
    select json_agg(json_build_object('date', d.day, 'sessions', d.sessions, 'messages', d.messages) order by d.day)
    from (
      select today.day - ago as day, count(distinct t.session_id) as sessions, count(t.session_id) as messages
      from today cross join generate_series(0, 30) ago left join turns t on t.day = today.day - ago
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
      where s.tenant_id = %(tenant)s and s.message_count > 0
        and s.last_active >= (today.day - 30)::timestamp at time zone 'UTC'
      order by s.message_count desc, s.last_active desc, s.id
      limit 10
    ) s
  )
)
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


def compare(
    observer: "psycopg.Connection[Any]", tenant: str, *, refreshed: bool, answer: Json | None = None
) -> Compared:
    """Compare the figures of `tenant` with its rows, in one snapshot.

    `observer` is a superuser's autocommit connection. `answer` is the answer that a client got; no client may write
    meanwhile. Without `answer` we call the SQL function in the snapshot of the rows, so clients may write. The member
    `top_sessions` is as old as the last refresh. We compare it only if all writes are `refreshed`.
    """
    with observer.transaction():
        observer.execute("set transaction isolation level repeatable read")
        said = answer if answer is not None else _value(observer, _ANSWER, tenant)
        rows = _value(observer, _ROWS, {"tenant": tenant, "today": said["daily"][-1]["date"]})
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
