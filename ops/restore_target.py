"""The database that a restore fills: whether it can take the backup, and what it has already."""

from __future__ import annotations

from typing import Any

import psycopg

from ops.archive import SCHEMAS, Archive
from ops.errors import MigrationError
from ops.logins import LOGINS

_TARGET = """
select
  pg_catalog.current_setting('server_version_num')::integer / 10000,
  pg_catalog.current_setting('server_encoding'),
  pg_catalog.pg_is_in_recovery(),
  pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')
"""
_FOUND = "select n.nspname from pg_catalog.pg_namespace n where n.nspname = any (%s) order by 1"
_CONNECTED = """
select count(*) from pg_catalog.pg_stat_activity
where usename = any (%s) and datname = pg_catalog.current_database() and backend_type = 'client backend'
"""


def refuse_target(connection: psycopg.Connection[Any], archive: Archive) -> None:
    """Raise MigrationError if the archive cannot come into this database."""
    major, encoding, is_standby, may_create = connection.execute(_TARGET).fetchone() or (0, "", False, False)
    name = connection.info.dbname
    if major < archive.server_major:
        raise MigrationError(
            f"{archive.file} was made of PostgreSQL {archive.server_major}, and {name} is on PostgreSQL {major}. "
            "PostgreSQL restores into the same version or a newer one."
        )
    if encoding != "UTF8":
        raise MigrationError(
            f"The database {name} has the encoding {encoding}, and Robot Brain needs UTF8. Create a database with: "
            "create database … encoding 'UTF8' template template0"
        )
    if is_standby:
        raise MigrationError(f"{name} is on a standby, which takes no writes. Use the primary's URL.")
    if not may_create:
        raise MigrationError(
            f"{connection.info.user} may not create schemas in {name}. Restore as the database's owner, or as a "
            "superuser."
        )


def found_schemas(connection: psycopg.Connection[Any], *, replace: bool) -> list[str]:
    """Return our schemas that the database has. Without `replace`, raises MigrationError if it has one."""
    found = [name for (name,) in connection.execute(_FOUND, [list(SCHEMAS)]).fetchall()]
    if found and not replace:
        raise MigrationError(
            f"The database {connection.info.dbname} has Robot Brain already (the schema {found[0]}). Nothing was "
            "changed. Restore into an empty database, or replace what is there with REPLACE=1."
        )
    return found


def connected(connection: psycopg.Connection[Any]) -> int:
    """Return how many connections of the functions to this database are open."""
    row = connection.execute(_CONNECTED, [list(LOGINS)]).fetchone()
    assert row is not None
    return int(row[0])
