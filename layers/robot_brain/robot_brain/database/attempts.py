"""A call, repeated if that is safe and may help: one deadline, full jitter, and an unknown outcome stays unknown."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

import psycopg

from robot_brain import telemetry
from robot_brain.database.connection import lazy_connection
from robot_brain.database.failures import cause, while_calling, while_connecting
from robot_brain.database.patterns import patterns
from robot_brain.database.watchdog import WatchedConnection
from robot_brain.deadline import Deadline
from robot_brain.errors import DatabaseError, DeadlineExceededError, RobotBrainError, SettingsError
from robot_brain.settings import settings

# Seconds. With less time left, no other attempt is made.
_SHORTEST_ATTEMPT = 0.1
# Python's other generator repeats itself in every environment that is restored from one SnapStart snapshot.
_random = random.SystemRandom()

Result = TypeVar("Result")


def repeat(
    name: str,
    work: Callable[[WatchedConnection, int], Result],
    deadline: Deadline,
    longest_answer: float,
    attempts: int | None = None,
    *,
    writes: bool = False,
) -> Result:
    """Do `work` on the connection, and repeat it if that is safe and may help, within the deadline.

    `work` receives the number of the attempt, from 1. Each time the server has `longest_answer` seconds; `attempts` is
    the most in all, DB_MAX_RETRIES if it is not given. Raises the error of the last attempt, but
    DeadlineExceededError if time ran out after a call that nobody answered.

    If `writes`, raises DeadlineExceededError whatever the last attempt met, if an attempt before may have been done:
    a refusal of a retry says nothing about the attempt that is perhaps still under way.
    """
    unknown: list[psycopg.Error] = []
    try:
        try:
            return _attempt(name, work, deadline, longest_answer, attempts or settings().max_attempts, unknown)
        except Exception as error:
            if not (writes and unknown):
                raise
            unanswered = cause(unknown[0])
            telemetry.note(unanswered=unanswered)
            text = f"no answer to an attempt ({unanswered}); the last attempt ended with {type(error).__name__}"
            raise DeadlineExceededError(text) from error
    except (DatabaseError, SettingsError):
        patterns().failed()
        raise


def _attempt(
    name: str,
    work: Callable[[WatchedConnection, int], Result],
    deadline: Deadline,
    longest_answer: float,
    most_attempts: int,
    unknown: list[psycopg.Error],
) -> Result:
    """Do what `repeat` does, and add to `unknown` the error of each attempt that may have been done."""
    attempt = 1
    while True:
        error: psycopg.Error
        try:
            connection = lazy_connection().get(deadline)
        except psycopg.Error as raised:
            failed, error = while_connecting(raised), raised
            patterns().attempt_failed(failed.error, error.sqlstate, connecting=True)
        except RobotBrainError as raised:
            # DATABASE_URL or its secret is wrong or away, or no time is left: nothing was asked of the database.
            telemetry.note(database_error=str(raised), attempts=attempt)
            if not isinstance(raised, DeadlineExceededError):
                patterns().attempt_failed(raised, None, connecting=True)
            raise
        else:
            started = time.monotonic()
            connection.watch(deadline.at_most(longest_answer))
            try:
                result = work(connection, attempt)
            except psycopg.Error as raised:
                failed, error = while_calling(raised), raised
                if failed.unknown:
                    unknown.append(error)
                patterns().attempt_failed(failed.error, error.sqlstate, connecting=False)
            else:
                _report(name, time.monotonic() - started)
                return result
        if failed.lost:
            lazy_connection().discard()
        # Full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
        pause = _random.uniform(0, failed.pause * 2 ** (attempt - 1))
        too_late = pause + _SHORTEST_ATTEMPT >= deadline.left()
        if not failed.repeat or attempt >= most_attempts or too_late:
            telemetry.note(database_error=cause(error), attempts=attempt)
            # A pooler that says it lost its server is an answer: with an SQLSTATE.
            if too_late and any(each.sqlstate is None for each in unknown):
                raise DeadlineExceededError(cause(error)) from error
            raise failed.error from error
        patterns().retried()
        time.sleep(pause)
        attempt += 1


def _report(name: str, seconds: float) -> None:
    telemetry.took("QueryMilliseconds", seconds)
    patterns().called(name, seconds)
    if seconds * 1000 >= settings().slow_query_ms:
        telemetry.count("SlowQueries")
        telemetry.note(slow_query=name, slow_query_ms=round(seconds * 1000))
