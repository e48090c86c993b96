"""The database's records of applied files, compared with the files of sql/ in this checkout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psycopg

from ops.errors import MigrationError
from ops.sql_files import SqlFile, SqlFiles
from ops.takeover import BASE, value, was_recorded_by_yoyo

# They belong to robot_brain_owner, so each role that may migrate may write them.
_CREATE_SCHEMA = "create schema if not exists robot_brain_migrations authorization robot_brain_owner"
# The schema may be of an earlier release, and belong to the role that migrated then.
_CREATE = """
alter schema robot_brain_migrations owner to robot_brain_owner;
create table robot_brain_migrations.files (
  name text not null,
  sha256 text not null,
  applied_at timestamptz not null default now(),
  constraint files_pkey primary key (name)
);
alter table robot_brain_migrations.files owner to robot_brain_owner
"""
_FOREIGN = """
select pg_get_userbyid(nspowner) from pg_namespace
where nspname = 'robot_brain_migrations' and not has_schema_privilege(oid, 'usage')
  and pg_get_userbyid(nspowner) <> 'robot_brain_owner'
"""
_RECORD = """
insert into robot_brain_migrations.files (name, sha256) values (%s, %s)
on conflict (name) do update set sha256 = excluded.sha256, applied_at = now()
"""
_FORMS = """
select n.nspname || '.' || p.proname, count(*) from pg_proc p join pg_namespace n on n.oid = p.pronamespace
where n.nspname in ('robot_brain', 'robot_brain_api') group by 1
"""


@dataclass(frozen=True)
class Records:
    """The SHA-256 of each applied file, and how many forms of each of our functions the catalogue has.

    `from_yoyo` means that yoyo applied the schema, and that this command has to take it over.
    """

    applied: dict[str, str]
    forms: dict[str, int]
    from_yoyo: bool

    def migrations(self, files: SqlFiles) -> list[SqlFile]:
        """Return the migrations to apply.

        Raises MigrationError if the applied migrations and those of this checkout contradict each other.
        """
        known = {file.name: file for file in files.migrations}
        applied = sorted(name for name in self.applied if name.startswith("migrations/"))
        last = max(known, default="")
        for name in applied:
            if name > last:
                raise MigrationError(
                    f"The database is newer than this checkout: it has {name}. Migrate from the newer checkout. "
                    "If you removed the file, restore it."
                )
            if name not in known:
                raise MigrationError(f"sql/{name}.sql was applied and is missing: restore the file.")
            if known[name].sha256 != self.applied[name]:
                raise MigrationError(
                    f"sql/{name}.sql was changed after it was applied: undo the change, and make it in a new migration."
                )
        pending = [file for file in files.migrations if file.name not in self.applied]
        for file in pending:
            if applied and file.name < applied[-1]:
                raise MigrationError(f"sql/{file.name}.sql comes before {applied[-1]}, which was applied: renumber it.")
        return pending

    def functions(self, files: SqlFiles) -> list[SqlFile]:
        """Return the functions that are new, whose text changed, or that were dropped from the database."""
        return [
            file
            for file in files.functions
            if self.applied.get(file.name) != file.sha256 or file.function not in self.forms
        ]

    def without_file(self, files: SqlFiles) -> list[str]:
        """Return the names of recorded functions whose files no longer exist.

        Raises MigrationError if the database still has such a function: a migration must drop it.
        """
        known = {file.name for file in files.functions}
        gone = [name for name in self.applied if name.startswith("functions/") and name not in known]
        for name in gone:
            function = SqlFile(name, "").function
            if function in self.forms:
                raise MigrationError(
                    f"The database has {function}, and this checkout does not have sql/{name}.sql. If the database is "
                    "newer, migrate from its checkout. If you removed the file, drop the function in a migration."
                )
        return gone

    def refuse_other_forms(self, files: SqlFiles) -> None:
        """Raise MigrationError if a function does not have exactly one form."""
        for file in files.functions:
            forms = self.forms.get(file.function, 0)
            if forms == 0:
                raise MigrationError(f"sql/{file.name}.sql does not create {file.function}.")
            if forms > 1:
                raise MigrationError(
                    f"{file.function} would have {forms} forms: sql/{file.name}.sql must first drop the older one "
                    f"with: drop function if exists {file.function};"
                )


def make_records(connection: psycopg.Connection[Any]) -> None:
    """Create the table of the records. Raises MigrationError if the role does not own the database."""
    _refuse_foreign(connection)
    try:
        connection.execute(_CREATE_SCHEMA)
        if value(connection, "select to_regclass('robot_brain_migrations.files') is null"):
            connection.execute(_CREATE)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"{error.diag.message_primary}. Migrate as the role that owns the database "
            "(on Neon: the role of the connection string)."
        ) from error


def _refuse_foreign(connection: psycopg.Connection[Any]) -> None:
    """Raise MigrationError if the records belong to another role, for example because that role restored them."""
    row = connection.execute(_FOREIGN).fetchone()
    if row:
        raise MigrationError(
            f"The schema robot_brain_migrations belongs to {row[0]}, which another role may not read. Run "
            f"`make migrate` once as {row[0]} or as a superuser. It then gives the schema to robot_brain_owner."
        )


def read_records(connection: psycopg.Connection[Any], files: SqlFiles) -> Records:
    """Read which files were applied and which functions exist.

    If yoyo recorded the whole schema, BASE counts as applied. Raises MigrationError if the schema that yoyo recorded
    cannot be taken over.
    """
    _refuse_foreign(connection)
    applied: dict[str, str] = {}
    if value(connection, "select to_regclass('robot_brain_migrations.files') is not null"):
        applied = dict(connection.execute("select name, sha256 from robot_brain_migrations.files").fetchall())
    from_yoyo = not applied and was_recorded_by_yoyo(connection)
    if from_yoyo:
        applied = {file.name: file.sha256 for file in files.migrations if file.name == BASE}
    return Records(applied, dict(connection.execute(_FORMS).fetchall()), from_yoyo)


def record(connection: psycopg.Connection[Any], file: SqlFile) -> None:
    """Record that `file` was applied with its present text."""
    connection.execute(_RECORD, (file.name, file.sha256))


def forget(connection: psycopg.Connection[Any], names: list[str]) -> None:
    """Remove the records of functions that were dropped."""
    if names:
        connection.execute("delete from robot_brain_migrations.files where name = any (%s)", (names,))


def schema_version(connection: psycopg.Connection[Any]) -> int:
    """Return the version of the schema, 0 in an empty database."""
    if not value(connection, "select to_regproc('robot_brain.schema_version') is not null"):
        return 0
    return int(value(connection, "select robot_brain.schema_version()"))
