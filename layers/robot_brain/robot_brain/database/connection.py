"""The one connection of an execution environment: opened on first use, kept, checked without a round trip, replaced.

There is no pool in here: a Lambda environment serves one request at a time, and the pool is Neon's pooler.
"""

from __future__ import annotations

import select
import time
from typing import Any

import psycopg

from robot_brain import environment, telemetry
from robot_brain.database.connecting import connect
from robot_brain.database.connection_string import connection_parameters
from robot_brain.database.patterns import patterns
from robot_brain.database.watchdog import WatchedConnection
from robot_brain.deadline import Deadline
from robot_brain.errors import SettingsError
from robot_brain.settings import credentials, settings


class LazyConnection:
    """Hands out the environment's connection; counts what it opened, reused and retired."""

    def __init__(self) -> None:
        """Read the settings. Raises SettingsError if they are wrong."""
        self._settings = settings()
        self._connection: WatchedConnection | None = None
        self._parameters: dict[str, Any] | None = None
        self._used_at = 0.0
        self.opened = 0
        self.reused = 0
        self.retired = 0

    def get(self, deadline: Deadline) -> WatchedConnection:
        """Return a connection in autocommit mode that is open as far as can be seen without asking the server.

        Raise psycopg.OperationalError where it cannot be opened within `deadline` and DB_CONNECTION_TIMEOUT,
        SettingsError where DATABASE_URL is wrong or would send data in plain text to another host, and
        DeadlineExceededError where there is no time left to begin in.
        """
        if self._connection is not None:
            if self._is_fresh(self._connection):
                self.reused += 1
                telemetry.count("ConnectionsReused")
                self._used_at = time.time()
                return self._connection
            self.discard()
        deadline.remaining()
        if self._parameters is None:
            self._parameters = connection_parameters(self._url(deadline), self._settings)
        within = deadline.at_most(self._settings.connection_timeout_ms / 1000)
        started = time.monotonic()
        try:
            self._connection = connect(self._parameters, within, self._settings.prepare_threshold)
        except (psycopg.Error, SettingsError):
            # The secret may have been rotated since it was fetched.
            self._parameters = None
            raise
        seconds = time.monotonic() - started
        telemetry.took("ConnectMilliseconds", seconds)
        patterns().connected(seconds)
        self.opened += 1
        telemetry.count("ConnectionsOpened")
        self._used_at = time.time()
        return self._connection

    @property
    def is_open(self) -> bool:
        """Whether a connection is kept; it may be stale."""
        return self._connection is not None

    def discard(self) -> None:
        """Close the connection, if there is one; the next `get` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.retired += 1
            telemetry.count("ConnectionsRetired")

    def _is_fresh(self, connection: WatchedConnection) -> bool:
        # The wall clock, because the monotonic one may stand still while Lambda has frozen the environment.
        if connection.closed or abs(time.time() - self._used_at) * 1000 > self._settings.idle_timeout_ms:
            return False
        # An idle connection has nothing to say: if its socket is readable, the server has closed it or is about to.
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return not poll.poll(0)

    def _url(self, deadline: Deadline) -> str:
        if self._settings.database_url:
            return self._settings.database_url
        # Only a deployment with a secret pays for these imports.
        from robot_brain.services.secret import fetch_database_url

        return fetch_database_url(
            self._settings.database_secret_arn, self._settings.secrets_endpoint, credentials(), deadline
        )


def lazy_connection() -> LazyConnection:
    """Return the execution environment's connection holder. Raises SettingsError if the settings are wrong."""
    return environment.current.made(LazyConnection)
