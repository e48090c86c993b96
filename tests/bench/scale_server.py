"""An embedded PostgreSQL 18 that keeps its data for the next run, and PgBouncer, both on unix sockets."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from local.server_user import USER, programs, server_user
from tests.support.servers.address import Address
from tests.support.servers.binaries import debian_pgbouncer
from tests.support.servers.databases import APP
from tests.support.servers.postgres import FAST_SHUTDOWN, MIGRATOR, SUPERUSER, Postgres
from tests.support.servers.process import ServerProcess, remove_folder, server_folder, unprivileged_account

# Not durable, like every server of the tests. Memory as on a small instance. Autovacuum has its defaults.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_parallel_workers_per_gather": "0",
}
_POOLER = """
[databases]
* = host={socket} port=5432

[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 1000
auth_type = trust
auth_file = {users}
"""


@contextmanager
def kept_postgres(data: Path) -> Iterator[tuple[Postgres, Path]]:
    """Run a server whose data stays in the folder `data`. Yield it and the folder of its programs."""
    data = data.resolve()
    data.parent.mkdir(parents=True, exist_ok=True)
    binaries = programs(server_user())
    account = unprivileged_account(USER)
    if not data.exists():
        data.mkdir(mode=0o700)
        account.own(data)
        account.run(
            [binaries / "initdb", "-D", data, "-U", "postgres", "-E", "UTF8", "--no-locale", "-A", "trust"], data
        )
    folder = server_folder()  # the path of a socket must be short
    account.own(folder)
    # PgBouncer may run as another user. Only users of this machine can reach a socket.
    folder.chmod(0o755)
    lines = [f"{name} = '{value}'\n" for name, value in {**SETTINGS, "unix_socket_directories": str(folder)}.items()]
    account.write(data / "postgresql.auto.conf", "".join(lines))
    log = account.write(folder / "postgres.log", "")
    process = account.spawn([binaries / "postgres", "-D", data], folder, log, FAST_SHUTDOWN)
    server = Postgres("embedded", 18, Address(str(folder), 5432, {}), folder, process, "", "")
    try:
        process.wait_until_ready(lambda: _answers(server.admin_url()))
        _make_migrator(server)
        yield server, binaries
    finally:
        process.stop()
        remove_folder(folder)


@contextmanager
def pgbouncer_before(postgres: Postgres, pool_size: int) -> Iterator[Address]:
    """Run PgBouncer in transaction mode with `pool_size` server connections per database. Yield its address.

    Raises MissingBinaryError if it is not installed.
    """
    program = debian_pgbouncer()
    account = unprivileged_account("postgres", "pgserver")
    folder = server_folder()
    account.own(folder)
    users = account.write(folder / "users.txt", f'"{SUPERUSER}" ""\n"{APP}" ""\n')
    config = _POOLER.format(socket=postgres.address.host, folder=folder, pool_size=pool_size, users=users)
    account.write(folder / "pgbouncer.ini", config)
    log = account.write(folder / "pgbouncer.log", "")
    process: ServerProcess = account.spawn([program, folder / "pgbouncer.ini"], folder, log, signal.SIGTERM)
    address = Address(str(folder), 6432, {})
    try:
        process.wait_until_ready(lambda: _answers(address.url(SUPERUSER, "", "postgres")))
        yield address
    finally:
        process.stop()
        remove_folder(folder)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True


def _make_migrator(server: Postgres) -> None:
    """Make the role that Neon gives, if the kept data does not have it."""
    with server.admin() as admin:
        if admin.execute("select from pg_roles where rolname = %s", [MIGRATOR]).fetchone() is None:
            admin.execute(sql.SQL("create role {} login createdb createrole").format(sql.Identifier(MIGRATOR)))
