"""The SQL functions of the database. One function here is one call there: one statement, one round trip."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from robot_brain import telemetry
from robot_brain.attempts import repeat
from robot_brain.connection import lazy_connection
from robot_brain.deadline import Deadline
from robot_brain.errors import SessionNotFoundError
from robot_brain.settings import settings
from robot_brain.watchdog import WatchedConnection

# The schema that these calls need. An older one would drop what it does not know, so it refuses them.
SCHEMA_VERSION = 2

_WRITE = (
    "select body, replayed, etag from robot_brain_api.write_message("
    "p_tenant_id => %s, p_session_id => %s, p_messages => %s, p_user_metadata => %s, p_if_match => %s, p_key => %s,"
    " p_first_id => %s, p_repeated => %s, p_schema_version => %s)"
)
_READ = (
    "select body, etag from robot_brain_api.read_session("
    "p_tenant_id => %s, p_session_id => %s, p_limit => %s, p_before => %s, p_after => %s, p_max_chars => %s,"
    " p_known_etags => %s, p_schema_version => %s)"
)
_STATS = (
    "select body, stale from robot_brain_api.stats("
    "p_tenant_id => %s, p_session_id => %s, p_max_age => %s, p_schema_version => %s)"
)
_HEALTH = "select body from robot_brain_api.health(p_max_age => %s, p_schema_version => %s)"
_REFRESH = "select body from robot_brain_api.refresh_stats(p_if_older => %s, p_schema_version => %s)"
_VIEW = "select body from robot_brain_api.refresh_view(p_wait => %s, p_schema_version => %s)"
_MONTH = "select body from robot_brain_api.make_month(p_schema_version => %s)"
_KEYS = "select body from robot_brain_api.clear_keys(p_schema_version => %s)"

# Seconds. The role's statement_timeout is ten (sql/migrations/0001_base.sql): a server that has said nothing two later,
# not even that, has gone silent.
_LONGEST_ANSWER = 12.0


class Written(NamedTuple):
    """A write's answer as JSON text, whether an earlier request or attempt wrote it, and the entity tag if known."""

    body: str
    replayed: bool
    etag: str | None


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


def write_message(
    session_id: str, messages: str, user_metadata: str | None, if_match: str | None, key: str | None, deadline: Deadline
) -> Written:
    """Append `messages`, a JSON array of turns, to a session, and return the answer.

    Without the client's `key` the write is known by its first turn's id, which is made here, so that the layer's own
    repeats cannot write twice. Raise PreconditionFailedError, IdempotencyKeyReusedError, InvalidRequestError, or a
    DatabaseError.
    """
    first_id = _random_uuid() if key is None else None
    written_as = (settings().tenant_id, session_id, messages, user_metadata, if_match, key, first_id)

    def write(connection: WatchedConnection, attempt: int) -> Written:
        return Written(
            *_only_row(connection.execute(_WRITE, (*written_as, key is None and attempt > 1, SCHEMA_VERSION)))
        )

    written = repeat("write_message", write, deadline, _LONGEST_ANSWER, writes=True)
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
    page = (settings().tenant_id, session_id, limit, before, after, max_chars, list(known_etags), SCHEMA_VERSION)
    body, etag = _call(_READ, page, deadline)
    if etag is None:
        raise SessionNotFoundError
    return Page(body, etag)


def stats(session_id: str | None, max_age: int, deadline: Deadline) -> Figures:
    """Return the tenant's figures, or one session's. Raise SessionNotFoundError or a DatabaseError.

    They are stale where they are older than `max_age` seconds and something was written since; with 0 they never are.
    """
    body, stale = _call(_STATS, (settings().tenant_id, session_id, max_age, SCHEMA_VERSION), deadline)
    if body is None:
        raise SessionNotFoundError
    return Figures(body, stale)


def health(deadline: Deadline) -> Health:
    """Return what the database says of itself, and how long it took to say it. Raise a DatabaseError.

    One attempt, for a probe wants to know how it is now; but a kept connection that fails says nothing of the
    database, so that one is followed by another on a new one.
    """

    def ask(connection: WatchedConnection, _: int) -> Health:
        started = time.monotonic()
        (body,) = _only_row(connection.execute(_HEALTH, (settings().stats_max_age, SCHEMA_VERSION)))
        milliseconds = round((time.monotonic() - started) * 1000, 3)
        return Health(str(body), milliseconds, *lazy_connection().seen_from_here())

    return repeat("health", ask, deadline, _LONGEST_ANSWER, attempts=2 if lazy_connection().is_open else 1)


def refresh_stats(deadline: Deadline, if_older: int | None = None) -> str | None:
    """Count what is not counted yet, for all tenants, and return {"counted": …} as JSON text. Raise a DatabaseError.

    With `if_older` seconds it waits for no other refresh: returns None if one is running, or if none is due.
    """
    return _upkeep("refresh_stats", _REFRESH, (if_older, SCHEMA_VERSION), deadline)


def refresh_view(deadline: Deadline, wait: bool) -> str | None:
    """Make the longest sessions of `stats` anew and return {"as_of": …} as JSON text. Raise a DatabaseError.

    Without `wait` it returns None if another refresh is running.
    """
    return _upkeep("refresh_view", _VIEW, (wait, SCHEMA_VERSION), deadline)


def make_month(deadline: Deadline) -> str:
    """Make one missing month and return {"made": month or null, "failed": […]} as JSON text. Raise a DatabaseError."""
    return str(_upkeep("make_month", _MONTH, (SCHEMA_VERSION,), deadline))


def clear_keys(deadline: Deadline) -> str:
    """Delete expired idempotency keys and return {"keys_cleared": …} as JSON text. Raise a DatabaseError."""
    return str(_upkeep("clear_keys", _KEYS, (SCHEMA_VERSION,), deadline))


def _upkeep(door: str, query: str, parameters: tuple[object, ...], deadline: Deadline) -> str | None:
    """Run one step of a refresh in a transaction of its own.

    It may take longer than a request may: the transaction gives itself what is left of the deadline, with SET LOCAL
    before the statement, because a timeout that is set inside the function does not count for it.
    """

    def run(connection: WatchedConnection, _: int) -> str | None:
        with connection.transaction():
            milliseconds = int(deadline.remaining() * 1000)
            connection.execute("select set_config('statement_timeout', %s, true)", (str(milliseconds),))
            body: str | None = _only_row(connection.execute(query, parameters))[0]
            return body

    return repeat(door, run, deadline, longest_answer=deadline.left())


def _call(query: str, parameters: tuple[object, ...], deadline: Deadline) -> tuple[Any, ...]:
    """Run one statement that returns one row."""
    door = query.partition("robot_brain_api.")[2].partition("(")[0]

    def ask(connection: WatchedConnection, _: int) -> tuple[Any, ...]:
        return _only_row(connection.execute(query, parameters))

    return repeat(door, ask, deadline, _LONGEST_ANSWER)


def _random_uuid() -> str:
    """Return a random UUID (RFC 9562, version 4) as 32 hexadecimal digits."""
    # Neither the module uuid, which a cold start would pay for, nor random, which repeats itself after a SnapStart
    # restore.
    number = bytearray(os.urandom(16))
    number[6] = number[6] & 0x0F | 0x40
    number[8] = number[8] & 0x3F | 0x80
    return number.hex()


def _only_row(cursor: psycopg.Cursor[tuple[Any, ...]]) -> tuple[Any, ...]:
    row = cursor.fetchone()
    assert row is not None  # a function in the select list always returns a row
    return row
