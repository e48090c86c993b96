"""Count the statistics again from the stored turns, print what differs, and mend it.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops recount [--dry-run]

Requests and refreshes go on meanwhile. Each tenant is mended in one transaction: a recount that is killed leaves the
figures of a tenant either as they were or mended. The steps are described in sql/README.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError

# A step of a refresh holds its lock for seconds.
LOCK_SECONDS = 60


@dataclass(frozen=True)
class Difference:
    """One figure that differs: `was` is what /stats answered, `counted` what is stored.

    `name` is the personality or the day (UTC), or empty for a total.
    """

    tenant: str
    figure: str
    name: str
    was: int
    counted: int

    def __str__(self) -> str:
        # A name may hold anything, and a terminal obeys control characters.
        named = f" {self.name!r}" if self.name else ""
        return f"{self.tenant!r}: {self.figure}{named} was {self.was}, counted {self.counted}"


def recount(
    direct_url: str,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    lock_seconds: float = LOCK_SECONDS,
) -> Iterator[list[Difference]]:
    """Yield what differed, tenant by tenant, each after it was mended, or with `dry_run` only counted.

    Raises MigrationError, saying what to do, if a tenant cannot be recounted: its figures then stay as they were. Calls
    `progress` with a line before each step.
    """
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-recount") as connection, _errors(lock_seconds):
        _prepare(connection, lock_seconds)
        with _only_one(connection):
            tenant = _value(connection, "robot_brain.next_tenant(null)")
            while tenant is not None:
                differences = _differences(connection, tenant, progress)
                if differences and not dry_run:
                    progress(f"{tenant!r}: mending")
                    with connection.transaction():
                        _value(connection, "robot_brain.recount_mend(%s)", tenant)
                yield differences
                tenant = _value(connection, "robot_brain.next_tenant(%s)", tenant)
            if not dry_run:
                _value(connection, "robot_brain.recount_end()")


@contextmanager
def _only_one(connection: psycopg.Connection[Any]) -> Iterator[None]:
    if not _value(connection, "robot_brain.recount_alone()"):
        raise MigrationError("Another recount of this database is running. Wait for its end.")
    try:
        yield
    finally:
        # The server may notice late that a connection was closed, and the next recount would be refused.
        if not connection.closed:
            connection.execute("select pg_advisory_unlock_all()")


def _prepare(connection: psycopg.Connection[Any], lock_seconds: float) -> None:
    # Settings of a role or a database must not cut a step short, or hide other tenants' rows behind an error.
    for name, value in (
        ("role", "robot_brain_stats"),
        ("row_security", "on"),
        ("statement_timeout", "0"),
        # The mending must see what a refresh did while it waited for the lock.
        ("default_transaction_isolation", "read committed"),
        ("lock_timeout", f"{int(lock_seconds * 1000)}ms"),
        ("client_encoding", "UTF8"),
    ):
        connection.execute("select set_config(%s, %s, false)", (name, value))


def _differences(connection: psycopg.Connection[Any], tenant: str, progress: Callable[[str], None]) -> list[Difference]:
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        progress(f"{tenant!r}: sessions and interactions")
        _value(connection, "robot_brain.recount_begin(%s)", tenant)
        for (part,) in connection.execute("select part from robot_brain.recount_parts()").fetchall():
            progress(f"{tenant!r}: {part}")
            _value(connection, "robot_brain.recount_part(%s, %s)", tenant, part)
        rows = connection.execute(
            "select figure, name, was, counted from robot_brain.recount_compare(%s)", (tenant,)
        ).fetchall()
    return [Difference(tenant, figure, name, int(was), int(counted)) for figure, name, was, counted in rows]


def _value(connection: psycopg.Connection[Any], call: str, *parameters: object) -> Any:
    row = connection.execute(f"select {call}".encode(), parameters).fetchone()
    assert row is not None
    return row[0]


@contextmanager
def _errors(lock_seconds: float) -> Iterator[None]:
    """Raise MigrationError, saying what to do, in place of psycopg's errors."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            f"A refresh or a migration did not end within {lock_seconds:g} s. Run `make ops DO=recount` again."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"{error.diag.message_primary}: run it as the role that ran `make migrate`") from error
    except (
        psycopg.errors.InvalidParameterValue,  # no such role
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedFunction,
    ) as error:
        raise MigrationError(f"{error.diag.message_primary}: run `make migrate` first") from error
    except psycopg.Error as error:
        raise MigrationError(str(error)) from error


def main(arguments: Sequence[str]) -> int:
    """Recount DIRECT_DATABASE_URL. Returns 1 if figures differ and stay so. Raises MigrationError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops recount", description="Count the statistics again.")
    parser.add_argument("--dry-run", action="store_true", help="change nothing; exit with 1 if a figure differs")
    dry_run = parser.parse_args(arguments).dry_run
    tenants = differing = 0
    for differences in recount(
        url_from_environment(), dry_run, _print_progress if sys.stderr.isatty() else lambda _: None
    ):
        tenants += 1
        differing += len(differences)
        for difference in differences:
            print(difference)
    if not differing:
        print(f"Totals and personalities are right, and no day is missing (tenants: {tenants}).")
    elif dry_run:
        print(f"Figures that differ: {differing} (tenants: {tenants}). Nothing was changed.")
    else:
        print(f"Figures that differed and are mended: {differing} (tenants: {tenants}).")
    return int(dry_run and differing > 0)


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr)
