"""Apply sql/ to a database: safe to run twice, from two places, and after a kill at any moment.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops migrate [--plan]

Migrations are applied once each, in order; then the functions whose text changed. All of it, with the records of what
was applied, is one transaction, under an advisory lock, which ends with its connection.

A migration that says `-- outside a transaction` in its first comments parts that transaction: what comes before it is
committed, then its statements run one by one, then it is recorded. After a kill it runs again from its start.
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

from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError
from ops.records import forget, make_records, read_records, record, schema_version
from ops.sql_files import SQL, SqlFile, SqlFiles, read_sql
from ops.takeover import drop_yoyo, take_over

# Any number will do; this one is only ever used here.
LOCK = 0x5242_7261_696E
ATTEMPTS = 5
# Roles are shared by all databases of a cluster. Two that are migrated at the same moment can meet there: a role exists
# meanwhile, exists and cannot be seen yet, or is changed by both. The transaction left nothing, so it is applied again.
_MET_ANOTHER = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InternalError_,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UniqueViolation,
)
# robot_brain_stats owns functions, and may create in the schema only while they are applied.
_ALLOW = """
set local lock_timeout = '5s';
set local role robot_brain_owner;
grant create on schema robot_brain to robot_brain_stats;
reset role
"""
_FORBID = """
set local role robot_brain_owner;
revoke create on schema robot_brain from robot_brain_stats;
reset role
"""

OWNER = (
    "Migrate as the role that owns the database and has CREATEROLE (on Neon: the role of the connection string), "
    "and not as robot_brain_app."
)

logger = logging.getLogger("robot_brain.migrate")


class _FileError(Exception):
    """The file of this name could not be applied; the cause is PostgreSQL's error."""


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _FileError(name) from error


@contextmanager
def _only_one(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the advisory lock of this database; wait for it as long as another migration runs."""
    # A statement that waits inside the server is an old transaction: an index that the other migration makes
    # concurrently would wait for it, and it for the index. So ask again and again.
    if not _locked(connection):
        logger.info("another migration of this database is running; waiting for it")
        while not _locked(connection):
            time.sleep(0.2)
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def _locked(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    return row is not None and row[0]


def migrate(direct_url: str, sql: Path = SQL) -> list[str]:
    """Apply the files of `sql` that the database does not have as they are, and return their names in order.

    `direct_url` must lead to PostgreSQL itself and not to a transaction-mode pooler, where an advisory lock belongs to
    nobody. Raises MigrationError, saying what to do, if a file cannot be applied: the transaction then left nothing.
    """
    refuse_pooler(direct_url)
    files = read_sql(sql)
    done: list[str] = []
    with connect(direct_url, "robot-brain-migrate") as connection, _only_one(connection):
        while True:
            applied, outside = _with_attempts(connection, files)
            done += applied
            if outside is None:
                return done
            _apply_outside(connection, outside)
            done.append(outside.name)


def plan(direct_url: str, sql: Path = SQL) -> list[str]:
    """Return the names of the files that `migrate` would apply, and change nothing.

    Raises MigrationError if `migrate` would refuse the database. A function is not named if only a migration among
    the files drops it.
    """
    refuse_pooler(direct_url)
    files = read_sql(sql)
    with connect(direct_url, "robot-brain-migrate") as connection, connection.transaction():
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
        return [file.name for file in [*migrations, *records.functions(files)]]


def _with_attempts(connection: psycopg.Connection[Any], files: SqlFiles) -> tuple[list[str], SqlFile | None]:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                return _apply_pending(connection, files)
        except _FileError as error:
            cause = error.__cause__
            if isinstance(cause, _MET_ANOTHER) and attempt < ATTEMPTS:
                time.sleep(0.1 * attempt)
            elif isinstance(cause, psycopg.errors.InsufficientPrivilege):
                raise MigrationError(f"{error}: {cause.diag.message_primary}. {OWNER}") from cause
            else:
                raise MigrationError(f"{error}: {cause}") from cause
        except psycopg.Error as error:
            raise MigrationError(str(error)) from error
    raise AssertionError("unreachable")


def _apply_pending(connection: psycopg.Connection[Any], files: SqlFiles) -> tuple[list[str], SqlFile | None]:
    """Apply what is pending up to a migration that runs outside a transaction; return the names, and that migration."""
    make_records(connection)
    records = read_records(connection, files)
    version = schema_version(connection)
    migrations = records.migrations(files)
    with _naming("from_yoyo"):
        if records.from_yoyo:
            logger.info("taking over the schema that yoyo-migrations recorded")
            take_over(connection)
            for file in files.migrations:
                if file.name in records.applied:
                    record(connection, file)
        # An older checkout that migrates a database that was taken over fails, and leaves such tables without a row.
        drop_yoyo(connection)

    inside = list(takewhile(lambda file: not file.runs_outside, migrations))
    for file in inside:
        _apply(connection, file)
    if len(inside) < len(migrations):
        return [file.name for file in inside], migrations[len(inside)]

    # A migration may have dropped functions, for a new form or for good.
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
                f"{schema_version(connection)}. Migrate from the checkout that has it."
            )
    return [file.name for file in [*inside, *functions]], None


def _apply(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    logger.info("applying %s", file.name)
    with _naming(file.name):
        connection.execute(f"{file.text}\n;reset role".encode())
        record(connection, file)


def _apply_outside(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    logger.info("applying %s, outside a transaction", file.name)
    try:
        for statement in file.statements():
            connection.execute(statement.encode())
        connection.execute("reset role")
        connection.execute("reset all")
        record(connection, file)
    except psycopg.Error as error:
        raise MigrationError(
            f"{file.name}: {error}\n"
            "It runs outside a transaction, so a part of it may be done. Run `make migrate` again."
        ) from error


def main(arguments: Sequence[str]) -> int:
    """Migrate DIRECT_DATABASE_URL and print what was done. Raises MigrationError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops migrate", description="Apply sql/ to DIRECT_DATABASE_URL.")
    parser.add_argument("--plan", action="store_true", help="only print what would be applied")
    only_plan = parser.parse_args(arguments).plan
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    url = url_from_environment()
    names = plan(url) if only_plan else migrate(url)
    if not names:
        print("Nothing to do: the database is up to date.")
    elif only_plan:
        print("\n".join(f"would apply {name}" for name in names))
    else:
        print(f"Applied {len(names)} {'file' if len(names) == 1 else 'files'}.")
    return 0
