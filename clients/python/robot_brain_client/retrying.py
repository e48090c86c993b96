"""When a request is sent again, and after which pause.

- 409, 429 and 503: nothing was done. Sent again after Retry-After, with jitter.
- 500, 502, 504 or no answer: the outcome is unknown. Sent again only if `Call.repeatable`, which means that the request
  cannot be done twice.
- No connection: nothing was sent. Sent again for ten seconds, because a wrong address does not become right.

The logger `robot_brain_client` has a line for each pause.
"""

from __future__ import annotations

import random
import time

from robot_brain_client.answers import Answer, Call, Reply
from robot_brain_client.errors import NotSentError, OutcomeUnknownError, ProblemError, RobotBrainError

# The service answers within 27.5 s, and API Gateway ends a request after 30 s.
ATTEMPT_SECONDS = 30.0
PATIENCE_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_NOTHING_DONE = (409, 429, 503)


class Attempts:
    """The attempts of one call. `patience` is the time in seconds after which none begins."""

    def __init__(self, call: Call, patience: float) -> None:
        self._call = call
        self._ends = time.monotonic() + patience
        self._connects_until = time.monotonic() + min(patience, _CONNECT_SECONDS)
        self._count = 0
        self._unknown = False

    def answer(self, reply: Reply) -> Answer[object] | float:
        """Return the answer, or the pause before the next attempt. Raises the error if no attempt is left."""
        if reply.status < 300 or reply.status == 304:
            return reply.answer()
        error = reply.error()
        if isinstance(error, ProblemError):
            error.perhaps_done = self._unknown
        again = reply.status in _NOTHING_DONE or (isinstance(error, OutcomeUnknownError) and self._call.repeatable)
        return self._pause(error, again, _seconds(reply.headers.get("retry-after")))

    def failure(self, error: RobotBrainError) -> float:
        """Return the pause after an attempt without an answer. Raises the error if there is no next attempt."""
        return self._pause(error, isinstance(error, NotSentError) or self._call.repeatable, None)

    def _pause(self, error: RobotBrainError, again: bool, after: float | None) -> float:
        self._count += 1
        self._unknown = self._unknown or isinstance(error, OutcomeUnknownError)
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**self._count)
        # Full jitter, so that clients which failed together do not come back together.
        pause = random.uniform(0, longest) if after is None else after + random.uniform(0, min(1.0, longest))
        alone = isinstance(error, NotSentError) and not self._unknown
        if not again or time.monotonic() + pause >= (self._connects_until if alone else self._ends):
            if self._unknown and isinstance(error, NotSentError):
                raise OutcomeUnknownError(f"An earlier attempt got no answer: {error}") from error
            raise error
        self._log(error, pause)
        return pause

    def _log(self, error: RobotBrainError, pause: float) -> None:
        import logging

        # A service that wakes or is busy is daily business.
        level = logging.DEBUG if isinstance(error, ProblemError) else logging.WARNING
        text = "%s %s: %s. Sent again in %.1f s"
        logging.getLogger("robot_brain_client").log(level, text, self._call.method, self._call.path, error, pause)


def _seconds(text: str | None) -> float | None:
    """Return the seconds of Retry-After, None if the header is absent or is a date."""
    return float(text) if text and text.isdecimal() and text.isascii() else None
