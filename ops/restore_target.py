"""The database that a restore fills: whether it can take the backup, and what it has already."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from ops.archive import SCHEMAS, Archive, read_archive
from ops.contents import place_of, what_is_there
from ops.direct import connect, refuse_pooler
from ops.errors import MigrationError
from ops.logins import LOGINS
from ops.only_one import refuse_shared_pool
from ops.pg_tools import tools_for_restore

_TARGET = """
select
  pg_catalog.current_setting('server_version_num')::integer / 10000,
  pg_catalog.current_setting('server_encoding'),
  pg_catalog.pg_is_in_recovery(),
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
"""
_READ_ONLY = """
select s.source, pg_catalog.quote_ident(pg_catalog.current_database())
from pg_catalog.pg_settings s
where s.name = 'default_transaction_read_only' and s.setting = 'on'
"""
_FOUND = "select n.nspname from pg_catalog.pg_namespace n where n.nspname = any (%s) order by 1"
_CONNECTED = """
select count(*) from pg_catalog.pg_stat_activity
where usename = any (%s) and datname = pg_catalog.current_database() and backend_type = 'client backend'
"""


@contextmanager
def target_of(direct_url: str, file: Path) -> Iterator[tuple[psycopg.Connection[Any], Archive]]:
    """Yield a connection to the database, and the archive `file`, which the database can take.

    Raises UsageError or MigrationError, with what to do, if the database or the file does not fit.
    """
    refuse_pooler(direct_url)
    archive = read_archive(file, tools_for_restore())
    with connect(direct_url, "robot-brain-restore") as connection:
        refuse_shared_pool(connection, direct_url)
        _refuse_target(connection, archive)
        yield connection, archive


def _refuse_target(connection: psycopg.Connection[Any], archive: Archive) -> None:
    """Raise MigrationError if the archive cannot come into this database."""
    major, encoding, is_standby, may_create = connection.execute(_TARGET).fetchone() or (0, "", False, False)
    name = place_of(connection)
    if major < archive.server_major:
        raise MigrationError(
            f"{archive.file} was made of PostgreSQL {archive.server_major}, and {name} has PostgreSQL {major}. "
            "PostgreSQL restores into the same version or a newer one."
        )
    if encoding != "UTF8":
        raise MigrationError(
            f"The database {name} has the encoding {encoding}, and Robot Brain needs UTF8. Create a database with: "
            "create database … encoding 'UTF8' template template0"
        )
    if is_standby:
        raise MigrationError(f"{name} is a standby, which takes no writes. Use the primary's URL.")
    if not may_create:
        raise MigrationError(
            f"{connection.info.user} may not create schemas in {name}. Restore as the database's owner, or as a "
            "superuser."
        )


def allow_writes(connection: psycopg.Connection[Any]) -> str:
    """Let this connection write, also if the operator made the database read-only to stop all writes.

    Returns a sentence about how new connections can write again, or an empty text if they can.
    """
    row = connection.execute(_READ_ONLY).fetchone()
    if row is None:
        return ""
    source, name = row
    connection.execute("set default_transaction_read_only = off")
    # The new connection that runs it is read-only, too.
    statement = f"set default_transaction_read_only = off; alter database {name} reset default_transaction_read_only"
    return f"New connections to {name} may only read. This restore did not change that. Before `make migrate` " + (
        f"run: {statement}" if source == "database" else f"reset default_transaction_read_only (source: {source})."
    )


def found_schemas(connection: psycopg.Connection[Any]) -> list[str]:
    """Return our schemas that the database has."""
    return [name for (name,) in connection.execute(_FOUND, [list(SCHEMAS)]).fetchall()]


def refuse_found(connection: psycopg.Connection[Any], found: list[str]) -> None:
    """Raise MigrationError if the database has one of our schemas. Call it if nothing is to be replaced."""
    if found:
        raise MigrationError(
            f"The database {place_of(connection)} has Robot Brain already (the schema {found[0]}). Nothing was "
            "changed. Restore into an empty database, or replace what is there with REPLACE=1."
        )


def describe(connection: psycopg.Connection[Any], archive: Archive, found: list[str]) -> str:
    """Return the line that names the target of a restore, the time of the backup, and what the target has now."""
    return f"Restore into {place_of(connection)}: the backup of {archive.created}. {what_is_there(connection, found)}"


def connected(connection: psycopg.Connection[Any]) -> int:
    """Return how many connections of the functions to this database are open."""
    row = connection.execute(_CONNECTED, [list(LOGINS)]).fetchone()
    assert row is not None
    return int(row[0])
