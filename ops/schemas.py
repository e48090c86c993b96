"""Which schemas of Robot Brain a database has, before a migration: all of them, only a part, or nothing yet."""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from ops.errors import MigrationError
from ops.logins import LOGINS

_NEW = "this database has no schema of Robot Brain yet"
# to_regclass would fail for a role without rights on the schema.
_READ = """
select
  pg_catalog.bool_or(n.nspname = 'robot_brain'),
  pg_catalog.bool_or(n.nspname = 'robot_brain_api'),
  pg_catalog.bool_or(c.relname = 'files'),
  pg_catalog.bool_or(c.relname = '_yoyo_migration')
from pg_catalog.pg_namespace n
left join pg_catalog.pg_class c
  on c.relnamespace = n.oid and n.nspname = 'robot_brain_migrations' and c.relname in ('files', '_yoyo_migration')
where n.nspname in ('robot_brain', 'robot_brain_api', 'robot_brain_migrations')
"""
_CAN_LOG_IN = "select rolname from pg_catalog.pg_roles where rolname = any (%s) and rolcanlogin order by 1"

logger = logging.getLogger("robot_brain.migrate")


def is_new(connection: psycopg.Connection[Any]) -> bool:
    """Return whether the database has no schema of Robot Brain yet.

    Raises MigrationError, with what to do, if a part of it is gone.
    """
    row = connection.execute(_READ).fetchone()
    assert row is not None
    tables, functions, records, of_yoyo = map(bool, row)
    if records and not tables:
        raise MigrationError(
            "The records say that migrations were applied, and the schema robot_brain is gone: restore a backup "
            "(docs/backup.md), or run this to begin with an empty one: "
            "drop schema if exists robot_brain_migrations, robot_brain_api cascade;"
        )
    if records and not functions:
        raise MigrationError(
            "The schema robot_brain_api is gone. It held only functions, and `make migrate` makes them again. "
            "Run this: create schema robot_brain_api authorization robot_brain_owner; then run `make migrate` again."
        )
    if (tables or functions) and not records and not of_yoyo:
        raise MigrationError(
            f"The database has the schema {'robot_brain' if tables else 'robot_brain_api'}, and the records of its "
            "migrations are gone: restore a backup (docs/backup.md)."
        )
    return not tables


def announce_new(connection: psycopg.Connection[Any], *, only_plan: bool = False) -> None:
    """Say that a migration makes a new, empty schema. Warn if a login says that the cluster was in use."""
    logger.info(_NEW if only_plan else f"{_NEW}: making a new, empty one")
    logins = [name for (name,) in connection.execute(_CAN_LOG_IN, [list(LOGINS)]).fetchall()]
    if logins:
        logger.warning(
            "warning: %s can log in already, so this cluster was in use. If this database had data, restore a backup "
            "(docs/backup.md).",
            ", ".join(logins),
        )
