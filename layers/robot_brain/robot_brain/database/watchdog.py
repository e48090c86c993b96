"""A connection that does not wait for ever: a peer that went silent is left at a moment that is set before each call.

libpq has no such limit, and neither keepalives nor tcp_user_timeout notice a peer whose kernel acknowledges and whose
program never answers.
"""

from __future__ import annotations

from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

from robot_brain.deadline import Deadline

_Result = TypeVar("_Result")

# Seconds between two looks at the signals and the clock, as in psycopg itself.
_INTERVAL = 0.1


class WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection whose every wait ends at a deadline."""

    _deadline: Deadline | None = None

    def watch(self, deadline: Deadline) -> None:
        """Wait for answers until `deadline` from now on, and for ever where it was never called."""
        self._deadline = deadline

    def wait(self, gen: PQGen[_Result], interval: float = _INTERVAL, timeout: float | None = None) -> _Result:
        """Wait for the server's answer.

        Raise psycopg.OperationalError without an SQLSTATE, as for any lost connection, where it does not come in time;
        the connection is closed then. That does not block: the socket does not, and the server is not asked to cancel.
        """
        if self._deadline is None:
            return super().wait(gen, interval, timeout)
        left = self._deadline.left()
        try:
            return super().wait(gen, interval, left if timeout is None else min(left, timeout))
        except psycopg.OperationalError as error:
            # An answer in the last moment, an error of the server, is an answer.
            if error.sqlstate is not None or self._deadline.left() > 0:
                raise
            self.close()
            raise psycopg.OperationalError("the server went silent: no answer in time") from error
