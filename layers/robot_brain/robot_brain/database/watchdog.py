"""A connection that waits for a silent server only until a deadline, which is set before each call.

libpq has no such limit. Keepalives and tcp_user_timeout do not detect a server whose kernel acknowledges while its
program never answers.

PostgreSQL reports a success with a warning if somebody cancels a commit's wait for its synchronous standby. The change
is lost if the standby takes over, so the connection fails such a call.

If a server process ends, it sends an error, and PgBouncer adds one of its own. For two errors of a BEGIN or a COMMIT,
`transaction` of psycopg raises an InternalError that names neither, so `begun` stands in for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import Diagnostic

from robot_brain.deadline import Deadline

_Result = TypeVar("_Result")

# Seconds between two checks of the signals and the clock, as in psycopg itself.
_INTERVAL = 0.1
# The function of PostgreSQL that warns. The text of a warning depends on the server's language.
_WAIT_FOR_STANDBY = "SyncRepWaitForLSN"


class WatchedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A psycopg connection that ends each wait at a deadline."""

    _deadline: Deadline | None = None
    _may_be_lost = False

    def heed(self, notice: Diagnostic) -> None:
        """Note a warning of the server that a commit did not wait for its standby. Ignore every other notice."""
        if notice.source_function == _WAIT_FOR_STANDBY:
            self._may_be_lost = True

    def watch(self, deadline: Deadline) -> None:
        """Set the deadline of every later wait. Before the first call of `watch`, waits have no limit."""
        self._deadline = deadline

    @contextmanager
    def begun(self) -> Iterator[None]:
        """Run the block in a transaction, and commit at its end, or roll back if it fails.

        Raises the first error that the server sends for a command, with its SQLSTATE. If a rollback fails, closes the
        connection and raises the error before it.
        """
        # A former client of a pooler may have left another level as the default. BEGIN does not say READ WRITE,
        # because an operator may have made the database read only.
        self.execute("begin isolation level read committed", prepare=False)
        try:
            yield
        except BaseException:
            try:
                self.execute("rollback", prepare=False)
            except psycopg.Error:
                self.close()
            raise
        self.execute("commit", prepare=False)

    def wait(self, gen: PQGen[_Result], interval: float = _INTERVAL, timeout: float | None = None) -> _Result:
        """Wait for the server's answer.

        Raises psycopg.OperationalError without an SQLSTATE, as for any lost connection, if no answer comes in time.
        Also raises it if a commit did not wait for its standby. The outcome is then unknown. It closes the connection
        first. Closing does not block: the socket is non-blocking, and no cancel is sent.
        """
        if self._deadline is None:
            return super().wait(gen, interval, timeout)
        left = self._deadline.left()
        try:
            result = super().wait(gen, interval, left if timeout is None else min(left, timeout))
        except psycopg.OperationalError as error:
            # An error of the server that arrives in the last moment is still an answer.
            if error.sqlstate is not None or self._deadline.left() > 0:
                raise
            self.close()
            raise psycopg.OperationalError("the server went silent: no answer in time") from error
        if self._may_be_lost:
            self.close()
            raise psycopg.OperationalError("the wait for the standby was cancelled: it may not have the change")
        return result
