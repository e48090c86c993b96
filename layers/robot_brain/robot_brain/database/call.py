"""The one way into the database: `call` calls an SQL function, and retries it if that is safe and may help.

All attempts of a call share one deadline. The pauses between them have full jitter. An unknown outcome stays unknown.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Mapping
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

# Seconds. The role's statement_timeout is ten: a server that is silent for two more has gone.
_LONGEST_ANSWER = 12.0
# Seconds. With less time left, no other attempt is made.
_SHORTEST_ATTEMPT = 0.1
# Python's other generator repeats itself in every environment that is restored from one SnapStart snapshot.
_random = random.SystemRandom()

Row = tuple[Any, ...]


class Answer(NamedTuple):
    """The row that an SQL function returned, and the seconds and the connection of the attempt that succeeded."""

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
    retried_with: Mapping[str, object] | None = None,
    until_deadline: bool = False,
) -> Answer:
    """Call an SQL function by its statement, which returns one row. Retry if that is safe and may help.

    `attempts` is the most in all, DB_MAX_RETRIES if it is not given. A retry has the arguments `retried_with` instead
    of the first ones. The server has 12 seconds for each answer; `until_deadline` gives it all the time that is left.

    Raises the error of the last attempt, but DeadlineExceededError if time ran out after a call that nobody answered.
    If it `writes`, raises DeadlineExceededError whatever the last attempt met, if an attempt before may have been done:
    a refusal of a retry says nothing about the attempt that is perhaps still under way.
    """
    failed = _FailedAttempts(deadline, attempts, writes)
    while True:
        connection = None
        try:
            connection = lazy_connection().get(deadline)
            started = time.monotonic()
            if until_deadline:
                row = _until(deadline, connection, statement, arguments)
            else:
                connection.watch(deadline.at_most(_LONGEST_ANSWER))
                row = connection.execute(statement, arguments).fetchone()
        except Exception as error:
            failed.pause_after(error, connecting=connection is None)
            arguments = {**arguments, **(retried_with or {})}
        else:
            assert row is not None  # a function in the select list always returns a row
            seconds = time.monotonic() - started
            _report(function, seconds)
            return Answer(row, seconds, connection)


def _until(
    deadline: Deadline, connection: WatchedConnection, statement: str, arguments: Mapping[str, object]
) -> Row | None:
    """Execute in a transaction that may take what is left of the deadline.

    SET LOCAL comes before the statement, because a timeout that is set inside the function does not count for it.
    """
    connection.watch(deadline)
    with connection.transaction():
        # At least one: PostgreSQL takes 0 for no limit.
        milliseconds = math.ceil(deadline.remaining() * 1000)
        connection.execute("select set_config('statement_timeout', %s, true)", (str(milliseconds),))
        return connection.execute(statement, arguments).fetchone()


class _FailedAttempts:
    """What became of a call so far, and whether another attempt follows."""

    __slots__ = ("_deadline", "_most", "_number", "_unknown", "_writes")

    def __init__(self, deadline: Deadline, most: int | None, writes: bool) -> None:
        self._deadline = deadline
        self._most = most
        self._writes = writes
        self._number = 0
        # The errors of attempts that may have been done.
        self._unknown: list[psycopg.Error] = []

    def pause_after(self, error: Exception, *, connecting: bool) -> None:
        """Return when it is time for the next attempt. Raises what the call raises if there is to be none."""
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
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        pause = _random.uniform(0, failure.pause * 2 ** (self._number - 1))
        too_late = pause + _SHORTEST_ATTEMPT >= self._deadline.left()
        if not failure.repeat or self._number >= (self._most or settings().max_attempts) or too_late:
            telemetry.note(database_error=cause(error), attempts=self._number)
            # A pooler that says it lost its server is an answer: with an SQLSTATE.
            if too_late and any(each.sqlstate is None for each in self._unknown):
                raise DeadlineExceededError(cause(error)) from error
            raise failure.error from error
        patterns().retried()
        time.sleep(pause)

    def _note(self, error: Exception, connecting: bool) -> None:
        """Note why no connection was tried: DATABASE_URL or its secret is wrong or away, or no time is left."""
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
