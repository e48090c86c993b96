"""The server of a benchmark, which starts and stops with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.bench.relay import Relay, calibrate, relay_to
from tests.support.servers.address import Address
from tests.support.servers.authority import make_authority
from tests.support.servers.binaries import MissingBinaryError, debian_postgres
from tests.support.servers.databases import Template, make_template
from tests.support.servers.postgres import start_embedded, start_tls
from tests.support.servers.process import remove_folder, server_folder

KINDS = ("tls", "embedded")


def available_kind() -> str:
    """Return SERVER of the environment, else tls (as Neon) if the distribution's PostgreSQL is installed."""
    wanted = os.environ.get("SERVER")
    if wanted:
        if wanted not in KINDS:
            raise SystemExit(f"SERVER must be one of {', '.join(KINDS)}")
        return wanted
    try:
        debian_postgres()
    except MissingBinaryError:
        return "embedded"
    return "tls"


@contextmanager
def migrated_server(kind: str) -> Iterator[Template]:
    """Start a server (tls: the distribution's, over TCP; embedded: PyPI's, on a unix socket) with a migrated template.

    As in the tests fsync is off, so the server does not survive a crash of the machine. So we measure the code and not
    the disk. This is the same for all contenders, and lowers the floor.
    """
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]
    folder = server_folder()
    folder.chmod(0o755)
    try:
        server = start_tls(make_authority(folder)) if kind == "tls" else start_embedded()
        try:
            yield make_template(server)
        finally:
            server.stop()
    finally:
        remove_folder(folder)


@contextmanager
def relay_before(template: Template) -> Iterator[tuple[Relay, Address]]:
    """Start a relay to the server of `template`. Yield the relay and its address."""
    address = template.postgres.address
    unix = address.host.startswith("/")
    with relay_to(f"{address.host}/.s.PGSQL.{address.port}" if unix else (address.host, address.port)) as relay:
        yield relay, Address("127.0.0.1", relay.port, address.query)


def calibrate_servers(relay: Relay, seconds: float, near_url: str, far_url: str) -> float:
    """Make a round trip to `far_url`, through the relay, `seconds` longer than to `near_url`; return the real value."""
    with psycopg.connect(near_url, autocommit=True) as near, psycopg.connect(far_url, autocommit=True) as far:
        return calibrate(relay, seconds, lambda: near.execute("select 1"), lambda: far.execute("select 1"))
