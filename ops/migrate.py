"""Apply sql/ to a database. This is safe to run twice, from two machines at once, and after a kill at any moment.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops migrate [--plan] [--wait 600]

Each migration is applied once, in order. Then the functions whose text changed are applied. All this, with the records
of what was applied, is one transaction. An advisory lock, which ends with the connection, keeps other migrations out.

A migration with `-- outside a transaction` in its first comments splits that transaction. First, everything before it
is committed. Then its statements run one by one, and it is recorded. After a kill the migration runs from its start.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any

import psycopg

from ops.audit import append
from ops.direct import connect, refuse_encoding, refuse_pooler, url_from_environment
from ops.errors import MigrationError
from ops.logins import assert_logins
from ops.only_one import Waiting, assert_held, only_one, refuse_shared
from ops.records import forget, make_records, read_records, record, schema_version
from ops.rights import Corrections, correct_rights, fill_view, wrong_rights
from ops.roles import correct_database_rights, make_roles, wrong_database_rights
from ops.sql_files import SQL, SqlFile, SqlFiles, read_sql
from ops.takeover import drop_yoyo, take_over

# The key of the advisory lock: an arbitrary number that nothing else uses.
LOCK = 0x5242_7261_696E
ATTEMPTS = 5
# All databases of a cluster share its roles, so two databases that are migrated at the same time can collide. Both
# create or change the same role, or a role exists but is not visible yet. The failed transaction changed nothing, so it
# is tried again.
_ROLE_CONFLICTS = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InternalError_,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UniqueViolation,
)
# These roles own functions. They may create objects in the schema only while functions are applied. With
# row_security off, which a role or database may set, PostgreSQL refuses functions whose statements it parses.
_ALLOW = """
set local lock_timeout = '5s';
set local row_security = on;
set local role robot_brain_owner;
grant create on schema robot_brain to robot_brain_stats, robot_brain_audit;
reset role
"""
_FORBID = """
set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats, robot_brain_audit;
reset role
"""

OWNER = (
    "Migrate as the role that owns the database and has CREATEROLE (on Neon: the role of the connection string), "
    "and not as robot_brain_app."
)

logger = logging.getLogger("robot_brain.migrate")


class _FileError(Exception):
    """The file of this name could not be applied. The cause is PostgreSQL's error."""


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _FileError(name) from error


def migrate(
    direct_url: str, sql: Path = SQL, corrections: Corrections | None = None, waiting: Waiting | None = None
) -> list[str]:
    """Apply the files of `sql` that are new or changed for the database, and return their names in order.

    Then correct the rights in the database. `corrections` gets the statements that corrected them.
    `direct_url` must lead to PostgreSQL itself, because a transaction-mode pooler gives no client a lock of its own.
    Raises MigrationError, with what to do, if a file cannot be applied, or if another migration runs for longer than
    `waiting` allows. Its transaction then changed nothing. Also raises it if this role may not correct a right.
    Everything else is then done.
    """
    files = read_sql(sql)
    done: list[str] = []
    with _connected(direct_url) as connection, only_one(connection, LOCK, "migration", waiting=waiting):
        while True:
            applied, outside, corrected = _with_attempts(connection, files)
            done += applied
            if outside is None:
                if corrections is not None:
                    corrections.done += corrected.done
                corrected.raise_failed()
                return done
            _apply_outside(connection, outside)
            done.append(outside.name)


def plan(direct_url: str, sql: Path = SQL) -> list[str]:
    """Return the names of the files that `migrate` would apply, without changing the database.

    If there are no such files, return the statements that would correct the rights in the database.
    If one of these migrations drops a function, `migrate` may apply that function again, which the plan does not show.
    Raises MigrationError if `migrate` would refuse the database.
    """
    files = read_sql(sql)
    with _connected(direct_url) as connection, connection.transaction():
        try:
            connection.execute("set transaction isolation level repeatable read, read only")
            records = read_records(connection, files)
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(f"{error.diag.message_primary}. {OWNER}") from error
        except psycopg.Error as error:
            raise MigrationError(str(error)) from error
        migrations = records.migrations(files)
        if not migrations:
            records.without_file(files)
        pending = [file.name for file in [*migrations, *records.functions(files)]]
        return pending or [*wrong_database_rights(connection), *wrong_rights(connection)]


@contextmanager
def _connected(direct_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect. Raises MigrationError if the URL leads to a shared pool, or to a database of another encoding."""
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-migrate") as connection:
        refuse_shared(connection, direct_url)
        refuse_encoding(connection)
        yield connection


def _with_attempts(
    connection: psycopg.Connection[Any], files: SqlFiles
) -> tuple[list[str], SqlFile | None, Corrections]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                return _apply_pending(connection, files)
        except _FileError as error:
            cause = error.__cause__
            if isinstance(cause, _ROLE_CONFLICTS) and attempt < ATTEMPTS:
                time.sleep(0.1 * attempt)
            elif isinstance(cause, psycopg.errors.InsufficientPrivilege):
                raise MigrationError(f"{error}: {cause.diag.message_primary}. {OWNER}") from cause
            else:
                raise MigrationError(f"{error}: {cause}") from cause
        except psycopg.Error as error:
            raise MigrationError(str(error)) from error
    raise AssertionError("unreachable")


def _apply_pending(
    connection: psycopg.Connection[Any], files: SqlFiles
) -> tuple[list[str], SqlFile | None, Corrections]:
    """Apply the pending files before the next migration that runs outside a transaction.

    Returns the names of the applied files, and that migration, or None if every file was applied. In the latter case
    the rights were corrected, too.
    """
    assert_held(connection, LOCK)
    corrections = Corrections()
    version = schema_version(connection)
    with _naming("the roles"):
        make_roles(connection, is_new=version == 0)
        if version == 0:
            # Before the first migration, which takes TEMPORARY from PUBLIC, and gives it to no other login.
            for statement in correct_database_rights(connection):
                logger.info("setting up the database: %s", statement)
    make_records(connection)
    records = read_records(connection, files)
    migrations = records.migrations(files)
    with _naming("from_yoyo"):
        if records.from_yoyo:
            logger.info("taking over the schema that yoyo-migrations recorded")
            take_over(connection)
            for file in files.migrations:
                if file.name in records.applied:
                    record(connection, file)
        # An older checkout fails to migrate a database that was taken over, and leaves empty tables of yoyo behind.
        drop_yoyo(connection)

    inside = list(takewhile(lambda file: not file.runs_outside, migrations))
    for file in inside:
        _apply(connection, file)
    if len(inside) < len(migrations):
        _audit(connection, inside)
        return [file.name for file in inside], migrations[len(inside)], corrections

    # A migration may have dropped functions, to create them in a new form or to remove them.
    records = read_records(connection, files)
    forget(connection, records.without_file(files))
    functions = records.functions(files)
    if functions:
        connection.execute(_ALLOW)
        for file in functions:
            _apply(connection, file)
        connection.execute(_FORBID)
        read_records(connection, files).refuse_other_forms(files)
        if schema_version(connection) < version:
            raise MigrationError(
                f"The database is newer than this checkout: its schema has version {version}, and would have "
                f"{schema_version(connection)}. Migrate from the newer checkout."
            )
    with _naming("the login roles"):
        assert_logins(connection)
    with _naming("the rights"):
        correct_rights(connection, corrections)
        fill_view(connection, corrections)
    _audit(connection, [*inside, *functions])
    return [file.name for file in [*inside, *functions]], None, corrections


def _audit(connection: psycopg.Connection[Any], files: Sequence[SqlFile]) -> None:
    """Append what was applied to the audit trail, in the transaction of its records."""
    if files:
        migrations = [file.name for file in files if file.name.startswith("migrations/")]
        version = str(schema_version(connection))
        append(connection, "files", version, {"applied": len(files), "migrations": migrations})


def _apply(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    logger.info("applying %s", file.name)
    with _naming(file.name):
        connection.execute(f"{file.text}\n;reset role".encode())
        record(connection, file)


def _apply_outside(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    logger.info("applying %s, outside a transaction", file.name)
    try:
        statements = file.statements()
        for number, statement in enumerate(statements, 1):
            # An index of a large table takes minutes: show which statement runs.
            logger.info("  statement %d of %d", number, len(statements))
            assert_held(connection, LOCK)
            connection.execute(statement.encode())
        connection.execute("reset role")
        connection.execute("reset all")
        with connection.transaction():
            assert_held(connection, LOCK)
            record(connection, file)
            _audit(connection, [file])
    except psycopg.Error as error:
        raise MigrationError(
            f"{file.name}: {error}\n"
            "This migration runs outside a transaction, so a part of it may be done. Run `make migrate` again."
        ) from error


def main(arguments: Sequence[str]) -> int:
    """Migrate DIRECT_DATABASE_URL and print what was done. Raises OperatorError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops migrate", description="Apply sql/ to DIRECT_DATABASE_URL.")
    parser.add_argument("--plan", action="store_true", help="only print what would be applied")
    parser.add_argument("--wait", metavar="SECONDS", help="how long to wait for another migration")
    options = parser.parse_args(arguments)
    only_plan, waiting = options.plan, Waiting.parse(options.wait)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    url = url_from_environment()
    corrections = Corrections()
    names = plan(url) if only_plan else migrate(url, corrections=corrections, waiting=waiting)
    if not names and not corrections.done:
        print("Nothing to do: the database is up to date.")
    elif only_plan:
        print("\n".join(f"would {'apply' if '/' in name else 'run'} {name}" for name in names))
    else:
        corrected = f" Rights corrected: {len(corrections.done)}." if corrections.done else ""
        print(f"Applied {len(names)} {'file' if len(names) == 1 else 'files'}.{corrected}")
    return 0
