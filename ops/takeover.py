"""Take over a database whose schema yoyo-migrations applied and recorded, as an older `make migrate` did."""

from __future__ import annotations

from pathlib import Path
from typing import Any, LiteralString

import psycopg

from ops.errors import MigrationError
from ops.sql_files import SQL

# This migration makes the same schema as the files of yoyo followed by from_yoyo.sql.
BASE = "migrations/0001_base"
FROM_YOYO = SQL / "from_yoyo.sql"

_IDS = ["0001_roles", "0002_tables", "0003_partitions", "0004_statistics", "0005_api", "0006_recount"]
_DROP = """
drop table if exists robot_brain_migrations._yoyo_migration, robot_brain_migrations._yoyo_log,
  robot_brain_migrations._yoyo_version, robot_brain_migrations.yoyo_lock
"""


def was_recorded_by_yoyo(connection: psycopg.Connection[Any]) -> bool:
    """Return whether yoyo applied the whole schema; False if yoyo recorded no file.

    Raises MigrationError if yoyo recorded any other schema.
    """
    if value(connection, "select to_regclass('robot_brain_migrations._yoyo_migration') is null"):
        return False
    rows = connection.execute("select migration_id from robot_brain_migrations._yoyo_migration order by 1").fetchall()
    ids = [name for (name,) in rows]
    if not ids:
        return False
    if ids != _IDS or value(connection, "select robot_brain.schema_version()") != 2:
        raise MigrationError(
            f"The database has an older schema: yoyo-migrations recorded {ids[-1]} as its last file. "
            "Run `make migrate` from a checkout that has sql/0006_recount.sql, then from this one. Nothing was changed."
        )
    return True


def take_over(connection: psycopg.Connection[Any], from_yoyo: Path = FROM_YOYO) -> None:
    """Add to the schema what BASE has and the files of yoyo lack."""
    connection.execute(from_yoyo.read_bytes())


def drop_yoyo(connection: psycopg.Connection[Any]) -> None:
    """Drop the tables of yoyo."""
    connection.execute(_DROP)


def value(connection: psycopg.Connection[Any], query: LiteralString) -> Any:
    """Return the one value of a query."""
    row = connection.execute(query).fetchone()
    assert row is not None
    return row[0]
