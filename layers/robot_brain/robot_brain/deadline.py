"""One deadline for all waiting during a request."""

from __future__ import annotations

import time
from typing import Protocol

from robot_brain.errors import DeadlineExceededError

# Reserved from Lambda's remaining time, to send the answer.
_MARGIN_SECONDS = 0.5


class Deadline:
    """A moment on the monotonic clock that bounds connecting, retrying and querying together."""

    __slots__ = ("_at",)

    def __init__(self, seconds: float) -> None:
        self._at = time.monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, 0 after the deadline."""
        return max(0.0, self._at - time.monotonic())

    def remaining(self) -> float:
        """Return the seconds left. Raises DeadlineExceededError if the deadline has passed."""
        seconds = self.left()
        if seconds <= 0:
            raise DeadlineExceededError
        return seconds

    def at_most(self, seconds: float) -> Deadline:
        """Return the earlier of this deadline and one in `seconds` from now."""
        return Deadline(min(seconds, self.left()))


class Context(Protocol):
    """The part of Lambda's context object that we use."""

    aws_request_id: str
    function_name: str

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until Lambda ends the invocation."""


def deadline_of(context: Context) -> Deadline:
    """Return the deadline of an invocation: Lambda's remaining time minus the time to send the answer."""
    return Deadline(context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS)
