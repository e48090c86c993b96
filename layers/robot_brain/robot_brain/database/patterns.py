"""What this execution environment went through with its database: counters, and patterns that are told once.

A pattern is told when it begins, by one metric and one warning that says what to do, and not again until it is over:

- connection_failures  three attempts to connect failed in a row; over when a connection opens
- slower_than_usual    three calls in a row of an SQL function took far longer than its calls in this environment do;
                       over after three calls in a row at their usual speed
- pool_exhaustion      PostgreSQL or the pooler had no connection to give; over after LATELY seconds without
- deadlock             PostgreSQL broke one, and the call was repeated; over after LATELY seconds without

The wall clock, because the monotonic one may stand still while Lambda has frozen the environment.
"""

from __future__ import annotations

import time

from robot_brain import environment, telemetry
from robot_brain.errors import DatabaseOverloadedError, RobotBrainError

# Seconds. What happened within them happened lately.
LATELY = 300.0
# Seconds. To connect takes 6 round trips and some arithmetic, tens of milliseconds; a compute that wakes, hundreds.
WAKE = 0.2

_IN_A_ROW = 3
# Exponential moving average per SQL function: each call weighs 1/32. Ignored until so many calls were seen.
_PAST = 20
_WEIGHT = 1 / 32
# Slow is over four times the mean, but nobody minds below 50 ms: a full page or batch may take that.
_TIMES = 4.0
_LEAST = 0.05

_TOLD = {
    "connection_failures": (
        "PatternConnectionFailures",
        "See database_error in the lines of the failed requests: a refusal (password, certificate, endpoint, quota) "
        "needs DATABASE_URL or the Neon project changed; otherwise see the compute in Neon's console and status page.",
    ),
    "slower_than_usual": (
        "PatternSlowerThanUsual",
        "See the compute's CPU, memory and connections in Neon's console, and pg_stat_activity for what waits on a "
        "lock; a larger compute helps where its memory is full.",
    ),
    "pool_exhaustion": (
        "PatternPoolExhaustion",
        "More is asked at a time than the compute has connections for: look for long transactions of other clients, "
        "lower the throttling of the API or the functions' concurrency, or choose a larger compute. "
        "DATABASE_URL has to be the pooled one.",
    ),
    "deadlock": (
        "PatternDeadlock",
        "Robot Brain's functions lock in one order, so look in PostgreSQL's log for the other party: "
        "an operator's statement or another program that locks these tables.",
    ),
}


class _Pace:
    """How fast the calls of one SQL function are in this environment; seconds."""

    __slots__ = ("calls", "mean", "slow", "told", "usual")

    def __init__(self) -> None:
        self.calls = 0
        self.mean = 0.0
        self.slow = 0
        self.usual = 0
        self.told = False


class Patterns:
    """Counts retries, failures and wakes since the environment began, and recognises patterns among them."""

    def __init__(self) -> None:
        self.retries = 0
        self.failures = 0
        self.wakes = 0
        self._retried_at: float | None = None
        self._not_connected = 0
        self._paces: dict[str, _Pace] = {}
        self._seen_at: dict[str, float] = {}

    def connected(self, seconds: float) -> None:
        """A connection opened after `seconds`, of which WAKE or more are taken for the database's waking up."""
        self._not_connected = 0
        if seconds >= WAKE:
            self.wakes += 1
            telemetry.count("Wakes")

    def called(self, function: str, seconds: float) -> None:
        """A call of an SQL function succeeded after `seconds`. On every request's way: a microsecond at most."""
        pace = self._paces.get(function)
        if pace is None:
            pace = self._paces[function] = _Pace()
        calls = pace.calls = pace.calls + 1
        mean = pace.mean
        if seconds > _LEAST and calls > _PAST and seconds > _TIMES * mean:
            self._slow(function, pace, seconds)
            # No more than the limit counts, so that slow calls do not pass for usual before they have been so for long.
            seconds = max(_LEAST, _TIMES * mean)
        elif pace.slow or pace.told:
            pace.slow = 0
            pace.usual += 1
            pace.told = pace.told and pace.usual < _IN_A_ROW
        pace.mean = mean + (seconds - mean) * (_WEIGHT if calls > 32 else 1 / calls)

    def attempt_failed(self, error: RobotBrainError, sqlstate: str | None, connecting: bool) -> None:
        """An attempt to connect, or a call on an open connection, failed with `error`."""
        if connecting:
            self._not_connected += 1
            if self._not_connected == _IN_A_ROW:
                _tell("connection_failures", last_error=type(error).__name__, in_a_row=_IN_A_ROW)
        if isinstance(error, DatabaseOverloadedError):
            self._seen("pool_exhaustion")
        elif sqlstate == "40P01":
            self._seen("deadlock")

    def retried(self) -> None:
        """An attempt failed and is repeated."""
        self.retries += 1
        self._retried_at = time.time()
        telemetry.count("Retries")

    def failed(self) -> None:
        """A request or a refresh ended without the database's answer, after whatever attempts."""
        self.failures += 1
        telemetry.count("Failures")

    def retried_lately(self) -> bool:
        """Return whether anything was repeated in the last LATELY seconds."""
        return self._retried_at is not None and abs(time.time() - self._retried_at) <= LATELY

    def _slow(self, function: str, pace: _Pace, seconds: float) -> None:
        pace.slow += 1
        pace.usual = 0
        if pace.slow >= _IN_A_ROW and not pace.told:
            pace.told = True
            milliseconds, usual = round(seconds * 1000), round(pace.mean * 1000, 3)
            _tell("slower_than_usual", sql_function=function, milliseconds=milliseconds, usual_milliseconds=usual)

    def _seen(self, pattern: str) -> None:
        now = time.time()
        before = self._seen_at.get(pattern)
        self._seen_at[pattern] = now
        if before is None or abs(now - before) > LATELY:
            _tell(pattern)


def _tell(pattern: str, **facts: object) -> None:
    metric, advice = _TOLD[pattern]
    telemetry.count(metric)
    telemetry.logger().warning("pattern", extra={"pattern": pattern, "advice": advice, **facts})


def patterns() -> Patterns:
    """Return what this execution environment has seen since it began."""
    return environment.current.made(Patterns)
