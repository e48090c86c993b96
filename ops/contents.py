"""How many sessions and turns a database holds, so that an operator sees what a backup has or a restore replaces."""

from __future__ import annotations

from typing import Any, NamedTuple

import psycopg

# A session that is being erased has lost some of its turns already.
_TURNS = """
with live as (
  select s.tenant_id, s.id, s.message_count
  from robot_brain.sessions s
  where (pg_catalog.to_jsonb(s) ->> 'erasing_at') is null
)
select
  (select count(*) from live),
  (select coalesce(sum(l.message_count), 0) from live l),
  (select count(*) from robot_brain.conversations c join live l on l.tenant_id = c.tenant_id and l.id = c.session_id)
"""
# The counters of the sessions say it without reading a turn.
_NOW = """
select count(*), coalesce(sum(s.message_count), 0),
  pg_catalog.to_char(max(s.last_active) at time zone interval '0', 'YYYY-MM-DD HH24:MI:SS')
from robot_brain.sessions s
"""
# robot_brain_stats sees the sessions of all tenants, as long as it has this policy. Without it, it would see none.
_READER = """
select exists (
  select from pg_catalog.pg_policies p
  where p.schemaname = 'robot_brain' and p.tablename = 'sessions' and p.qual = 'true'
    and p.roles = '{robot_brain_stats}'
)
"""
# With row_security off, PostgreSQL raises an error in place of leaving rows out.
_AS_STATS = "set local role robot_brain_stats; set local row_security = on"
_AS_ITSELF = "set local row_security = off"
# It is only a message: a restore does not wait long for it.
_LIMITS = "set local lock_timeout = '3s'; set local statement_timeout = '30s'"


class Turns(NamedTuple):
    """The number of sessions, of turns that their counters say, and of turns that are stored."""

    sessions: int
    counted: int
    stored: int

    def __str__(self) -> str:
        return amounts(self.sessions, self.stored)

    @property
    def lack(self) -> str:
        """The sentence that turns are missing, or an empty text."""
        if self.stored >= self.counted:
            return ""
        return f"The sessions count {_amount(self.counted, 'turn')}, and {self.stored} of them can be read."


def amounts(sessions: int, turns: int) -> str:
    """Return both numbers as people write them, such as `1 session, 3 turns`."""
    return f"{_amount(sessions, 'session')}, {_amount(turns, 'turn')}"


def _amount(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def place_of(connection: psycopg.Connection[Any]) -> str:
    """Return the database and the server of a connection as `database on host:port`."""
    info = connection.info
    return f"{info.dbname} on {info.host}:{info.port}"


def read_turns(connection: psycopg.Connection[Any]) -> Turns:
    """Count the sessions and turns. The connecting role must see all rows. Raises psycopg.Error if it may not."""
    row = connection.execute(_TURNS).fetchone()
    assert row is not None
    return Turns(*map(int, row))


def what_is_there(connection: psycopg.Connection[Any], found: list[str]) -> str:
    """Return a sentence about what a database with our schemas `found` holds now."""
    if not found:
        return "There now: no Robot Brain."
    has_policy = connection.execute(_READER).fetchone() == (True,)
    reason = ""
    for way in (_AS_STATS, _AS_ITSELF) if has_policy else (_AS_ITSELF,):
        try:
            with connection.transaction():
                connection.execute(f"{_LIMITS}; {way}".encode())
                row = connection.execute(_NOW).fetchone()
        except psycopg.Error as error:
            reason = error.diag.message_primary or str(error)
        else:
            sessions, turns, last = row or (0, 0, None)
            return f"There now: {amounts(sessions, turns)}{f', last write {last} UTC' if last else ''}."
    return f"There now: Robot Brain, and its sessions cannot be counted ({reason})."
