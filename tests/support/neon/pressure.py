"""Faults that an administrator's commands to PostgreSQL and PgBouncer cause."""

import contextlib
import time
from typing import Any

import psycopg

from tests.support.neon.stand_in import StandIn

# Ends all connections but those of superusers. The server waits until each backend has ended (milliseconds), so a later
# request cannot reach a backend that is about to end.
_TERMINATE = """
select pg_terminate_backend(a.pid, 10000) from pg_stat_activity a join pg_roles r on r.rolname = a.usename
where a.backend_type = 'client backend' and not r.rolsuper
"""
_TAKEN_WITHIN_SECONDS = 60.0
_TAKER = "stand-in: taker"
# Connections that users can still have, without the one that asks. A server process that is about to end is in no view
# any more, and still occupies a connection. So a refusal alone does not say that all of them are taken for long.
_FREE = """
select current_setting('max_connections')::integer
  - current_setting('superuser_reserved_connections')::integer
  - coalesce(current_setting('reserved_connections', true), '0')::integer
  - (count(*) - 1)
from pg_stat_activity where backend_type = 'client backend'
"""


def make_read_only(stand_in: StandIn) -> None:
    """Make every transaction read-only, on open and new connections, and end all connections of users."""
    with stand_in.observer() as admin:
        admin.execute("alter system set default_transaction_read_only = on")
        admin.execute("select pg_reload_conf()")
        admin.execute(_TERMINATE)


def make_writable(stand_in: StandIn) -> None:
    """End what `make_read_only` began, and end the connections that users opened meanwhile."""
    with stand_in.observer() as admin:
        admin.execute("set default_transaction_read_only = off")
        admin.execute("alter system reset default_transaction_read_only")
        admin.execute("select pg_reload_conf()")
        admin.execute(_TERMINATE)


def take_connections(stand_in: StandIn) -> None:
    """Take all of PostgreSQL's connections that users may have, those that are in use included."""
    stand_in.compute.wake()
    deadline = time.monotonic() + _TAKEN_WITHIN_SECONDS
    others = "select pg_terminate_backend(pid, 1000) from pg_stat_activity where usename = %s"
    while time.monotonic() < deadline:
        # Without an observer, because its connection would be free afterwards.
        with contextlib.suppress(psycopg.OperationalError):  # all connections are taken
            while True:
                stand_in.taken.append(psycopg.connect(stand_in.direct_url, application_name=_TAKER))
        with stand_in.observer() as admin:
            ended = admin.execute(others, [stand_in.role]).fetchall()
            free = admin.execute(_FREE).fetchone()
            if not ended and free is not None and free[0] <= 0:
                return
    raise TimeoutError("the functions' connections could not be taken")


def give_connections(stand_in: StandIn) -> None:
    """Close what `take_connections` opened, and return when PostgreSQL has noticed."""
    while stand_in.taken:
        stand_in.taken.pop().close()
    deadline = time.monotonic() + _TAKEN_WITHIN_SECONDS
    with stand_in.observer() as admin:
        while admin.execute("select from pg_stat_activity where application_name = %s", [_TAKER]).fetchall():
            if time.monotonic() > deadline:
                raise TimeoutError("PostgreSQL does not notice that connections are closed")
            time.sleep(0.01)


def limit_clients(stand_in: StandIn) -> None:
    """Make PgBouncer refuse new clients."""
    with _console(stand_in) as console:
        stand_in.client_limit = _setting(console, "max_client_conn")
        console.execute("set max_client_conn = 0")


def allow_clients(stand_in: StandIn) -> None:
    """Set PgBouncer's limit of clients to its earlier value."""
    with _console(stand_in) as console:
        console.execute(f"set max_client_conn = {int(stand_in.client_limit)}")


def _setting(console: psycopg.Connection[Any], name: str) -> int:
    return next(int(row[1]) for row in console.execute("show config").fetchall() if row[0] == name)


def _console(stand_in: StandIn) -> psycopg.Connection[Any]:
    """Connect to PgBouncer's console, which has only the simple query protocol and no transactions."""
    if stand_in.console_url is None:
        raise ValueError("the stand-in has no PgBouncer")
    stand_in.compute.wake()
    return psycopg.connect(stand_in.console_url, autocommit=True, cursor_factory=psycopg.ClientCursor)
