"""Verify the chain of each tenant of the audit trail, and say what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from ops.audit_heads import Head, Heads
from ops.direct import connect, refuse_pooler
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
_ENTRY = "select hash from robot_brain.audit_logs where tenant_id = %s and n = %s"
_NEXT = """
select n, id, hash, created_at::text from robot_brain.audit_logs where tenant_id = %s and n > %s order by n limit 1
"""
# Constraints forbid a place below 1 and a place of two entries. A role that can change the tables can drop them.
_OUTSIDE = "select min(n) from robot_brain.audit_logs where tenant_id = %s and n < 1"
_AT = "select count(*) from robot_brain.audit_logs where tenant_id = %s and n = %s"
_UNCHAINED = """
select count(*), count(*) filter (where created_at < %s::timestamptz - interval '1 hour')
from robot_brain.audit_logs where tenant_id = %s and n is null
"""


@dataclass(frozen=True)
class Result:
    """The state of a tenant's chain.

    `breaks` has all that is wrong with its entries, in their order, but for `noted`: what the kept head notes.
    `end` says how the chain's end differs from the stored head or from the kept one, or is empty.
    `head` is the last entry, and `verified` counts the entries that are right.
    `late` counts the entries that say that they are over an hour older than the entry before them. `first_late` is the
    place of the first one, or None if it is not chained yet.
    """

    tenant: str
    head: Head
    verified: int
    unchained: int
    late: int
    first_late: int | None
    breaks: tuple[str, ...]
    noted: tuple[str, ...]
    end: str

    @property
    def wrong(self) -> list[str]:
        """All that is wrong and not noted."""
        return [*self.breaks, *([self.end] if self.end else [])]

    @property
    def broken(self) -> str:
        """What is wrong first, or an empty text."""
        return next(iter(self.wrong), "")


@dataclass
class _Walk:
    """What was seen of a chain so far."""

    last: Head = field(default_factory=lambda: Head(0, b""))
    moment: str | None = None
    verified: int = 0
    late: int = 0
    first_late: int | None = None
    breaks: list[str] = field(default_factory=list)


def verify_chains(
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
    walk = _Walk()
    (outside,) = _row(connection, _OUTSIDE, tenant)
    if outside is not None:
        walk.breaks.append(f"an entry has the place {outside}, which is in no chain")
    while _part(connection, tenant, walk):
        progress(f"{tenant!r}: {walk.last.n} entries verified")
    end = _against_head(connection, tenant, walk.last) or _against_kept(connection, tenant, walk.last, kept)
    unchained, early = _row(connection, _UNCHAINED, walk.moment, tenant)
    known = kept.breaks if kept else ()
    return Result(
        tenant, walk.last, walk.verified, unchained, walk.late + early, walk.first_late,
        breaks=tuple(each for each in walk.breaks if each not in known),
        noted=tuple(each for each in walk.breaks if each in known),
        end=end,
    )  # fmt: skip


def _part(connection: psycopg.Connection[Any], tenant: str, walk: _Walk) -> bool:
    """Verify the next entries, up to the first wrong one. Return whether there was an entry.

    A wrong entry is no reason to stop: its own hash shows whether the entry behind it is right.
    """
    before = walk.last.n
    part = _row(connection, _PART, tenant, before, walk.last.hash, walk.moment, PART)
    n, last_hash, walk.moment, wrong, reason, late, first_late = part
    walk.last = Head(n, last_hash)
    walk.verified += n - before
    walk.late, walk.first_late = walk.late + late, walk.first_late or first_late
    if n > before:
        _look_for_another(connection, tenant, walk)
    found = None if wrong is None else _found(connection, _NEXT, tenant, n)
    # If nothing is missing, a second entry with the place before was in the way. It has its own line.
    if found and (reason == "changed" or found[0] > wrong):
        walk.breaks.append(_name(wrong, reason, found[0], found[1]))
        walk.last, walk.moment = Head(found[0], found[2] or b""), found[3]
        _look_for_another(connection, tenant, walk)
    return walk.last.n > before


def _look_for_another(connection: psycopg.Connection[Any], tenant: str, walk: _Walk) -> None:
    (entries,) = _row(connection, _AT, tenant, walk.last.n)
    if entries > 1:
        walk.breaks.append(f"entries with the place {walk.last.n}: {entries}")


def _name(wrong: int, reason: str, found: int, found_id: int) -> str:
    if reason == "changed":
        return f"entry {wrong} (id {found_id}) was changed"
    return f"entry {wrong} is missing" if found == wrong + 1 else f"entries {wrong} to {found - 1} are missing"


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
    if found is None:
        return f"entry {kept.n} is missing, and it is the kept head"
    return "" if found[0] == kept.hash else f"entry {kept.n} has another hash than the kept head"


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
