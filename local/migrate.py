"""Apply sql/*.sql to a database, each file once, safe to run twice, from two places, and after a kill at any moment.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m local.migrate

yoyo-migrations finds, orders and records the files. Two of its ways are replaced, because both leave something to clear
by hand after a kill: it commits a migration and the note that it was applied separately, and its lock is a row that
survives the process that took it. Here a file and its note are one transaction, and the lock is an advisory lock, which
ends with its connection.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.connections import parse_uri
from yoyo.migrations import Migration

SQL = Path(__file__).resolve().parent.parent / "sql"
RECORDS = "robot_brain_migrations"
# Any number will do; this one is only ever used here.
LOCK = 0x5242_7261_696E
# Seconds for each address, where the connection string says nothing else. A compute that wakes takes some.
CONNECT_SECONDS = 30
ATTEMPTS = 5
# Roles are shared by all databases of a cluster. Two that are migrated at the same moment can meet there: a role exists
# meanwhile, exists and cannot be seen yet, or is changed by both. A file is one transaction, so it is applied again.
_MET_ANOTHER = (
    psycopg.errors.DuplicateObject,
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InternalError_,
    psycopg.errors.UndefinedObject,
    psycopg.errors.UniqueViolation,
)

_PORTS = re.compile(r"[0-9,]*")

logger = logging.getLogger("robot_brain.migrate")


class MigrationError(Exception):
    """A migration could not be applied; the message says what to do. Nothing of the failed file was kept."""


class AtomicBackend(PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo ships no types
    """yoyo's psycopg 3 backend, with each migration and its record in one transaction, on a connection that is ours."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._ours = connection
        super().__init__(parse_uri(f"postgresql+psycopg:///?schema={RECORDS}"), "_yoyo_migration")
        self.init_database()

    def connect(self, dburi: Any) -> psycopg.Connection[Any]:
        self.schema = RECORDS
        return self._ours

    def execute(self, sql: str, params: Mapping[str, Any] | None = None) -> Any:
        # Without parameters the text goes to the server as it is, so a `%` in a migration means itself.
        return super().execute(sql, params) if params else self.connection.execute(sql)

    def apply_one(self, migration: Migration, force: bool = False, mark: bool = True) -> None:
        with self.transaction():
            migration.process_steps(self, "apply", force=force)
            self.log_migration(migration, "apply")
            if mark:
                self.mark_one(migration, log=False)


@contextmanager
def _only_one(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold the advisory lock of this database; wait for it as long as another migration runs."""
    row = connection.execute("select pg_try_advisory_lock(%s)", (LOCK,)).fetchone()
    if row is None or not row[0]:
        logger.info("another migration of this database is running; waiting for it")
        connection.execute("select pg_advisory_lock(%s)", (LOCK,))
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("select pg_advisory_unlock(%s)", (LOCK,))


def _apply(backend: AtomicBackend, migration: Migration) -> None:
    for attempt in range(1, ATTEMPTS + 1):
        try:
            backend.apply_one(migration)
        except _MET_ANOTHER as error:
            if attempt < ATTEMPTS:
                time.sleep(0.1 * attempt)
            elif isinstance(error, psycopg.errors.InsufficientPrivilege):
                raise MigrationError(
                    f"{migration.id}: {error.diag.message_primary}. "
                    "Migrate as the role that owns the database and has CREATEROLE "
                    "(on Neon: the role of the connection string)."
                ) from error
            else:
                raise MigrationError(f"{migration.id}: {error}") from error
        except psycopg.Error as error:
            raise MigrationError(f"{migration.id}: {error}") from error
        else:
            return


def parse_direct_url(direct_url: str) -> dict[str, Any]:
    """Return the parts of a connection string. Raise MigrationError, which does not quote it, where it is none."""
    wrong = MigrationError(
        "DIRECT_DATABASE_URL is no connection string such as postgresql://owner:password@host/database; "
        "in a password % is written %25, @ %40, / %2F, and so are other signs that mean something in a URL"
    )
    try:
        parts = dict(conninfo_to_dict(direct_url))
    except psycopg.ProgrammingError:
        # Its text quotes the string, password and all.
        raise wrong from None
    if _is_split(direct_url) or not _PORTS.fullmatch(str(parts.get("port") or "")):
        raise wrong
    return parts


def _is_split(url: str) -> bool:
    """Return whether libpq takes a part of a URL's password for its host, port or database; messages name these.

    The same rule as in robot_brain.connection_string, which is not installed beside this command; a test compares them.
    """
    scheme, _, rest = url.partition("://")
    user, _, after = rest.partition("@")
    place = rest if "/" in user else after
    return scheme in ("postgresql", "postgres") and "@" in place.partition("?")[0]


def connect(direct_url: str, program: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode that `program` is the name of. Raise MigrationError, saying what to do."""
    parts = parse_direct_url(direct_url)
    seconds = parts.get("connect_timeout") or CONNECT_SECONDS
    try:
        return psycopg.connect(direct_url, autocommit=True, connect_timeout=seconds, application_name=program)
    except psycopg.Error as error:
        host = parts.get("host") or parts.get("hostaddr") or "the local server"
        raise MigrationError(
            f"cannot connect to {host} port {parts.get('port') or 5432}: {error}\n"
            "See that the server is running, and that DIRECT_DATABASE_URL has its direct host (on Neon the one without "
            "-pooler), its port, and the right user and password."
        ) from error


def refuse_pooler(direct_url: str) -> None:
    """Raise MigrationError if `direct_url` leads to Neon's pooler, which keeps nothing of a session."""
    host = str(parse_direct_url(direct_url).get("host") or "")
    if "-pooler." in host:
        raise MigrationError(
            f"DIRECT_DATABASE_URL leads to Neon's pooler ({host}); use the direct host: without -pooler"
        )


def migrate(direct_url: str, sql: Path = SQL) -> list[str]:
    """Apply the migrations in `sql` that the database does not have yet, and return their names in order.

    `direct_url` must lead to PostgreSQL itself and not to a transaction-mode pooler, where an advisory lock belongs to
    nobody. Raise MigrationError, saying what to do, where a file cannot be applied: that file then left nothing.
    """
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-migrate") as connection, _only_one(connection):
        try:
            connection.execute(f"create schema if not exists {RECORDS}")
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"{error.diag.message_primary}. Migrate as the role that owns the database "
                "(on Neon: the role of the connection string)."
            ) from error
        backend = AtomicBackend(connection)
        # We hold the lock that counts. A row in yoyo's own lock table was left by a process that is dead.
        if "yoyo_lock" in backend.list_tables():
            backend.break_lock()
        backend.ensure_internal_schema_updated()
        pending = list(backend.to_apply(read_migrations(str(sql))))
        for migration in pending:
            logger.info("applying %s", migration.id)
            _apply(backend, migration)
        return [migration.id for migration in pending]


def main() -> int:
    """Migrate DIRECT_DATABASE_URL and say what was done."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("yoyo").setLevel(logging.WARNING)
    url = os.environ.get("DIRECT_DATABASE_URL", "").strip()
    if not url:
        print(
            "Set DIRECT_DATABASE_URL to the direct (not pooled) connection string of the database's owner.",
            file=sys.stderr,
        )
        return 2
    try:
        applied = migrate(url)
    except MigrationError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{len(applied)} applied: {', '.join(applied)}" if applied else "Nothing to do: the database is up to date.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
