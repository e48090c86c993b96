"""The clock of a compute: the machine's, or one that a test moves on."""

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Seconds that only grow."""

    def now(self) -> float:
        """Return the seconds since some moment."""


class SystemClock:
    """The machine's own."""

    def now(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class ManualClock:
    """A clock that stands still until it is told how much time has passed: 24 hours in seconds."""

    def __init__(self) -> None:
        """Begin at 0; whoever wants to know when time passes adds itself to `listeners`."""
        self.listeners: list[Callable[[], None]] = []
        self._now = 0.0

    def now(self) -> float:
        """Return the seconds that `advance` was told of."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass and tell the listeners; returns when they have done what they do about it."""
        self._now += seconds
        for listener in self.listeners:
            listener()
