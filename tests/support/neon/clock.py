"""A clock that a test moves, instead of the machine's."""

from collections.abc import Callable


class ManualClock:
    """A clock that moves only by `advance`, so that a test passes a day in a second."""

    def __init__(self) -> None:
        """Begin at 0. `advance` calls each of `listeners`."""
        self.listeners: list[Callable[[], None]] = []
        self._now = 0.0

    def now(self) -> float:
        """Return the sum of all advances."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass, then call each listener in turn."""
        self._now += seconds
        for listener in self.listeners:
            listener()
