"""The database that a backup is made of: its tables, and one moment for pg_dump and for the count of the turns."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg

from ops.archive import SCHEMAS
from ops.contents import Turns, place_of, read_turns
from ops.errors import MigrationError

# While a migration changes a table, the backup waits for its lock.
LOCK_WAIT = "60s"

# Row-level security leaves nothing out of the backup only for such a role.
_SEES_ALL = (
    "select current_user, r.rolsuper or r.rolbypassrls from pg_catalog.pg_roles r where r.rolname = current_user"
)
_TABLES = """
select
  n.nspname || '.' || c.relname,
  c.relkind,
  -- As the last vacuum saw it: to ask for the size itself would wait for a migration's lock.
  8192 * (greatest(c.relpages, 0)::bigint + coalesce(
    (select greatest(t.relpages, 0) from pg_catalog.pg_class t where t.oid = c.reltoastrelid), 0)),
  pg_catalog.has_schema_privilege(n.oid, 'usage') and pg_catalog.has_table_privilege(c.oid, 'select')
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) and c.relkind in ('r', 'p', 'S')
order by 1
"""
# The transaction stays open until pg_dump has its own one.
_BEGIN = f"""
begin isolation level repeatable read, read only;
set local idle_in_transaction_session_timeout = 0;
set local statement_timeout = 0;
set local lock_timeout = '{LOCK_WAIT}';
set local row_security = off
"""


def readable_tables(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Return the tables with rows and their sizes. Raises MigrationError if the role would leave something out."""
    role, sees_all = connection.execute(_SEES_ALL).fetchone() or ("", False)
    if not sees_all:
        raise MigrationError(
            f"{role} is no superuser and has no BYPASSRLS, so row-level security would keep rows out of the backup. "
            "Nothing was written. Use the role of Neon's console, or a superuser. "
            f"Or let a superuser run: alter role {role} bypassrls"
        )
    rows = connection.execute(_TABLES, [list(SCHEMAS)]).fetchall()
    if "robot_brain.sessions" not in (name for name, *_ in rows):
        raise MigrationError(
            f"The database {place_of(connection)} lacks Robot Brain: it has no table of sessions. Nothing was written. "
            "Check the database in DIRECT_DATABASE_URL."
        )
    if unreadable := [name for name, *_, may_read in rows if not may_read]:
        raise MigrationError(
            f"{role} may not read {', '.join(unreadable[:3])}{' and others' if unreadable[3:] else ''}. Nothing was "
            f"written. Use the role that ran `make migrate`, or let a superuser run: grant pg_read_all_data to {role}"
        )
    return {name: count for name, kind, count, _ in rows if kind == "r"}


@contextmanager
def one_moment(connection: psycopg.Connection[Any]) -> Iterator[tuple[str, Turns]]:
    """Yield a snapshot for pg_dump, and what the database has in it. The snapshot lives until the end of the block.

    Raises MigrationError if the turns cannot be counted.
    """
    try:
        connection.execute(_BEGIN.encode())
        row = connection.execute("select pg_catalog.pg_export_snapshot()").fetchone()
        turns = read_turns(connection)
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            f"Another connection has locked a table for {LOCK_WAIT}, probably a migration. Nothing was written. "
            "Run this again after its end."
        ) from error
    except psycopg.Error as error:
        raise MigrationError(f"The turns cannot be counted: {error}\nNothing was written.") from error
    assert row is not None
    yield str(row[0]), turns
    # If the connection was lost meanwhile, pg_dump has its own one.
    with suppress(psycopg.Error):
        connection.rollback()
