"""The five doors of the database. One function here is one call there: one statement, one round trip."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import psycopg

from robot_brain import telemetry
from robot_brain.connection import lazy_connection
from robot_brain.deadline import Deadline
from robot_brain.errors import SessionNotFoundError
from robot_brain.failures import cause, while_calling, while_connecting
from robot_brain.settings import settings

_WRITE = "select body, replayed from robot_brain_api.write_message(%s, %s, %s, %s, %s, %s, %s)"
_READ = "select body, etag from robot_brain_api.read_session(%s, %s, %s, %s, %s, %s, %s)"
_STATS = "select body, stale from robot_brain_api.stats(%s, %s, %s)"
_HEALTH = "select body from robot_brain_api.health()"
_REFRESH = "select body from robot_brain_api.refresh_stats(%s)"

# Seconds. The longest pause before the second attempt is twice that.
_FIRST_PAUSE = 0.1

Result = TypeVar("Result")


class Written(NamedTuple):
    """A write's answer as JSON text, and whether it is that of an earlier request with the same key."""

    body: str
    replayed: bool


class Page(NamedTuple):
    """A page as JSON text, None where the client's copy is still right; and the session's entity tag."""

    body: str | None
    etag: str


class Figures(NamedTuple):
    """Statistics as JSON text, and whether a refresh would change them that is due by their age."""

    body: str
    stale: bool


class Health(NamedTuple):
    """The server's own report as JSON text, and what only the client sees of it."""

    body: str
    milliseconds: float
    tls: bool
    backend_pid: int
    opened: int
    reused: int
    retired: int


def write_message(
    session_id: str, messages: str, user_metadata: str | None, if_match: int | None, key: str | None, deadline: Deadline
) -> Written:
    """Append `messages`, a JSON array of turns, to a session, and return the answer.

    Without the client's `key` the layer makes one, so that its own repeats cannot write twice. Raise
    PreconditionFailedError, IdempotencyKeyReusedError, InvalidRequestError, or a DatabaseError.
    """
    # os.urandom and not uuid or random: after a SnapStart restore it does not repeat itself.
    origin, unique = ("client", key) if key is not None else ("layer", os.urandom(16).hex())
    row = _call(_WRITE, (settings().tenant_id, session_id, messages, user_metadata, if_match, origin, unique), deadline)
    written = Written(*row)
    if written.replayed:
        telemetry.count("Replays")
    return written


def read_session(
    session_id: str,
    limit: int,
    before: int | None,
    after: int | None,
    max_chars: int | None,
    known_etags: Sequence[str],
    deadline: Deadline,
) -> Page:
    """Return a page of a session's turns. Raise SessionNotFoundError or a DatabaseError."""
    body, etag = _call(
        _READ, (settings().tenant_id, session_id, limit, before, after, max_chars, list(known_etags)), deadline
    )
    if etag is None:
        raise SessionNotFoundError
    return Page(body, etag)


def stats(session_id: str | None, max_age: int, deadline: Deadline) -> Figures:
    """Return the tenant's figures, or one session's. Raise SessionNotFoundError or a DatabaseError.

    They are stale where they are older than `max_age` seconds and something was written since; with 0 they never are.
    """
    body, stale = _call(_STATS, (settings().tenant_id, session_id, max_age), deadline)
    if body is None:
        raise SessionNotFoundError
    return Figures(body, stale)


def health(deadline: Deadline) -> Health:
    """Return what the database says of itself. Raise a DatabaseError."""
    started = time.monotonic()
    (body,) = _call(_HEALTH, (), deadline)
    milliseconds = round((time.monotonic() - started) * 1000, 3)
    lazy = lazy_connection()
    tls, backend_pid = lazy.seen_from_here()
    return Health(str(body), milliseconds, tls, backend_pid, lazy.opened, lazy.reused, lazy.retired)


def refresh_stats(deadline: Deadline, if_older: int | None = None) -> str | None:
    """Bring the statistics of all tenants up to now and return {"as_of", …} as JSON text. Raise a DatabaseError.

    With `if_older` seconds it waits for nobody: None where another refresh runs, or the figures are younger by now.
    It may take longer than a request may: the transaction gives itself what is left of the deadline, with SET LOCAL
    before the statement, because a timeout that is set inside the function does not count for it.
    """

    def refresh(connection: psycopg.Connection[Any]) -> str | None:
        with connection.transaction():
            milliseconds = int(deadline.remaining() * 1000)
            connection.execute("select set_config('statement_timeout', %s, true)", (str(milliseconds),))
            body: str | None = _only_row(connection.execute(_REFRESH, (if_older,)))[0]
            return body

    return _repeat("refresh_stats", refresh, deadline)


def _call(query: str, parameters: tuple[object, ...], deadline: Deadline) -> tuple[Any, ...]:
    """Run one statement that returns one row."""
    door = query.partition("robot_brain_api.")[2].partition("(")[0]
    return _repeat(door, lambda connection: _only_row(connection.execute(query, parameters)), deadline)


def _only_row(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None  # a function in the select list always returns a row
    return row


def _repeat(door: str, work: Callable[[psycopg.Connection[Any]], Result], deadline: Deadline) -> Result:
    """Do `work` on the connection, and repeat it where that is safe and may help, within the deadline."""
    attempt = 1
    while True:
        error: psycopg.Error
        try:
            connection = lazy_connection().get(deadline)
        except psycopg.Error as raised:
            failed, error = while_connecting(raised), raised
        else:
            started = time.monotonic()
            try:
                result = work(connection)
            except psycopg.Error as raised:
                failed, error = while_calling(raised), raised
            else:
                _report(door, time.monotonic() - started)
                return result
        if failed.lost:
            lazy_connection().discard()
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        pause = random.uniform(0, _FIRST_PAUSE * 2**attempt)
        if not failed.repeat or attempt >= settings().max_attempts or pause >= deadline.remaining():
            telemetry.note(database_error=cause(error), attempts=attempt)
            raise failed.error from error
        telemetry.count("Retries")
        time.sleep(pause)
        attempt += 1


def _report(door: str, seconds: float) -> None:
    telemetry.took("QueryMilliseconds", seconds)
    if seconds * 1000 >= settings().slow_query_ms:
        telemetry.count("SlowQueries")
        telemetry.note(slow_query=door, slow_query_ms=round(seconds * 1000))
