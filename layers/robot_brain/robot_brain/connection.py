"""The one connection of an execution environment: opened on first use, kept, checked without a round trip, replaced.

There is no pool in here: a Lambda environment serves one request at a time, and the pool is Neon's pooler.
"""

from __future__ import annotations

import math
import select
import time
from functools import cache
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from robot_brain import telemetry
from robot_brain.deadline import Deadline
from robot_brain.errors import SettingsError
from robot_brain.settings import Settings, credentials, first_existing, settings

# Amazon Linux 2023, Debian, Alpine and macOS. sslrootcert=system does not work with psycopg's wheels, whose OpenSSL
# looks into a folder that is not there.
_CA_BUNDLES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")


class LazyConnection:
    """Hands out the environment's connection; counts what it opened, reused and retired."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: psycopg.Connection[Any] | None = None
        self._parameters: dict[str, Any] | None = None
        self._used_at = 0.0
        self.opened = 0
        self.reused = 0
        self.retired = 0

    def get(self, deadline: Deadline) -> psycopg.Connection[Any]:
        """Return a connection in autocommit mode that is open as far as can be seen without asking the server.

        Raise psycopg.OperationalError where it cannot be opened within `deadline` or DB_CONNECTION_TIMEOUT,
        SettingsError where DATABASE_URL is not a connection string or would send data in plain text to another host.
        """
        if self._connection is not None:
            if self._is_fresh(self._connection):
                self.reused += 1
                telemetry.count("ConnectionsReused")
                self._used_at = time.time()
                return self._connection
            self.discard()
        if self._parameters is None:
            self._parameters = connection_parameters(self._url(deadline), self._settings)
        seconds = min(self._settings.connection_timeout_ms / 1000, deadline.remaining())
        started = time.monotonic()
        try:
            self._connection = psycopg.connect(
                **self._parameters,
                # libpq takes whole seconds and at least two.
                connect_timeout=max(2, math.ceil(seconds)),
                autocommit=True,
                prepare_threshold=self._settings.prepare_threshold,
            )
        except psycopg.Error:
            # The secret may have been rotated since it was fetched.
            self._parameters = None
            raise
        telemetry.took("ConnectMilliseconds", time.monotonic() - started)
        self.opened += 1
        telemetry.count("ConnectionsOpened")
        self._used_at = time.time()
        return self._connection

    def discard(self) -> None:
        """Close the connection, if there is one; the next `get` opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
            self.retired += 1
            telemetry.count("ConnectionsRetired")

    def seen_from_here(self) -> tuple[bool, int]:
        """Return whether the open connection is encrypted, and the server process that it was told of."""
        if self._connection is None:
            return False, 0
        return bool(self._connection.pgconn.ssl_in_use), self._connection.pgconn.backend_pid

    def _is_fresh(self, connection: psycopg.Connection[Any]) -> bool:
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
        from robot_brain.secret import fetch_database_url

        return fetch_database_url(
            self._settings.database_secret_arn, self._settings.secrets_endpoint, credentials(), deadline
        )


def connection_parameters(url: str, settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters for `url`, with TLS that verifies the server for every host but this one.

    Raise SettingsError where the URL cannot be read, asks for plain text to another host, or no CA bundle exists.
    """
    try:
        parameters: dict[str, Any] = {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
    except psycopg.ProgrammingError:
        # Its text quotes the URL, password and all.
        raise SettingsError("DATABASE_URL is not a PostgreSQL connection string") from None
    # Where there is a hostaddr, libpq goes there and only looks whether the certificate names the host.
    hosts = ",".join(str(parameters[name]) for name in ("host", "hostaddr") if name in parameters)
    if not all(_is_this_machine(host) for host in hosts.split(",")):
        if parameters.get("sslmode") == "disable":
            raise SettingsError("DATABASE_URL says sslmode=disable, which is for a database on this machine only")
        parameters["sslmode"] = "verify-full"
    if str(parameters.get("sslmode", "")).startswith("verify") and parameters.get("sslrootcert", "system") == "system":
        bundle = settings.ssl_root_cert or first_existing(_CA_BUNDLES)
        if bundle is None:
            raise SettingsError("there is no CA bundle on this machine; set DB_SSL_ROOT_CERT to one")
        parameters["sslrootcert"] = bundle
    if settings.channel_binding:
        parameters["channel_binding"] = settings.channel_binding
    if settings.ssl_negotiation:
        parameters["sslnegotiation"] = settings.ssl_negotiation
    parameters.setdefault("application_name", "robot-brain")
    parameters.pop("connect_timeout", None)
    return parameters


def _is_this_machine(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


@cache
def lazy_connection() -> LazyConnection:
    """Return the execution environment's connection holder. Raise SettingsError where the settings are wrong."""
    return LazyConnection(settings())
