"""The advisory lock of an operator's command: one command of a kind runs on a database at a time.

The lock belongs to the command's connection and ends with it. A pooler in transaction mode gives each transaction any
of its connections to the server. There the lock would keep no other command out, and would stay behind in the pool.
"""

from __future__ import annotations

import logging
import re
import select
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from ops.direct import connect
from ops.errors import MigrationError, UsageError
from ops.lock_holders import Holder, end_holder, end_logins, holders_of

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

WAIT_SECONDS = 600
# A second connection that gets no answer for so long waits in the queue of a pooler.
_PROBE_SECONDS = 3
_POLL_SECONDS = 0.2
# One process of the server. A pid alone may be the same on two servers.
_BACKEND = """
select a.pid || ' ' || pg_catalog.date_part('epoch', a.backend_start)
from pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) a
"""
# What a command calls itself on its connection, if it takes the lock of another command.
_KINDS = {"robot-brain-restore": "restore", "robot-brain-migrate": "migration"}
_POOLED = (
    "DIRECT_DATABASE_URL leads to a pooler in transaction mode, which cannot hold the lock of this command: "
    "use the address of PostgreSQL itself. On Neon it is the direct host, without -pooler."
)

logger = logging.getLogger("robot_brain.operator")


class Waiting(NamedTuple):
    """How long to wait for the lock, and how often to name the command that holds it."""

    seconds: float = WAIT_SECONDS
    say_seconds: float = 30

    @classmethod
    def parse(cls, seconds: str | None) -> Waiting:
        """Return how long WAIT= says to wait. Raises UsageError, with what to write, if it is wrong."""
        if seconds is None:
            return cls()
        if not re.fullmatch("[0-9]{1,5}", seconds.strip()):
            raise UsageError(
                f"WAIT= is whole seconds from 0 to 99999. Leave it out for {WAIT_SECONDS}. With 0 it does not wait."
            )
        return cls(int(seconds))


def refuse_shared_pool(connection: psycopg.Connection[Any], direct_url: str) -> None:
    """Raise MigrationError if a pooler gives the server's process of `connection` to another connection.

    Call it first, because a lock or a setting would stay behind in such a pool. It cannot see a pool that other clients
    use at the same moment, so `assert_held` looks in each transaction.
    """
    # A pooler takes the connection that was used last, or with server_round_robin the one that was used first.
    own = {_backend(connection) for _ in range(3)}
    if len(own) > 1 or _backend_of_another(direct_url, connection.info.parameter_status("application_name")) in own:
        raise MigrationError(_POOLED)


def assert_held(connection: psycopg.Connection[Any], key: int) -> None:
    """Raise MigrationError if this transaction does not run in the process that holds the advisory lock `key`."""
    if not any(holder.is_own for holder in holders_of(connection, key)):
        raise MigrationError(_POOLED)


@contextmanager
def only_one(
    connection: psycopg.Connection[Any],
    key: int,
    command: str,
    *,
    waiting: Waiting | None = None,
    take: Callable[[], bool] | None = None,
) -> Iterator[None]:
    """Hold the advisory lock `key` of this database. `take` tries to take the lock, and returns whether it did.

    Raises MigrationError, which names the holders, if another connection has the lock for longer than `waiting` allows.
    """
    _take(connection, key, command, waiting or Waiting(), take or (lambda: _try(connection, key)))
    # Even if a pooler runs this in another process, the only holder is the one that has just taken the lock.
    held_by = [holder.pid for holder in holders_of(connection, key)]
    try:
        yield
    finally:
        if not connection.closed:
            _release(connection, key, held_by)


def _take(
    connection: psycopg.Connection[Any], key: int, command: str, waiting: Waiting, take: Callable[[], bool]
) -> None:
    # A statement that waits for a lock inside the server is an open transaction. If the other migration makes an index
    # concurrently, the index would wait for this transaction, and this transaction for the index. So poll instead.
    begun = said = time.monotonic()
    named: Sequence[Holder] = ()
    while not take():
        holders = end_logins(connection, key)
        if not holders:
            continue
        now = time.monotonic()
        names = ", ".join(map(str, holders))
        if now - begun >= waiting.seconds:
            raise MigrationError(_given_up(command, names, holders, waiting.seconds))
        if holders != named or now - said >= waiting.say_seconds:
            named, said = holders, now
            logger.info(
                "%s of this database is running (%s); waiting until it ends, at most %.0f s more",
                _kind(command, holders), names, waiting.seconds - (now - begun),
            )  # fmt: skip
        time.sleep(_POLL_SECONDS)


def _given_up(command: str, names: str, holders: Sequence[Holder], seconds: float) -> str:
    runs = f"still runs after {seconds:g} s" if seconds else "is running"
    ends = "; ".join(holder.end for holder in holders)
    kind = _kind(command, holders)
    return (
        f"{kind[0].upper()}{kind[1:]} of this database {runs}: {names}. Nothing was changed. Wait for its end and run "
        f"this again.\nIf it hangs, end it as its role or as a superuser: {ends}"
    )


def _kind(command: str, holders: Sequence[Holder]) -> str:
    """Return what holds the lock: another command of this kind, unless the connection says that it is of another."""
    kinds = {_KINDS.get(holder.application, command) for holder in holders} - {command}
    return f"a {kinds.pop()}" if kinds else f"another {command}"


def _try(connection: psycopg.Connection[Any], key: int) -> bool:
    return bool(_value(connection, "select pg_catalog.pg_try_advisory_lock(%s)", key))


def _release(connection: psycopg.Connection[Any], key: int, held_by: Sequence[int]) -> None:
    if _value(connection, "select pg_catalog.pg_advisory_unlock(%s)", key):
        return
    # A pooler has given the process that has the lock to another client. Without this the lock would stay in the pool.
    for _ in range(25):
        left = [holder for holder in holders_of(connection, key) if holder.pid in held_by]
        if not left or _value(connection, "select pg_catalog.pg_advisory_unlock(%s)", key):
            return
        end_holder(connection, left[0], only_idle=True)
        time.sleep(_POLL_SECONDS)
    logger.warning("a connection of the pooler still holds the lock of this command. Run: %s", left[0].end)


def _backend(connection: psycopg.Connection[Any]) -> str:
    return str(_value(connection, _BACKEND))


def _value(connection: psycopg.Connection[Any], query: str, *parameters: object) -> Any:
    row = connection.execute(query.encode(), parameters).fetchone()
    assert row is not None
    return row[0]


def _backend_of_another(direct_url: str, program: str | None) -> str:
    """Return the server's process of a second connection, or an empty text if it gets no process.

    A pooler in session mode with one connection to the server lets the second client wait, so the wait has a limit.
    """
    try:
        other = connect(direct_url, program or "robot-brain", seconds=_PROBE_SECONDS)
    except MigrationError:
        return ""
    try:
        return _answer(other.pgconn, _BACKEND, _PROBE_SECONDS)
    finally:
        # Not `with`, which would wait for the answer.
        other.close()


def _answer(pgconn: PGconn, query: str, seconds: float) -> str:
    """Return the only value of `query`, or an empty text if it does not come in time or fails."""
    try:
        pgconn.send_query(query.encode())
        poll = select.poll()
        poll.register(pgconn.socket, select.POLLIN)
        until = time.monotonic() + seconds
        while pgconn.is_busy():
            if not poll.poll(max(0, until - time.monotonic()) * 1000):
                return ""
            pgconn.consume_input()
        result = pgconn.get_result()
    except psycopg.Error:
        return ""
    return (result.get_value(0, 0) or b"").decode() if result and result.ntuples else ""
