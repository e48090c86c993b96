"""Make, clear and count idempotency keys."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support.servers.databases import Database

WRITE = (
    "select body, replayed from robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => 's',"
    " p_messages => %s, p_key => %s, p_first_id => %s)"
)
# A write clears at most STEP expired keys, and only if the first byte of its key's hash is below CLEARS_BELOW.
CLEARS_BELOW = 2
STEP = 500
TURN = json.dumps([{"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}])
# `number` keys that expire one after the other. The first one expires at `since`.
_FILL = """
insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, expires_at)
select 'local', sha256(convert_to(%(name)s || n, 'UTF8')), sha256('x'), repeat('x', 200),
  now() + %(since)s::interval + n * interval '0.1 seconds'
from generate_series(1, %(number)s) n
"""
_NO_VACUUM = "alter table robot_brain.idempotency_keys set (autovacuum_enabled = off)"
# Pages read from the table, its indexes and its TOAST table, then index entries and rows that scans returned.
_TOUCHED = """
select
  sum(pg_stat_get_xact_blocks_fetched(c.oid))::int,
  coalesce(sum(pg_stat_get_xact_tuples_returned(c.oid)), 0)::int
from pg_class c
where c.oid = 'robot_brain.idempotency_keys'::regclass
  or c.oid in (select indexrelid from pg_index where indrelid = 'robot_brain.idempotency_keys'::regclass)
  or c.oid = (select reltoastrelid from pg_class where oid = 'robot_brain.idempotency_keys'::regclass)
"""


def never_vacuumed(admin: psycopg.Connection) -> None:
    """Switch autovacuum off for the keys. On a compute that sleeps after minutes, it may never run."""
    admin.execute(_NO_VACUUM)


def fill(admin: psycopg.Connection, number: int, since: str, name: str = "old ") -> None:
    """Insert keys that expire one after the other. The first one expires at `since`, an interval from now."""
    admin.execute(_FILL, {"number": number, "since": since, "name": name})


def keys(clearing: bool, name: str = "key") -> Iterator[str]:
    """Yield keys without end. A write with such a key clears expired keys if `clearing`, otherwise it does not."""
    for number in itertools.count():
        key = f"{name} {number}"
        if (hashlib.sha256(key.encode()).digest()[0] < CLEARS_BELOW) == clearing:
            yield key


def write(connection: psycopg.Connection, key: str | None) -> tuple[str, bool]:
    """Write a turn. Return the answer, and whether it is a replay."""
    row = connection.execute(WRITE, (TURN, key, None if key else uuid.uuid4())).fetchone()
    assert row is not None
    return row[0], row[1]


def touched(connection: psycopg.Connection, key: str | None) -> tuple[int, int]:
    """Write a turn. Return how many pages of the keys this touched, and how many entries or rows it read."""
    with connection.transaction():
        # The counters of the server continue from one transaction to the next.
        before = connection.execute(_TOUCHED).fetchone()
        write(connection, key)
        after = connection.execute(_TOUCHED).fetchone()
    assert before is not None
    assert after is not None
    return after[0] - before[0], after[1] - before[1]


def clear(connection: psycopg.Connection, most: int = 20_000, *, whole: bool) -> int:
    """Clear at most `most` expired keys and return their number.

    Begins with the oldest key if `whole`, otherwise after the stored bound.
    """
    row = connection.execute("select robot_brain.clear_keys(%s, %s)", (most, whole)).fetchone()
    assert row is not None
    return int(row[0])


def expired(admin: psycopg.Connection) -> int:
    """Return how many expired keys are stored."""
    row = admin.execute("select count(*) from robot_brain.idempotency_keys where expires_at <= now()").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def old_snapshot(database: Database) -> Iterator[None]:
    """Hold a snapshot and a transaction id, as a dump does. No row deleted in the meantime can be vacuumed."""
    with database.admin() as dump:
        dump.execute("begin isolation level repeatable read")
        dump.execute("select pg_current_xact_id()")
        dump.execute("select count(*) from robot_brain.sessions")
        yield
        dump.execute("rollback")
