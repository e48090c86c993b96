"""Verify the chains of the audit trail, and name the first broken entry of each tenant.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops audit-verify [--heads FILE] [--save FILE]

All is read in one transaction with one snapshot, so requests and refreshes go on meanwhile. A role that can change the
tables can also make a whole chain again. So write the heads to a file with --save, keep it elsewhere, and compare with
it by --heads.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from ops.audit_heads import Head, Heads, read_heads, write_heads
from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError

# How many entries a call verifies, between two lines of progress.
PART = 10_000

_TENANTS = """
select tenant_id from robot_brain.audit_heads union select distinct tenant_id from robot_brain.audit_logs
"""
# A moment stays text, because a changed one may be one that Python cannot represent.
_PART = """
select last, last_hash, last_created_at::text, broken, reason, late, first_late
from robot_brain.verify_audit(%s, %s, %s, %s::timestamptz, %s)
"""
_HEAD = "select n, hash from robot_brain.audit_heads where tenant_id = %s"
_ENTRY = "select id, hash from robot_brain.audit_logs where tenant_id = %s and n = %s"
# A constraint forbids a place below 1. A role that can change the tables can drop it.
_OUTSIDE = "select min(n) from robot_brain.audit_logs where tenant_id = %s and n < 1"
_UNCHAINED = """
select count(*), count(*) filter (where created_at < %s::timestamptz - interval '1 hour')
from robot_brain.audit_logs where tenant_id = %s and n is null
"""


@dataclass(frozen=True)
class Result:
    """The state of a tenant's chain. `broken` says what is wrong first, and is empty if nothing is wrong.

    `head` is the last entry that is right. `late` counts the entries that say that they are over an hour older than the
    entry before them; `first_late` is the place of the first one, or None if it is not chained yet.
    """

    tenant: str
    head: Head
    unchained: int
    late: int
    first_late: int | None
    broken: str


def audit_verify(
    direct_url: str, kept: Heads | None = None, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Result]:
    """Yield the result of each tenant that has entries, a head, or a head in `kept`.

    Calls `progress` with a line after each part. Raises MigrationError, with what to do, if it cannot read the trail.
    """
    refuse_pooler(direct_url)
    kept = kept or {}
    with connect(direct_url, "robot-brain-audit-verify") as connection, _errors(), connection.transaction():
        _prepare(connection)
        tenants = {tenant for (tenant,) in connection.execute(_TENANTS).fetchall()}
        for tenant in sorted(tenants | kept.keys()):
            yield _verified(connection, tenant, kept.get(tenant), progress)


def _prepare(connection: psycopg.Connection[Any]) -> None:
    connection.execute("set transaction isolation level repeatable read, read only")
    # The settings of the role or the database must not end the transaction early, hide rows, or sort all entries.
    for name, value in (
        ("role", "robot_brain_audit"),
        ("row_security", "on"),
        ("statement_timeout", "0"),
        ("idle_in_transaction_session_timeout", "0"),
        ("enable_seqscan", "off"),
        ("enable_sort", "off"),
        ("datestyle", "ISO"),
    ):
        connection.execute("select pg_catalog.set_config(%s, %s, true)", (name, value))


def _verified(
    connection: psycopg.Connection[Any], tenant: str, kept: Head | None, progress: Callable[[str], None]
) -> Result:
    last, moment, late, first_late = Head(0, b""), None, 0, None
    (outside,) = _row(connection, _OUTSIDE, tenant)
    broken = "" if outside is None else f"an entry has the place {outside}, which is in no chain"
    while not broken:
        before = last
        part = _row(connection, _PART, tenant, last.n, last.hash, moment, PART)
        n, last_hash, moment, wrong, reason, more, first = part
        last, late, first_late = Head(n, last_hash), late + more, first_late or first
        if wrong is not None:
            broken = _name(connection, tenant, wrong, reason)
        elif last == before:
            broken = _against_head(connection, tenant, last) or _against_kept(connection, tenant, last, kept)
            break
        else:
            progress(f"{tenant!r}: {last.n} entries verified")
    unchained, early = _row(connection, _UNCHAINED, moment, tenant)
    return Result(tenant, last, unchained, late + early, first_late, broken)


def _name(connection: psycopg.Connection[Any], tenant: str, n: int, reason: str) -> str:
    found = _found(connection, _ENTRY, tenant, n) if reason == "changed" else None
    return f"entry {n} (id {found[0]}) was changed" if found else f"entry {n} is {reason}"


def _against_head(connection: psycopg.Connection[Any], tenant: str, last: Head) -> str:
    """Return how the stored head differs from the last entry, or an empty text."""
    head = _found(connection, _HEAD, tenant)
    if head is None:
        return f"the head is missing, and the chain ends at entry {last.n}" if last.n else ""
    if head[0] > last.n:
        return f"entry {last.n + 1} is missing, and the head is entry {head[0]}"
    if head[0] < last.n:
        return f"entry {head[0] + 1} is beyond the head"
    return "" if head[1] == last.hash else f"the head has another hash than entry {last.n}"


def _against_kept(connection: psycopg.Connection[Any], tenant: str, last: Head, kept: Head | None) -> str:
    """Return how the chain differs from the head that was kept elsewhere, or an empty text."""
    if kept is None or kept.n == 0:
        return ""
    if kept.n > last.n:
        return f"entry {last.n + 1} is missing, and the kept head is entry {kept.n}"
    found = _found(connection, _ENTRY, tenant, kept.n)
    return "" if found and found[1] == kept.hash else f"entry {kept.n} has another hash than the kept head"


def _row(connection: psycopg.Connection[Any], query: str, *parameters: object) -> tuple[Any, ...]:
    found = _found(connection, query, *parameters)
    assert found is not None
    return found


def _found(connection: psycopg.Connection[Any], query: str, *parameters: object) -> tuple[Any, ...] | None:
    return connection.execute(query.encode(), parameters).fetchone()


@contextmanager
def _errors() -> Iterator[None]:
    """Raise MigrationError, with what to do, in place of psycopg's errors."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"{error.diag.message_primary}: run it as the role that ran `make migrate`") from error
    except (
        psycopg.errors.InvalidParameterValue,  # the role does not exist
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedFunction,
        psycopg.errors.UndefinedTable,
    ) as error:
        raise MigrationError(f"{error.diag.message_primary}: run `make migrate` first") from error
    except psycopg.Error as error:
        raise MigrationError(str(error)) from error


def main(arguments: Sequence[str]) -> int:
    """Verify DIRECT_DATABASE_URL and print what is broken. Return 1 if anything is.

    Raises OperatorError if that fails.
    """
    parser = argparse.ArgumentParser(prog="python -m ops audit-verify", description="Verify the audit trail.")
    parser.add_argument("--heads", type=Path, metavar="FILE", help="compare with the heads in this file")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the heads to this file if nothing is broken")
    options = parser.parse_args(arguments)
    kept = read_heads(options.heads) if options.heads else None
    results = []
    for result in audit_verify(
        url_from_environment(), kept, _print_progress if sys.stderr.isatty() else lambda _: None
    ):
        results.append(result)
        if result.broken:
            print(f"{result.tenant!r}: {result.broken}")
        if result.late:
            place = f"entry {result.first_late}" if result.first_late else "not chained yet"
            print(f"{result.tenant!r}: entries over an hour older than the one before: {result.late}, first: {place}")
    broken = sum(bool(result.broken) for result in results)
    entries = sum(result.head.n for result in results)
    print(
        f"Entries verified: {entries} (tenants: {len(results)}). "
        f"Not chained yet: {sum(result.unchained for result in results)}."
    )
    if broken:
        print(f"Broken chains: {broken}.{' The heads were not saved.' if options.save else ''}")
    elif options.save and entries:
        write_heads(options.save, {result.tenant: result.head for result in results if result.head.n})
        print(f"Saved the heads to {options.save}.")
    elif options.save:
        # A file without heads would be refused by --heads.
        print("No entry is chained yet, so there are no heads to save.")
    return int(broken > 0)


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr)
