"""A streaming standby of a server, which can be promoted, and the two relays around both.

The functions reach the present primary through one relay, as through Neon's endpoint or a name that moves. The standby
reaches the primary through the other one, so that a test can hold back what the standby gets.
"""

import secrets
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg

from local.relay import Target, target
from ops.migrate import migrate
from tests.support.neon.relay import FaultRelay
from tests.support.servers.address import Address
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_postgres, skip_without
from tests.support.servers.databases import APP, Database, create_database, set_app_login
from tests.support.servers.postgres import FAST_SHUTDOWN, SUPERUSER, Postgres, start_embedded, start_tls
from tests.support.servers.process import (
    free_port,
    server_folder,
    unprivileged_account,
)
from tests.support.waiting import wait_until

KINDS = ("embedded", "tls")
DATABASE = "robot_brain"
# Acknowledged writes survive SIGKILL. No timeout ends replication on a busy machine.
_SETTINGS = {
    "synchronous_commit": "on",
    "wal_level": "replica",
    "max_wal_senders": "8",
    "hot_standby": "on",
    "wal_sender_timeout": "0",
    "wal_receiver_timeout": "0",
    "wal_retrieve_retry_interval": "100ms",
}
_REPLICATES = "select from pg_stat_replication where state = 'streaming' and sync_state = %s"
_HAS_ALL = "select from pg_stat_replication where flush_lsn >= pg_current_wal_lsn()"


class Pair:
    """A primary, its streaming standby, and the relay through which the functions reach the present primary."""

    def __init__(self, primary: Postgres, standby: Postgres, relay: FaultRelay, wire: FaultRelay, password: str):
        """Take running servers. `wire` is the relay between both servers."""
        self.primary = primary
        self.standby = standby
        self.relay = relay
        self.wire = wire
        self._password = password

    @property
    def url(self) -> str:
        """The functions' DATABASE_URL, through the relay."""
        return self.url_at(self.relay.port)

    @property
    def direct_app_url(self) -> str:
        """The URL of the functions' role at the present primary, not through a relay."""
        return self.primary.address.url(APP, self._password, DATABASE)

    def url_at(self, *ports: int, **query: str) -> str:
        """Return the functions' URL of 127.0.0.1 at these ports, with more parameters."""
        options = {**self.primary.address.query, **query}
        url = Address("HOSTS", 0, options).url(APP, self._password, DATABASE)
        return url.replace("HOSTS:0", ",".join(f"127.0.0.1:{port}" for port in ports), 1)

    def database(self, postgres: Postgres | None = None) -> Database:
        """Return the database at the present primary, or at `postgres`."""
        server = postgres or self.primary
        return Database(server.kind, DATABASE, self.url, server.direct_url(DATABASE), server)

    def synchronous(self, *, on: bool) -> None:
        """Let each commit of the primary wait for the standby's disk, or not. Return once it is so."""
        with self.primary.admin() as admin:
            admin.execute(f"alter system set synchronous_standby_names = '{'*' if on else ''}'".encode())
            admin.execute("select pg_reload_conf()")
            wait_until(lambda: bool(admin.execute(_REPLICATES, ["sync" if on else "async"]).fetchall()))

    def catch_up(self) -> None:
        """Return once the standby has stored all that the primary has written."""
        with self.primary.admin() as admin:
            wait_until(lambda: bool(admin.execute(_HAS_ALL).fetchall()))

    def promote(self) -> None:
        """Promote the standby. Return once it takes writes. The relay still leads to the old primary."""
        with self.standby.admin() as admin:
            admin.execute("select pg_promote(true, 60)")
            admin.execute("alter system set synchronous_standby_names = ''")
            admin.execute("select pg_reload_conf()")

    def turn(self) -> None:
        """Lead new connections of the functions to the promoted standby, and call it the primary."""
        self.primary, self.standby = self.standby, self.primary
        self.relay.turn(address_of(self.primary))


def address_of(server: Postgres) -> Target:
    """Return what a relay to `server` needs."""
    return target({"host": server.address.host, "port": server.address.port})


def start_primary(kind: str, authority: Authority, settings: Mapping[str, str] | None = None) -> tuple[Postgres, str]:
    """Start a server with a migrated database that can have a standby. Return it, and the password of the functions.

    Skips the test if the server's programs are not installed.
    """
    if kind == "tls":
        skip_without(debian_postgres)
    configured = {**_SETTINGS, **(settings or {})}
    server = start_tls(authority, configured) if kind == "tls" else start_embedded(settings=configured)
    try:
        if kind == "tls":
            hba = server.folder / "data" / "pg_hba.conf"
            with hba.open("a") as lines:
                lines.write("hostssl replication all 127.0.0.1/32 scram-sha-256\n")
        password = secrets.token_urlsafe(24) if kind == "tls" else ""
        with server.admin() as admin:
            admin.execute("select pg_reload_conf()")
            create_database(admin, DATABASE)
            migrate(server.direct_url(DATABASE))
            set_app_login(admin, password)
    except BaseException:
        server.stop()
        raise
    return server, password


@contextmanager
def running_pair(kind: str, authority: Authority) -> Iterator[Pair]:
    """Run a primary with a streaming standby, and a migrated database. A failover uses them up."""
    primary, password = start_primary(kind, authority)
    try:
        with pair_of(primary, password) as pair:
            yield pair
    finally:
        primary.process.kill()
        primary.stop()


@contextmanager
def pair_of(primary: Postgres, password: str) -> Iterator[Pair]:
    """Make a standby of a running primary, and run both relays. The caller stops the primary.

    The standby is killed at the end: an orderly end of a server may wait for what a relay holds back.
    """
    with ExitStack() as stack:
        relay = stack.enter_context(FaultRelay(address_of(primary)))
        wire = stack.enter_context(FaultRelay(address_of(primary)))
        standby = start_standby(primary, wire.port)
        stack.callback(standby.stop)
        stack.callback(standby.process.kill)
        yield Pair(primary, standby, relay, wire, password)


def start_standby(primary: Postgres, port: int) -> Postgres:
    """Copy `primary` with pg_basebackup and start the copy as its standby. It streams from 127.0.0.1:`port`."""
    account = unprivileged_account("pgserver" if primary.kind == "embedded" else "postgres")
    binaries = Path(f"/proc/{primary.process.pid}/exe").resolve().parent
    folder = server_folder()
    account.own(folder)
    folder.chmod(0o700)
    source = {**{k: str(v) for k, v in primary.address.query.items()}, "user": SUPERUSER}
    if primary.superuser_password:
        source["password"] = primary.superuser_password
    direct = {**source, "host": primary.address.host, "port": str(primary.address.port)}
    copy: list[str | Path] = [binaries / "pg_basebackup", "-d", _conninfo(direct), "-D", folder / "data"]
    account.run([*copy, "-c", "fast", "-X", "stream"], folder)
    address, settings = _moved(primary, folder)
    settings |= {"primary_conninfo": _conninfo({**source, "host": "127.0.0.1", "port": str(port)})}
    with (folder / "data" / "postgresql.auto.conf").open("a") as lines:
        lines.write("".join(f"{name} = '{value}'\n" for name, value in settings.items()))
    account.write(folder / "data" / "standby.signal", "")
    log = account.write(folder / "postgres.log", "")
    process = account.spawn([binaries / "postgres", "-D", folder / "data"], folder, log, FAST_SHUTDOWN, {})
    standby = replace(primary, address=address, folder=folder, process=process, clock=None)
    try:
        process.wait_until_ready(lambda: _answers(standby))
        with primary.admin() as admin:
            wait_until(
                lambda: bool(admin.execute("select from pg_stat_replication where state = 'streaming'").fetchall())
            )
    except BaseException:
        standby.stop()
        raise
    return standby


def _moved(primary: Postgres, folder: Path) -> tuple[Address, dict[str, str]]:
    """Return the standby's address, and the settings that make it listen there."""
    if primary.kind == "embedded":
        return Address(str(folder), 5432, {}), {"unix_socket_directories": str(folder)}
    port = free_port()
    account = unprivileged_account("postgres")
    files = {"ssl_cert_file": "server.crt", "ssl_key_file": "server.key"}
    for name in files.values():
        account.write(folder / name, (primary.folder / name).read_bytes())
    settings = {setting: str(folder / name) for setting, name in files.items()}
    return Address("127.0.0.1", port, primary.address.query), {**settings, "port": str(port)}


def _conninfo(parameters: Mapping[str, str]) -> str:
    return " ".join(f"{name}={value}" for name, value in parameters.items())


def _answers(server: Postgres) -> bool:
    try:
        psycopg.connect(server.admin_url(), connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
