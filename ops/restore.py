"""Restore a backup of Robot Brain into a database, in one transaction: as a whole or not at all.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops restore --file brain.dump [--replace]

pg_restore turns the archive into SQL, and this command runs it on a connection of its own. So a failure at any step,
the rights at its end too, leaves the database as it was. No shell runs a line of the archive.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ops.apply_files import LOCK
from ops.archive import RECORDS, SCHEMAS, Archive, read_archive
from ops.audit import append
from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError, UsageError
from ops.loading import load
from ops.logins import LOGINS, assert_logins
from ops.only_one import only_one
from ops.pg_tools import tools_for_restore
from ops.progress import Progress, progress
from ops.records import read_records, schema_version
from ops.replacing import drop_schemas
from ops.rights import Corrections, correct_rights
from ops.roles import make_roles
from ops.sql_files import read_sql
from ops.stopping import stoppable

Say = Callable[[str], None]

_STOPPED = "The restore was stopped. Nothing was changed."
_UNKNOWN = (
    "The restore was stopped while it was being committed. So it happened as a whole, or not at all: look at the data, "
    "and run it again with REPLACE=1 if you are not sure."
)
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
# An owner of objects needs this right when it gets them.
_SCHEMA = "create schema {} authorization robot_brain_owner"
_ALLOW = "grant create on schema {} to robot_brain_stats, robot_brain_audit"
_FORBID = "revoke create on schema {} from robot_brain_stats, robot_brain_audit"
# With its rows loaded and its policies not made yet, each table shows all its rows to its owner's members.
_TURNS_LACK = """
select exists (
  select from robot_brain.sessions s
  where s.message_count > 0 and (pg_catalog.to_jsonb(s) ->> 'erasing_at') is null
) and not exists (select from robot_brain.conversations)
"""
_OURS = """
select pg_catalog.format('%%I.%%I', n.nspname, c.relname)
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = any (%s) and (c.relkind in ('p', 'm') or (c.relkind = 'r' and not c.relispartition))
order by 1
"""
_NO_LIMITS = """
select pg_catalog.set_config(s.name, '0', true)
from pg_catalog.pg_settings s
where s.name in ('statement_timeout', 'transaction_timeout', 'idle_in_transaction_session_timeout')
"""


def restore(direct_url: str, file: Path, shown: Progress, say: Say = print, *, replace: bool = False) -> bool:
    """Restore the backup `file`, and return whether `make migrate` has something left to apply.

    With `replace` the schemas that are there are dropped in the same transaction. Calls `say` with what an operator
    should know. Raises UsageError or MigrationError, with what to do, and has then changed nothing.
    """
    refuse_pooler(direct_url)
    archive = read_archive(file, tools_for_restore())
    with connect(direct_url, "robot-brain-restore") as connection:
        _refuse_target(connection, archive)
        with only_one(connection, LOCK, "migration"):
            found = [name for (name,) in connection.execute(_FOUND, [list(SCHEMAS)]).fetchall()]
            if found and not replace:
                raise MigrationError(
                    f"The database {connection.info.dbname} has Robot Brain already (the schema {found[0]}). Nothing "
                    "was changed. Restore into an empty database, or replace what is there with REPLACE=1."
                )
            _say_connected(connection, say)
            commits = False
            try:
                with connection.transaction():
                    pending = _restore(connection, archive, found, shown, say)
                    commits = True
                return pending
            except KeyboardInterrupt:
                if commits:
                    raise MigrationError(_UNKNOWN) from None
                raise
            except psycopg.errors.InsufficientPrivilege as error:
                raise MigrationError(
                    f"{error.diag.message_primary}. Nothing was changed. Restore as the role that runs `make migrate`, "
                    "or as a superuser."
                ) from error
            except psycopg.errors.LockNotAvailable as error:
                raise MigrationError(
                    "Another connection uses a table that is to be replaced. Nothing was changed. Wait for its end, "
                    "and run it again."
                ) from error
            except psycopg.Error as error:
                outcome = _UNKNOWN if commits else "Nothing was changed."
                raise MigrationError(f"{error}\n{outcome}") from error


def _refuse_target(connection: psycopg.Connection[Any], archive: Archive) -> None:
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


def _say_connected(connection: psycopg.Connection[Any], say: Say) -> None:
    (count,) = connection.execute(_CONNECTED, [list(LOGINS)]).fetchone() or (0,)
    if count:
        say(f"Connections of the functions to this database: {count}. Their requests fail until the restore ends.")


def _restore(
    connection: psycopg.Connection[Any], archive: Archive, found: list[str], shown: Progress, say: Say
) -> bool:
    connection.execute(_NO_LIMITS)
    make_roles(connection, is_new=False)
    drop_schemas(connection, found)
    for schema in archive.schemas:
        name = sql.Identifier(schema)
        connection.execute(sql.SQL(_SCHEMA).format(name))
        connection.execute(sql.SQL(_ALLOW).format(name))

    for loaded in load(connection, archive, shown, say):
        if loaded == "rows" and connection.execute(_TURNS_LACK).fetchone() == (True,):
            raise MigrationError(
                f"{archive.file} holds sessions and none of their turns: it was made by a role that may not read all "
                "rows. Nothing was changed. Use a backup of `make ops DO=backup`."
            )
    for schema in archive.schemas:
        connection.execute(sql.SQL(_FORBID).format(sql.Identifier(schema)))
    # Before they belonged to robot_brain_owner, the records belonged to a role that only the other cluster has.
    for (table,) in connection.execute(_OURS, [[RECORDS]]).fetchall():
        connection.execute(f"alter table {table} owner to robot_brain_owner".encode())
    pending = _is_pending(connection, archive)
    assert_logins(connection)
    if not pending:
        corrections = Corrections()
        correct_rights(connection, corrections)
        try:
            corrections.raise_failed()
        except MigrationError as error:
            say(str(error))
    for (table,) in connection.execute(_OURS, [list(SCHEMAS)]).fetchall():
        shown.show(f"Restore: collecting the planner's statistics of {table}")
        connection.execute(f"analyze {table}".encode())
    restored = {"restored": len(archive.tables), "replaced": bool(found)}
    append(connection, "files", str(schema_version(connection)), restored)
    return pending


def _is_pending(connection: psycopg.Connection[Any], archive: Archive) -> bool:
    """Return whether `make migrate` has a file to apply. Raises MigrationError if the backup is newer than it."""
    files = read_sql()
    try:
        records = read_records(connection, files)
        return bool(records.from_yoyo or records.migrations(files) or records.functions(files))
    except MigrationError as error:
        raise MigrationError(f"{archive.file} does not fit this checkout, and nothing was changed. {error}") from error


def main(arguments: Sequence[str]) -> int:
    """Restore a backup into DIRECT_DATABASE_URL, and print what to do next. Raises OperatorError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops restore", description="Restore a backup of Robot Brain.")
    parser.add_argument("--file", default="", help="the name of the backup")
    parser.add_argument("--replace", action="store_true", help="drop what is there, in the same transaction")
    options = parser.parse_args(arguments)
    if not options.file.strip():
        raise UsageError("Name the file of the backup: make ops DO=restore FILE=brain.dump")
    with stoppable(_STOPPED), progress() as shown:

        def say(text: str) -> None:
            shown.clear()
            print(text, file=sys.stderr)

        restore(url_from_environment(), Path(options.file), shown, say, replace=options.replace)
    print(f"Restored {options.file}.")
    print(
        "Next:\n"
        "1. Run `make migrate`. It brings an older backup up to date, and checks the rights.\n"
        "2. If the functions cannot log in yet, run `make app-password`.\n"
        "3. Erase again the sessions and persons that were erased after the backup (docs/backup.md)."
    )
    return 0
