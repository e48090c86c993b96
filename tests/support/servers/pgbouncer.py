"""PgBouncer as Neon runs it: transaction mode, TLS on both sides, SCRAM passed through."""

import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.servers.address import Address
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer
from tests.support.servers.postgres import SUPERUSER, Postgres
from tests.support.servers.process import (
    PORT_ATTEMPTS,
    Account,
    PortTakenError,
    ServerProcess,
    free_port,
    remove_folder,
    server_folder,
    unprivileged_account,
)

POOL_SIZE = 20
LOOKUP_ROLE = "pgbouncer_lookup"
# PgBouncer 1.18 runs this query in the database that the client asks for.
_LOOKUP = "select rolname, rolpassword from pg_catalog.pg_authid where rolname = $1 and rolcanlogin"
_CONFIG = """
[databases]
* = host={postgres.host} port={postgres.port}

[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 1000
auth_type = scram-sha-256
auth_file = {users}
auth_user = {lookup_role}
auth_query = {lookup}
admin_users = {superuser}
client_tls_sslmode = require
client_tls_cert_file = {certificate}
client_tls_key_file = {key}
server_tls_sslmode = verify-full
; Seconds, 15 by default. After one failed log-in at PostgreSQL, PgBouncer refuses all log-ins for this long.
server_login_retry = 1
server_tls_ca_file = {root_cert}
"""


@dataclass(frozen=True)
class PgBouncer:
    """A running PgBouncer in front of one PostgreSQL server. It serves every database of that server."""

    postgres: Postgres
    address: Address
    folder: Path
    process: ServerProcess

    @property
    def console_url(self) -> str:
        """The URL of PgBouncer's own console, which lacks the extended query protocol."""
        return self.address.url(SUPERUSER, self.postgres.superuser_password, "pgbouncer")

    def console(self) -> psycopg.Connection:
        """Return a connection to PgBouncer's own console (`show pools`, `pause`, `kill`); close it with `with`."""
        # The console has only the simple query protocol, and no transactions.
        return psycopg.connect(self.console_url, autocommit=True, cursor_factory=psycopg.ClientCursor)

    @contextmanager
    def only_connection_taken(self, url: str) -> Iterator[None]:
        """Hold the only server connection for the user and database of `url`, which must have no open one before.

        Any other client gets query_wait_timeout (08P01) meanwhile, after one to two seconds.
        """
        with self.console() as console:
            console.execute("set default_pool_size = 1")
            console.execute("set query_wait_timeout = 1")
            try:
                with psycopg.connect(url) as holder:
                    holder.execute("select 1")
                    yield
            finally:
                console.execute(f"set default_pool_size = {POOL_SIZE}".encode())
                console.execute("set query_wait_timeout = 120")

    def stop(self) -> None:
        """Stop PgBouncer and remove its files."""
        self.process.stop()
        remove_folder(self.folder)


def start_pgbouncer(postgres: Postgres, authority: Authority) -> PgBouncer:
    """Start PgBouncer in front of `postgres`. Raises MissingBinaryError if it is not installed."""
    program = debian_pgbouncer()
    account = unprivileged_account("postgres")
    lookup_password = secrets.token_urlsafe(24)
    with postgres.admin() as admin:
        # To read pg_authid takes a superuser, or a function in every database.
        admin.execute(
            sql.SQL("create role {} login superuser password {}").format(sql.Identifier(LOOKUP_ROLE), lookup_password)
        )
    for attempt in range(PORT_ATTEMPTS):
        try:
            return _start(program, account, postgres, authority, lookup_password)
        except PortTakenError:
            if attempt == PORT_ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def _start(
    program: Path, account: Account, postgres: Postgres, authority: Authority, lookup_password: str
) -> PgBouncer:
    folder = server_folder()
    account.own(folder)
    certificate, key = authority.issue(account, folder)
    users = account.write(
        folder / "users.txt",
        f'"{LOOKUP_ROLE}" "{lookup_password}"\n"{SUPERUSER}" "{postgres.superuser_password}"\n',
    )
    port = free_port()
    config = _CONFIG.format(
        postgres=postgres.address,
        port=port,
        pool_size=POOL_SIZE,
        users=users,
        lookup_role=LOOKUP_ROLE,
        lookup=_LOOKUP,
        superuser=SUPERUSER,
        certificate=certificate,
        key=key,
        root_cert=account.write(folder / "ca.pem", authority.root_cert.read_bytes()),
    )
    account.write(folder / "pgbouncer.ini", config)
    log = account.write(folder / "pgbouncer.log", "")
    process = account.spawn([program, folder / "pgbouncer.ini"], folder, log, signal.SIGTERM)
    address = Address("127.0.0.1", port, postgres.address.query)
    pooler = PgBouncer(postgres, address, folder, process)
    try:
        process.wait_until_ready(lambda: _answers(pooler))
    except BaseException:
        pooler.stop()
        raise
    return pooler


def _answers(pooler: PgBouncer) -> bool:
    try:
        pooler.console().close()
    except psycopg.OperationalError:
        return False
    return True
