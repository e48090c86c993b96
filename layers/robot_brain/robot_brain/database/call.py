"""`call` calls an SQL function, and retries the call if a retry is safe and may help. Each request uses it.

All attempts of a call share one deadline. The pauses between them have full jitter. If the server refuses the login,
and the secret has another URL by now, the password was rotated, and the call is sent at once. If an attempt of a change
has an unknown outcome and no retry succeeds, the outcome of the call is unknown too.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import psycopg

from robot_brain import telemetry
from robot_brain.database.connection import lazy_connection
from robot_brain.database.failures import cause, while_calling, while_connecting
from robot_brain.database.patterns import patterns
from robot_brain.database.watchdog import WatchedConnection
from robot_brain.deadline import Deadline
from robot_brain.errors import DatabaseError, DeadlineExceededError, RobotBrainError, SettingsError
from robot_brain.settings import settings

# Seconds. The role's statement_timeout is 10 s. A server that stays silent for 2 s more is lost.
_LONGEST_ANSWER = 12.0
# Seconds. With less time left there is no retry.
_SHORTEST_ATTEMPT = 0.1
# A former client of a pooler may have left its settings on the server connection. Then a call may fail with one of
# these errors: read only, another isolation level, the end of statement_timeout or lock_timeout. The role's
# own limits are 10 s and 5 s. A call that ends clearly earlier has met another client's limit.
_OF_SETTINGS = {"25006": math.inf, "40001": math.inf, "57014": 9.0, "55P03": 4.5}
_ALLOW_NO_WRITES = ("default_transaction_read_only", "in_hot_standby")
# Python's default generator would repeat its numbers in each environment that SnapStart restores from one snapshot.
_random = random.SystemRandom()

Row = tuple[Any, ...]


class Answer(NamedTuple):
    """The row that an SQL function returned, with the duration and the connection of the successful attempt."""

    row: Row
    seconds: float
    connection: WatchedConnection


def call(
    function: str,
    statement: str,
    arguments: Mapping[str, object],
    deadline: Deadline,
    *,
    attempts: int | None = None,
    writes: bool = False,
    repeatable: bool = True,
    retried_with: Mapping[str, object] | None = None,
    refused: Callable[[Row], RobotBrainError | None] | None = None,
    until_deadline: bool = False,
) -> Answer:
    """Call an SQL function by `statement`, which returns one row. Retry if a retry is safe and may help.

    `attempts` limits the attempts, the first one included. Its default is DB_MAX_RETRIES. A call that is not
    `repeatable` is retried only if the earlier attempt certainly did nothing. The arguments `retried_with` replace
    those of the same name on a retry. The server has 12 seconds for each answer. With `until_deadline` it has all the
    time that is left. If `refused` returns an error for the row, the call fails with that error.

    Raises DeadlineExceededError if time ran out after a call was sent and its outcome is unknown. For a call that
    `writes`, also raises it if the call fails and any attempt has an unknown outcome, even if a retry was refused. The
    refusal says only that the retry did nothing. The earlier attempt may be done, or may still run.
    Otherwise raises the error of the last attempt.
    """
    failed = _FailedAttempts(deadline, attempts, writes, repeatable)
    while True:
        connection = None
        started = time.monotonic()
        try:
            connection = lazy_connection().get(deadline)
            started = time.monotonic()
            connection.watch(deadline if until_deadline else deadline.at_most(_LONGEST_ANSWER))
            if until_deadline or failed.of_settings:
                row = _in_transaction(connection, statement, arguments, deadline, until_deadline, failed.of_settings)
            else:
                row = connection.execute(statement, arguments).fetchone()
            assert row is not None  # each of these SQL functions returns exactly one row
            seconds = time.monotonic() - started
            _report(function, seconds)
            if refused and (refusal := refused(row)):
                raise refusal
            return Answer(row, seconds, connection)
        except Exception as error:
            failed.look(error, math.inf if until_deadline else time.monotonic() - started)
            failed.pause_after(error, connecting=connection is None)
            arguments = {**arguments, **(retried_with or {})}


def _in_transaction(
    connection: WatchedConnection,
    statement: str,
    arguments: Mapping[str, object],
    deadline: Deadline,
    until_deadline: bool,
    reset: bool,
) -> Row | None:
    """Execute the statement in a transaction. With `until_deadline` it may run until then.

    With `reset`, first give the server connection the settings of the role, which stay after the commit.
    Set the timeout in a statement of its own, because a timeout set inside the SQL function has no effect on that call.
    """
    with connection.begun():
        if reset:
            _reset(connection)
        if until_deadline:
            # At least 1, because 0 means no limit in PostgreSQL.
            milliseconds = math.ceil(deadline.remaining() * 1000)
            connection.execute("select pg_catalog.set_config('statement_timeout', %s, true)", (str(milliseconds),))
        return connection.execute(statement, arguments).fetchone()


def _reset(connection: WatchedConnection) -> None:
    """Give the server connection, and the transaction that has just begun, the defaults of the role and the server.

    The transaction stays read-only if they say so: for a standby, and for an operator or a provider that allows no
    writes. SHOW is no query, and after a query the transaction could not become writable.
    """
    connection.execute("reset all")
    shown = [connection.execute(f"show {name}".encode()).fetchone() for name in _ALLOW_NO_WRITES]
    if shown == [("off",), ("off",)]:
        connection.execute("set transaction read write")


class _FailedAttempts:
    """The failed attempts of one call. Decides whether a retry follows."""

    __slots__ = ("_deadline", "_most", "_number", "_repeatable", "_unknown", "_writes", "of_settings")

    def __init__(self, deadline: Deadline, most: int | None, writes: bool, repeatable: bool) -> None:
        self._deadline = deadline
        self._most = most
        self._writes = writes
        self._repeatable = repeatable
        self._number = 0
        # The last error may come from settings that a former client left behind.
        self.of_settings = False
        # The errors of attempts with an unknown outcome.
        self._unknown: list[psycopg.Error] = []

    def look(self, error: Exception, seconds: float) -> None:
        """Note whether an error after so many seconds of an attempt may come from a former client's settings."""
        sqlstate = error.sqlstate if isinstance(error, psycopg.Error) else None
        self.of_settings = seconds <= _OF_SETTINGS.get(sqlstate or "", -1)

    def pause_after(self, error: Exception, *, connecting: bool) -> None:
        """Sleep until the next attempt. Raises the error of the whole call if there is no next attempt."""
        self._number += 1
        try:
            if isinstance(error, psycopg.Error):
                self._pause_or_raise(error, connecting)
            else:
                self._note(error, connecting)
                raise error
        except Exception as last:
            if self._writes and self._unknown:
                unanswered = cause(self._unknown[0])
                telemetry.note(unanswered=unanswered)
                patterns().failed()
                text = f"no answer to an attempt ({unanswered}); the last attempt ended with {type(last).__name__}"
                raise DeadlineExceededError(text) from last
            if isinstance(last, DatabaseError | SettingsError):
                patterns().failed()
            raise

    def _pause_or_raise(self, error: psycopg.Error, connecting: bool) -> None:
        failure = while_connecting(error) if connecting else while_calling(error)
        patterns().attempt_failed(failure.error, error.sqlstate, connecting)
        if failure.unknown:
            self._unknown.append(error)
        if failure.lost:
            lazy_connection().discard()
        if failure.of_login and self._renewed(error):
            return
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        pause = _random.uniform(0, failure.pause * 2 ** (self._number - 1))
        too_late = pause + _SHORTEST_ATTEMPT >= self._deadline.left()
        repeat = (failure.repeat or self.of_settings) and (self._repeatable or not failure.unknown)
        if not repeat or self._number >= (self._most or settings().max_attempts) or too_late:
            telemetry.note(database_error=cause(error), attempts=self._number)
            # An error with an SQLSTATE is an answer, for example a pooler's report that it lost its server.
            if too_late and any(each.sqlstate is None for each in self._unknown):
                raise DeadlineExceededError(cause(error)) from error
            raise failure.error from error
        patterns().retried()
        time.sleep(pause)

    def _renewed(self, error: psycopg.Error) -> bool:
        """Return whether the secret has another URL. Then the refused attempt does not count, as it did nothing."""
        try:
            renewed = lazy_connection().renew(self._deadline)
        except RobotBrainError as unavailable:
            telemetry.note(database_error=cause(error), attempts=self._number)
            raise unavailable from error
        if renewed:
            self._number -= 1
            patterns().retried()
        return renewed

    def _note(self, error: Exception, connecting: bool) -> None:
        """Log why no connection was tried: DATABASE_URL or its secret is wrong or unavailable, or no time is left."""
        if connecting and isinstance(error, RobotBrainError):
            telemetry.note(database_error=str(error), attempts=self._number)
            if not isinstance(error, DeadlineExceededError):
                patterns().attempt_failed(error, None, connecting=True)


def _report(function: str, seconds: float) -> None:
    telemetry.took("QueryMilliseconds", seconds)
    patterns().called(function, seconds)
    if seconds * 1000 >= settings().slow_query_ms:
        telemetry.count("SlowQueries")
        telemetry.note(slow_query=function, slow_query_ms=round(seconds * 1000))
