"""Restore a backup of Robot Brain into a database, in one transaction: as a whole or not at all.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops restore --file brain.dump [--replace]

pg_restore turns the archive into SQL, and this command runs it on a connection of its own. So a failure at any step,
the rights at its end too, leaves the database as it was. No shell runs a line of the archive.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from ops.apply_files import LOCK
from ops.archive import RECORDS, SCHEMAS, Archive, file_named
from ops.audit import append
from ops.contents import Turns, place_of, read_turns
from ops.direct import url_from_environment
from ops.errors import MigrationError
from ops.loading import load
from ops.logins import assert_logins
from ops.only_one import assert_held, only_one
from ops.progress import Progress, progress
from ops.records import read_records, schema_version
from ops.replacing import drop_schemas
from ops.restore_check import check
from ops.restore_target import allow_writes, connected, describe, found_schemas, refuse_found, target_of
from ops.restored_functions import apply_functions
from ops.rights import Corrections, correct_rights
from ops.roles import make_roles
from ops.sql_files import SqlFiles, read_sql
from ops.stopping import stoppable

Say = Callable[[str], None]

_STOPPED = "The restore was stopped. Nothing was changed."
_UNKNOWN = (
    "The restore was stopped while it was being committed. So it happened as a whole, or not at all: look at the data, "
    "and run it again with REPLACE=1 if you are not sure."
)
_REQUESTS = "Their requests wait for the restore. After 5 s they fail, and work again after its end."
# An owner of objects needs this right when it gets them.
_SCHEMA = "create schema {} authorization robot_brain_owner"
_ALLOW = "grant create on schema {} to robot_brain_stats, robot_brain_audit, robot_brain_search"
_FORBID = "revoke create on schema {} from robot_brain_stats, robot_brain_audit, robot_brain_search"
# fill_words makes months in it.
_KEEP = "grant create on schema robot_brain to robot_brain_search"
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


def restore(
    direct_url: str, file: Path, shown: Progress, say: Say = print, *, replace: bool = False, force: bool = False
) -> str:
    """Restore the backup `file`, and return the database and what it has now.

    With `replace` the schemas that are there are dropped in the same transaction. An archive that lacks turns is
    restored only with `force`. Calls `say` with what an operator should know.
    Raises UsageError or MigrationError, with what to do, and has then changed nothing.
    """
    with target_of(direct_url, file) as (connection, archive):
        read_only = allow_writes(connection)
        with only_one(connection, LOCK, "migration"):
            found = found_schemas(connection)
            say(describe(connection, archive, found))
            if not replace:
                refuse_found(connection, found)
            if count := connected(connection):
                say(f"Connections of the functions to this database: {count}. {_REQUESTS}")
            commits = False
            try:
                with connection.transaction():
                    turns = _restore(connection, archive, found, shown, say, force=force)
                    commits = True
                if read_only:
                    say(read_only)
                return f"{place_of(connection)}: {turns}"
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
            except psycopg.errors.OutOfMemory as error:
                raise MigrationError(
                    f"{error.diag.message_primary}: the server has no room for so many locks in one transaction. "
                    "Nothing was changed. Restore into an empty database, which needs fewer, or let the server start "
                    "with a larger max_locks_per_transaction."
                ) from error
            except psycopg.Error as error:
                outcome = _UNKNOWN if commits else "Nothing was changed."
                raise MigrationError(f"{error}\n{outcome}") from error


def _restore(
    connection: psycopg.Connection[Any],
    archive: Archive,
    found: list[str],
    shown: Progress,
    say: Say,
    *,
    force: bool,
) -> Turns:
    assert_held(connection, LOCK)
    connection.execute(_NO_LIMITS)
    make_roles(connection, is_new=False)
    drop_schemas(connection, found)
    for schema in archive.schemas:
        name = sql.Identifier(schema)
        connection.execute(sql.SQL(_SCHEMA).format(name))
        connection.execute(sql.SQL(_ALLOW).format(name))

    files = read_sql()
    pending = False
    turns = Turns(0, 0, 0)
    for loaded in load(connection, archive, shown, say):
        if loaded == "rows":
            # Its policies are not made yet, so each table shows all its rows to the members of its owner.
            turns = read_turns(connection)
            _refuse_lack(turns, archive, say, force=force)
        elif loaded == "rest":
            pending = _is_pending(connection, archive, files)
            if not pending:
                apply_functions(connection, files)
    for schema in archive.schemas:
        connection.execute(sql.SQL(_FORBID).format(sql.Identifier(schema)))
    connection.execute(_KEEP)
    # Before they belonged to robot_brain_owner, the records belonged to a role that only the other cluster has.
    for (table,) in connection.execute(_OURS, [[RECORDS]]).fetchall():
        connection.execute(f"alter table {table} owner to robot_brain_owner".encode())
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
    restored = {
        "restored": len(archive.tables),
        "replaced": bool(found),
        "file": archive.file.name,
        "backup_of": archive.created,
    }
    append(connection, "files", str(schema_version(connection)), restored)
    return turns


def _refuse_lack(turns: Turns, archive: Archive, say: Say, *, force: bool) -> None:
    """Raise MigrationError if the archive lacks turns that its sessions count. With `force` only say so."""
    if not turns.lack:
        return
    if not force:
        raise MigrationError(
            f"{archive.file} lacks turns: {turns.lack} Nothing was changed. Either the role that made it may not read "
            "all rows: use a backup of `make ops DO=backup`. Or somebody changed rows by hand before the backup: "
            "restore what is there with FORCE=1, and run `make ops DO=recount` afterwards."
        )
    say(f"{archive.file} lacks turns: {turns.lack} Run `make ops DO=recount` afterwards.")


def _is_pending(connection: psycopg.Connection[Any], archive: Archive, files: SqlFiles) -> bool:
    """Return whether `make migrate` has a file to apply. Raises MigrationError if the backup is newer than it."""
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
    parser.add_argument("--dry-run", action="store_true", help="only read the file, and say what is there")
    parser.add_argument("--force", action="store_true", help="restore a backup that lacks turns, too")
    options = parser.parse_args(arguments)
    url = url_from_environment()
    file = file_named(options.file, "restore")
    logging.basicConfig(format="%(message)s")
    # It names the command that this one waits for.
    logging.getLogger("robot_brain.operator").setLevel(logging.INFO)
    with stoppable(_STOPPED), progress() as shown:

        def say(text: str) -> None:
            shown.clear()
            print(text, file=sys.stderr)

        if options.dry_run:
            print(check(url, file, shown, say, replace=options.replace))
            return 0
        restored = restore(url, file, shown, say, replace=options.replace, force=options.force)
    print(
        f"Restored {file} into {restored}.\n"
        "Next:\n"
        "1. Run `make migrate`. It brings an older backup up to date, and checks the rights.\n"
        "2. If the functions cannot log in yet, run `make app-password`.\n"
        "3. Erase again the sessions and persons that were erased after the backup (docs/backup.md)."
    )
    return 0
