"""Apply the files of sql/ inside one transaction, and a migration that runs outside a transaction step by step."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from typing import Any

import psycopg

from ops.audit import append
from ops.errors import MigrationError
from ops.logins import assert_logins
from ops.only_one import assert_held
from ops.owners import name_foreign_members
from ops.records import forget, make_records, read_records, record, schema_version
from ops.rights import Corrections, correct_rights, fill_view
from ops.roles import correct_database_rights, make_roles
from ops.search_language import FILE as LANGUAGE
from ops.search_language import change_language
from ops.sql_files import SqlFile, SqlFiles
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
# row_security off, which a role or database may set, PostgreSQL refuses functions whose statements it parses. With
# standard_conforming_strings off it would take the backslashes of their texts for something else.
_ALLOW = """
set local lock_timeout = '5s';
set local row_security = on;
set local standard_conforming_strings = on;
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


def apply_pending(
    connection: psycopg.Connection[Any], files: SqlFiles, search: str | None = None
) -> tuple[list[str], SqlFile | None, Corrections]:
    """Apply the pending files before the next migration that runs outside a transaction, in one transaction.

    With the last of them, give the search the language `search` (SEARCH=), if it is not None.
    Returns the names of the applied files, and that migration, or None if every file was applied. In the latter case
    the rights were corrected, too. Raises MigrationError, with what to do, if that fails: nothing was changed.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with connection.transaction():
                return _apply_inside(connection, files, search)
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


def _apply_inside(
    connection: psycopg.Connection[Any], files: SqlFiles, search: str | None
) -> tuple[list[str], SqlFile | None, Corrections]:
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
    language = change_language(connection, search) if search is not None else None
    if language is not None:
        functions += [file for file in files.functions if file.name == LANGUAGE and file not in functions]
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
        corrections.done += assert_logins(connection)
    with _naming("the rights"):
        correct_rights(connection, corrections)
        fill_view(connection, corrections)
    name_foreign_members(connection)
    _audit(connection, [*inside, *functions], len(corrections.done), language)
    return [file.name for file in [*inside, *functions]], None, corrections


def _audit(
    connection: psycopg.Connection[Any], files: Sequence[SqlFile], corrected: int = 0, language: str | None = None
) -> None:
    """Append what was applied, how many rights were corrected, and the new language of the search to the audit trail.

    It is the same transaction.
    """
    if files or corrected:
        migrations = [file.name for file in files if file.name.startswith("migrations/")]
        new = {"applied": len(files), "migrations": migrations, **({"corrected": corrected} if corrected else {})}
        if language is not None:
            new["search"] = language
        append(connection, "files", str(schema_version(connection)), new)


def _apply(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    logger.info("applying %s", file.name)
    with _naming(file.name):
        connection.execute(f"{file.text}\n;reset role".encode())
        record(connection, file)


def apply_outside(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    """Apply a migration that runs outside a transaction. Raises MigrationError if a statement fails."""
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
