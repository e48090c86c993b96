"""The one connection of an execution environment. It is opened on first use, reused, and replaced if it is stale.

The layer has no pool, because a Lambda environment serves one request at a time. Neon's pooler is the pool.
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
    """Holder of the environment's connection. It counts how often it opened, reused and discarded one."""

    def __init__(self) -> None:
        """Read the settings. Raises SettingsError if they are wrong."""
        self._settings = settings()
        self._connection: WatchedConnection | None = None
        self._parameters: dict[str, Any] | None = None
        # The URL that the secret had, and the deadline of the request that fetched it.
        self._fetched = ""
        self._fetched_by: Deadline | None = None
        self._used_at = 0.0
        self.opened = 0
        self.reused = 0
        self.retired = 0

    def get(self, deadline: Deadline) -> WatchedConnection:
        """Return an open connection in autocommit mode. A reused one was checked without a round trip.

        Raises psycopg.OperationalError if no connection opens within `deadline` and DB_CONNECTION_TIMEOUT.
        Raises SettingsError if DATABASE_URL is wrong, or if it would send data in plain text to another machine.
        Raises DeadlineExceededError if no time is left to begin.
        If the URL is in a secret, raises DatabaseAwayError or DatabaseRefusedError if the secret cannot be fetched.
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

    def renew(self, deadline: Deadline) -> bool:
        """Return whether the secret has another URL by now. If so, discard the connection that used the last one.

        Returns False without a secret, or if a call with this `deadline` fetched it already: a request fetches it once.
        Raises the errors of `get` if the secret cannot be fetched or its URL is wrong.
        """
        if self._settings.database_url or self._fetched_by is deadline:
            return False
        refused = self._fetched
        self._parameters = None
        self._parameters = connection_parameters(self._url(deadline), self._settings)
        if self._fetched == refused:
            return False
        self.discard()
        return True

    @property
    def is_open(self) -> bool:
        """True if a connection can be reused. It may be stale."""
        return self._connection is not None

    def discard(self) -> None:
        """Close the connection, if it is open. The next `get` opens a new one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.retired += 1
            telemetry.count("ConnectionsRetired")

    def _is_fresh(self, connection: WatchedConnection) -> bool:
        # Use the wall clock, because the monotonic clock may stop while Lambda freezes the environment.
        if connection.closed or abs(time.time() - self._used_at) * 1000 > self._settings.idle_timeout_ms:
            return False
        # The server sends nothing on an idle connection. If the socket is readable, the server has closed it, or will.
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        return not poll.poll(0)

    def _url(self, deadline: Deadline) -> str:
        if self._settings.database_url:
            return self._settings.database_url
        # Imported here, so that only a deployment with a secret pays for the import.
        from robot_brain.services.secret import fetch_database_url

        self._fetched_by = deadline
        self._fetched = fetch_database_url(
            self._settings.database_secret_arn, self._settings.secrets_endpoint, credentials(), deadline
        )
        return self._fetched


def lazy_connection() -> LazyConnection:
    """Return the holder of the execution environment's connection. Raises SettingsError if the settings are wrong."""
    return environment.current.made(LazyConnection)
