"""Count what one call scans, reads and fetches of each table and index. The call is undone, so it changes nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import psycopg

from tests.isolation.asking import ask
from tests.isolation.parties import Party

INDEXES = ("_pkey", "_idx", "_key")
# Tables that have no index.
WITHOUT_INDEX = {"robot_brain.uncounted"}
# Scans, index entries or rows returned, rows fetched, and blocks, of each of our tables and indexes.
_COUNTERS = """
select c.oid::regclass::text, pg_stat_get_xact_numscans(c.oid), pg_stat_get_xact_tuples_returned(c.oid),
  pg_stat_get_xact_tuples_fetched(c.oid), pg_stat_get_xact_blocks_fetched(c.oid)
from pg_class c
where c.relnamespace = 'robot_brain'::regnamespace and c.relkind in ('r', 'i', 'm')
"""

Counters = Mapping[str, tuple[int, int, int, int]]


class _UndoError(Exception):
    """Undoes a call that succeeded, so that it changes nothing for the next one."""


def undone(admin: psycopg.Connection, asker: Party, function: str, arguments: Mapping[str, object]) -> None:
    """Call the function, and undo what it did."""
    with contextlib.suppress(_UndoError), admin.transaction():
        ask(admin, function, asker, arguments)
        raise _UndoError


def counted(admin: psycopg.Connection, asker: Party, function: str, arguments: Mapping[str, object]) -> Counters:
    """Return the counters of each table and index that one call touched."""
    with admin.transaction():
        before = _counters(admin)
        undone(admin, asker, function, arguments)
        after = _counters(admin)
    changes = {name: tuple(b - a for a, b in zip(before[name], after[name], strict=True)) for name in after}
    return {name: (c[0], c[1], c[2], c[3]) for name, c in changes.items() if any(c)}


def scans(found: Counters) -> dict[str, int]:
    """Return how often each index was scanned, and each table without one."""
    return {name: each[0] for name, each in found.items() if each[0]}


def _counters(admin: psycopg.Connection) -> Counters:
    return {row[0]: (int(row[1]), int(row[2]), int(row[3]), int(row[4])) for row in admin.execute(_COUNTERS)}
