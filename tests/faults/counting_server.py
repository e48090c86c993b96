"""Servers for `Counting`. Their clock can step, commits can wait for a standby, and rows can be replicated."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from ops.migrate import migrate
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_libfaketime, debian_postgres, skip_without
from tests.support.servers.databases import create_database, set_app_login
from tests.support.servers.postgres import WITHOUT_JIT, Postgres, start_embedded, start_tls

KINDS = ("embedded", "tls")
PASSWORD = secrets.token_urlsafe(24)
SEEDS = 2
# Committed writes survive SIGKILL. No timeout ends replication after a step of the clock.
_SETTINGS = {
    "synchronous_commit": "on",
    "wal_level": "logical",
    "max_wal_senders": "30",
    "max_replication_slots": "40",
    # All tables are copied at once. A table that waits for a worker would wait by the clock, which steps.
    "max_worker_processes": "30",
    "max_logical_replication_workers": "25",
    "max_sync_workers_per_subscription": "20",
    "wal_retrieve_retry_interval": "100ms",
    "wal_sender_timeout": "0",
    "wal_receiver_timeout": "0",
}


@contextmanager
def counting_server(kind: str, authority: Authority, *databases: str) -> Iterator[Postgres]:
    """Run a server with migrated databases of these names. Skips the test if something is not installed."""
    skip_without(debian_libfaketime)
    if kind == "tls":
        skip_without(debian_postgres)
        postgres = start_tls(authority, {**_SETTINGS, **WITHOUT_JIT}, steppable=True)
    else:
        postgres = start_embedded(settings={**_SETTINGS, "max_active_replication_origins": "40"}, steppable=True)
    try:
        with postgres.admin() as admin:
            for database in databases:
                create_database(admin, database)
                migrate(postgres.direct_url(database))
            set_app_login(admin, PASSWORD if kind == "tls" else "")
        yield postgres
    finally:
        postgres.stop()
