"""Apply sql/ to a database. This is safe to run twice, from two machines at once, and after a kill at any moment.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops migrate [--plan] [--wait 600] [--search off]

Each migration is applied once, in order. Then the functions whose text changed are applied. All this, with the records
of what was applied, is one transaction. An advisory lock, which ends with the connection, keeps other migrations out.

A migration with `-- outside a transaction` in its first comments splits that transaction. First, everything before it
is committed. Then its statements run one by one, and it is recorded. After a kill the migration runs from its start.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from ops.apply_files import LOCK, OWNER, apply_outside, apply_pending
from ops.direct import connect, refuse_encoding, refuse_pooler, url_from_environment
from ops.errors import MigrationError
from ops.logins import wrong_logins
from ops.only_one import Waiting, only_one, refuse_shared_pool
from ops.owners import name_foreign_members, wrong_owners
from ops.records import read_records
from ops.rights import Corrections, wrong_rights
from ops.roles import wrong_database_rights
from ops.schemas import announce_new, is_new
from ops.search_language import planned_change
from ops.sql_files import SQL, read_sql

# The files of sql/ have such names. A statement has another beginning.
_FOLDERS = ("migrations/", "functions/")


def migrate(
    direct_url: str,
    sql: Path = SQL,
    corrections: Corrections | None = None,
    waiting: Waiting | None = None,
    search: str | None = None,
) -> list[str]:
    """Apply the files of `sql` that are new or changed for the database, and return their names in order.

    Then correct our roles and the rights in the database. `corrections` gets the statements that corrected them.
    `search` is the new language of the search (SEARCH=). With None the search stays as it is.
    `direct_url` must lead to PostgreSQL itself, because a transaction-mode pooler gives no client a lock of its own.
    Raises MigrationError, with what to do, if a file cannot be applied, or if another migration runs for longer than
    `waiting` allows. Its transaction then changed nothing. Also raises it if this role may not correct a right.
    Everything else is then done.
    """
    files = read_sql(sql)
    done: list[str] = []
    with _connected(direct_url) as connection, only_one(connection, LOCK, "migration", waiting=waiting):
        if is_new(connection):
            announce_new(connection)
        while True:
            applied, outside, corrected = apply_pending(connection, files, search)
            done += applied
            if outside is None:
                if corrections is not None:
                    corrections.done += corrected.done
                corrected.raise_failed()
                return done
            apply_outside(connection, outside)
            done.append(outside.name)


def plan(direct_url: str, sql: Path = SQL, search: str | None = None) -> list[str]:
    """Return the names of the files that `migrate` would apply, without changing the database.

    If `search` is another language than the present one of the search, the first line says so.

    If there are no such files, return the statements that would correct our roles and the rights in the database.
    If one of these migrations drops a function, `migrate` may apply that function again, which the plan does not show.
    Raises MigrationError if `migrate` would refuse the database.
    """
    files = read_sql(sql)
    with _connected(direct_url) as connection, connection.transaction():
        try:
            connection.execute("set transaction isolation level repeatable read, read only")
            if is_new(connection):
                announce_new(connection, only_plan=True)
            records = read_records(connection, files)
            change = planned_change(connection, search) if search is not None else ""
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(f"{error.diag.message_primary}. {OWNER}") from error
        except psycopg.Error as error:
            raise MigrationError(str(error)) from error
        migrations = records.migrations(files)
        if not migrations:
            records.without_file(files)
        changes = [change] if change else []
        pending = [file.name for file in [*migrations, *records.functions(files)]]
        if pending:
            return [*changes, *pending]
        name_foreign_members(connection)
        roles = [*wrong_logins(connection), *wrong_owners(connection)]
        return [*changes, *roles, *wrong_database_rights(connection), *wrong_rights(connection)]


@contextmanager
def _connected(direct_url: str) -> Iterator[psycopg.Connection[Any]]:
    """Connect. Raises MigrationError if the URL leads to a shared pool, or to a database of another encoding."""
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-migrate") as connection:
        refuse_shared_pool(connection, direct_url)
        refuse_encoding(connection)
        yield connection


def _verb(name: str) -> str:
    """Return what a line of the plan lacks: a file is applied and a statement is run. The other lines begin with it."""
    if name.startswith("switch "):
        return ""
    return "apply " if name.startswith(_FOLDERS) else "run "


def main(arguments: Sequence[str]) -> int:
    """Migrate DIRECT_DATABASE_URL and print what was done. Raises OperatorError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops migrate", description="Apply sql/ to DIRECT_DATABASE_URL.")
    parser.add_argument("--plan", action="store_true", help="only print what would be applied")
    parser.add_argument("--wait", metavar="SECONDS", help="how long to wait for another migration (600)")
    parser.add_argument("--search", metavar="LANGUAGE", help="off, on, or a text search configuration (simple)")
    options = parser.parse_args(arguments)
    only_plan, waiting = options.plan, Waiting.parse(options.wait)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    url = url_from_environment()
    corrections = Corrections()
    if only_plan:
        names = plan(url, search=options.search)
    else:
        names = migrate(url, corrections=corrections, waiting=waiting, search=options.search)
    if not names and not corrections.done:
        print("Nothing to do: the database is up to date.")
    elif only_plan:
        print("\n".join(f"would {_verb(name)}{name}" for name in names))
    else:
        corrected = f" Rights corrected: {len(corrections.done)}." if corrections.done else ""
        print(f"Applied {len(names)} {'file' if len(names) == 1 else 'files'}.{corrected}")
    return 0
