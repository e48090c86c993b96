"""Count the statistics again from the stored turns, print the figures that differ, and correct them.

Also set the next id of the audit trail behind its last one, which replicated rows do not do.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops recount [--dry-run]

Requests and refreshes go on meanwhile. Each tenant is corrected in one transaction. So after a kill, the figures of a
tenant are either unchanged or correct. sql/README.md describes the steps.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError
from ops.identities import Behind, advance_identities
from ops.only_one import Waiting, assert_held, only_one, refuse_shared_pool

# How long to wait for the lock of a refresh. Each step of a refresh holds the lock for some seconds.
LOCK_SECONDS = 60
# The key of the lock that recount_alone takes.
_KEY = "pg_catalog.hashtextextended('robot_brain.recount', 0)"


@dataclass(frozen=True)
class Difference:
    """A figure that differs: `was` is the value that /stats returned, `counted` the value counted from stored rows.

    `name` is the personality or the day (UTC), or empty for a total.
    """

    tenant: str
    figure: str
    name: str
    was: int
    counted: int

    def __str__(self) -> str:
        # A client chose the name, so it may hold control characters, which a terminal would execute.
        named = f" {self.name!r}" if self.name else ""
        return f"{self.tenant!r}: {self.figure}{named} was {self.was}, counted {self.counted}"


def recount(
    direct_url: str,
    dry_run: bool = False,
    progress: Callable[[str], None] = lambda _: None,
    lock_seconds: float = LOCK_SECONDS,
) -> Iterator[list[Difference]]:
    """Yield the differences of each tenant, after they were corrected; with `dry_run` correct nothing.

    Calls `progress` with a line before each step. Raises MigrationError, with what to do, if a tenant cannot be
    recounted. Its figures are then unchanged.
    """
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-recount") as connection, _errors(lock_seconds):
        refuse_shared_pool(connection, direct_url)
        _prepare(connection, lock_seconds)
        key = _value(connection, _KEY)
        take = partial(_value, connection, "robot_brain.recount_alone()")
        with only_one(connection, key, "recount", waiting=Waiting(0), take=take):
            tenant = _value(connection, "robot_brain.next_tenant(null)")
            while tenant is not None:
                differences = _differences(connection, key, tenant, progress)
                if differences and not dry_run:
                    progress(f"{tenant!r}: correcting")
                    with connection.transaction():
                        assert_held(connection, key)
                        _value(connection, "robot_brain.recount_mend(%s)", tenant)
                yield differences
                tenant = _value(connection, "robot_brain.next_tenant(%s)", tenant)
            if not dry_run:
                _value(connection, "robot_brain.recount_end()")


def _prepare(connection: psycopg.Connection[Any], lock_seconds: float) -> None:
    # The settings of the role or the database must not end a step early. If row_security is off, PostgreSQL raises an
    # error in place of applying a policy.
    for name, value in (
        ("role", "robot_brain_stats"),
        ("row_security", "on"),
        ("statement_timeout", "0"),
        # The correction must see what a refresh changed while the correction waited for the lock.
        ("default_transaction_isolation", "read committed"),
        ("lock_timeout", f"{int(lock_seconds * 1000)}ms"),
        ("client_encoding", "UTF8"),
    ):
        connection.execute("select set_config(%s, %s, false)", (name, value))
    if not _value(connection, "pg_catalog.has_database_privilege(pg_catalog.current_database(), 'temporary')"):
        # A dump does not have this right.
        raise MigrationError("robot_brain_stats may make no temporary table in this database: run `make migrate` first")


def _differences(
    connection: psycopg.Connection[Any], key: int, tenant: str, progress: Callable[[str], None]
) -> list[Difference]:
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        assert_held(connection, key)
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
    """Raise MigrationError, with what to do, in place of psycopg's errors."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise MigrationError(
            f"A refresh or a migration did not end within {lock_seconds:g} s. Run `make ops DO=recount` again."
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"{error.diag.message_primary}: run it as the role that ran `make migrate`") from error
    except (
        psycopg.errors.InvalidParameterValue,  # the role does not exist
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedFunction,
    ) as error:
        raise MigrationError(f"{error.diag.message_primary}: run `make migrate` first") from error
    except psycopg.Error as error:
        raise MigrationError(str(error)) from error


def main(arguments: Sequence[str]) -> int:
    """Recount DIRECT_DATABASE_URL and print the differences. Return 1 if some were found and not corrected.

    Also advance the identities.

    Raises OperatorError if that fails.
    """
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
    behind = _advance(url_from_environment(), dry_run)
    for each in behind:
        print(each)
    if not differing:
        print(f"Totals and personalities are correct, and no day is missing (tenants: {tenants}).")
    elif dry_run:
        print(f"Figures that differ: {differing} (tenants: {tenants}). Nothing was changed.")
    else:
        print(f"Figures that differed and were corrected: {differing} (tenants: {tenants}).")
    return int(dry_run and (differing > 0 or bool(behind)))


def _advance(direct_url: str, dry_run: bool) -> list[Behind]:
    with connect(direct_url, "robot-brain-recount") as connection, _errors(LOCK_SECONDS):
        return advance_identities(connection, dry_run)


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr)
