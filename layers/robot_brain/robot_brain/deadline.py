"""One deadline for everything that a request waits for."""

from __future__ import annotations

import time
from typing import Protocol

from robot_brain.errors import DeadlineExceededError

# What is kept of Lambda's remaining time for the answer itself.
_MARGIN_SECONDS = 0.5


class Deadline:
    """A moment on the monotonic clock; connecting, retrying and querying all live within it."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, 0 where there are none."""
        return max(0.0, self._at - time.monotonic())

    def remaining(self) -> float:
        """Return the seconds left. Raise DeadlineExceededError where there are none."""
        seconds = self.left()
        if seconds <= 0:
            raise DeadlineExceededError
        return seconds

    def at_most(self, seconds: float) -> Deadline:
        """Return this deadline, or one in `seconds` where that is sooner."""
        return Deadline(min(seconds, self.left()))


class Context(Protocol):
    """What we use of the context that Lambda hands to a handler."""

    aws_request_id: str
    function_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""


def deadline_of(context: Context) -> Deadline:
    """Return the deadline of an invocation: Lambda's remaining time less what the answer takes."""
    return Deadline(context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS)
