"""Counters of this execution environment's trouble with the database, and patterns, each reported once.

When a pattern begins, one metric and one warning with advice report it. There is no second report until it is over:

- connection_failures  three attempts to connect in a row failed; over when a connection opens
- slower_than_usual    three calls in a row of an SQL function took far longer than its mean; over after three usual
                       calls in a row
- pool_exhaustion      PostgreSQL or the pooler had no free connection; over after LATELY seconds without it
- deadlock             PostgreSQL ended a deadlock, and the call was retried; over after LATELY seconds without it

Times come from the wall clock, because the monotonic clock may stop while Lambda freezes the environment.
"""

from __future__ import annotations

import time

from robot_brain import environment, telemetry
from robot_brain.errors import DatabaseOverloadedError, RobotBrainError

# Seconds. An event is recent if it is no older.
LATELY = 300.0
# Seconds. Connecting takes 6 round trips and some arithmetic, tens of milliseconds. A wake takes hundreds.
WAKE = 0.2

_IN_A_ROW = 3
# Exponential moving average per SQL function (weight 1/32). Ignored until 20 calls were seen.
_PAST = 20
_WEIGHT = 1 / 32
# A call is slow if it takes over four times the mean and over 50 ms. A full page or batch may take 50 ms.
_TIMES = 4.0
_LEAST = 0.05

_WARNINGS = {
    "connection_failures": (
        "PatternConnectionFailures",
        "See database_error in the lines of the failed requests. If it is a refusal (password, certificate, endpoint, "
        "quota), correct DATABASE_URL or the Neon project. Otherwise see Neon's console and its status page.",
    ),
    "slower_than_usual": (
        "PatternSlowerThanUsual",
        "See the compute's CPU, memory and connections in Neon's console. See pg_stat_activity for calls that wait for "
        "a lock. A larger compute helps if the memory is full.",
    ),
    "pool_exhaustion": (
        "PatternPoolExhaustion",
        "More requests run at the same time than the compute has connections. Look for long transactions of other "
        "clients. Lower the API's throttling rate or the functions' concurrency, or choose a larger compute. "
        "DATABASE_URL must name the pooler's host.",
    ),
    "deadlock": (
        "PatternDeadlock",
        "Robot Brain's functions always lock in the same order. So look in PostgreSQL's log for the other statement: "
        "an operator's, or one of another program that locks these tables.",
    ),
}


class _Pace:
    """The duration of one SQL function's calls in this environment, in seconds."""

    __slots__ = ("calls", "mean", "slow", "usual", "warned")

    def __init__(self) -> None:
        self.calls = 0
        self.mean = 0.0
        self.slow = 0
        self.usual = 0
        self.warned = False


class Patterns:
    """Counts retries, failures and wakes since the environment started, and detects patterns in them."""

    def __init__(self) -> None:
        self.retries = 0
        self.failures = 0
        self.wakes = 0
        self._retried_at: float | None = None
        self._not_connected = 0
        self._paces: dict[str, _Pace] = {}
        self._seen_at: dict[str, float] = {}

    def connected(self, seconds: float) -> None:
        """Record that a connection opened after `seconds`. WAKE seconds or more count as a wake of the compute."""
        self._not_connected = 0
        if seconds >= WAKE:
            self.wakes += 1
            telemetry.count("Wakes")

    def called(self, function: str, seconds: float) -> None:
        """Record that a call succeeded after `seconds`. Every request does this, so it takes a microsecond at most."""
        pace = self._paces.get(function)
        if pace is None:
            pace = self._paces[function] = _Pace()
        calls = pace.calls = pace.calls + 1
        mean = pace.mean
        if seconds > _LEAST and calls > _PAST and seconds > _TIMES * mean:
            self._slow(function, pace, seconds)
            # The mean counts a slow call as the limit only. So slow calls become usual only after a long time.
            seconds = max(_LEAST, _TIMES * mean)
        elif pace.slow or pace.warned:
            pace.slow = 0
            pace.usual += 1
            pace.warned = pace.warned and pace.usual < _IN_A_ROW
        pace.mean = mean + (seconds - mean) * (_WEIGHT if calls > 32 else 1 / calls)

    def attempt_failed(self, error: RobotBrainError, sqlstate: str | None, connecting: bool) -> None:
        """Record that an attempt failed with `error`, either while connecting or in a call."""
        if connecting:
            self._not_connected += 1
            if self._not_connected == _IN_A_ROW:
                _warn("connection_failures", last_error=type(error).__name__, in_a_row=_IN_A_ROW)
        if isinstance(error, DatabaseOverloadedError):
            self._seen("pool_exhaustion")
        elif sqlstate == "40P01":
            self._seen("deadlock")

    def retried(self) -> None:
        """Record that a failed attempt is retried."""
        self.retries += 1
        self._retried_at = time.time()
        telemetry.count("Retries")

    def failed(self) -> None:
        """Record that a request or a refresh failed because of the database, after all its attempts."""
        self.failures += 1
        telemetry.count("Failures")

    def retried_lately(self) -> bool:
        """Return whether there was a retry in the last LATELY seconds."""
        return self._retried_at is not None and abs(time.time() - self._retried_at) <= LATELY

    def _slow(self, function: str, pace: _Pace, seconds: float) -> None:
        pace.slow += 1
        pace.usual = 0
        if pace.slow >= _IN_A_ROW and not pace.warned:
            pace.warned = True
            milliseconds, usual = round(seconds * 1000), round(pace.mean * 1000, 3)
            _warn("slower_than_usual", sql_function=function, milliseconds=milliseconds, usual_milliseconds=usual)

    def _seen(self, pattern: str) -> None:
        now = time.time()
        before = self._seen_at.get(pattern)
        self._seen_at[pattern] = now
        if before is None or abs(now - before) > LATELY:
            _warn(pattern)


def _warn(pattern: str, **facts: object) -> None:
    metric, advice = _WARNINGS[pattern]
    telemetry.count(metric)
    telemetry.logger().warning("pattern", extra={"pattern": pattern, "advice": advice, **facts})


def patterns() -> Patterns:
    """Return the counters and patterns of this execution environment."""
    return environment.current.made(Patterns)
