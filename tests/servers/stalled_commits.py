"""Commits that hang: a server waits for a synchronous standby that is not there, as Neon does without its quorum."""

import contextlib
import threading
from collections.abc import Iterator

import psycopg

from tests.servers.databases import APP
from tests.servers.gate import wait_for_pid
from tests.servers.postgres import Postgres

# The settings that a server needs at its start, so that its commits can wait for a standby.
SETTINGS = {"synchronous_commit": "on", "wal_level": "replica", "max_wal_senders": "4"}

_HANGS = "select pid from pg_stat_activity where wait_event = 'SyncRep' and usename = %s"
_HANGS_TOO = "select pid from pg_stat_activity where wait_event = 'SyncRep' and pid = %s"
_NONE_HANGS = "select 1 where not exists (select from pg_stat_activity where wait_event = 'SyncRep')"


@contextlib.contextmanager
def stalled_commits(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Let no commit end during the block; yield a superuser's connection whose own commits do not wait.

    The server may end during the block; then start it before the block ends.
    """
    with contextlib.ExitStack() as stack:
        # Left without `with`: the server may be gone, and there is nothing to commit.
        admin = postgres.admin()
        stack.callback(admin.close)
        admin.execute("set synchronous_commit = local")
        admin.execute("alter system set synchronous_standby_names = 'nobody'")
        stack.callback(_let_commits_go, postgres)
        admin.execute("select pg_reload_conf()")
        _wait_until_commits_hang(postgres, admin)
        yield admin


def wait_for_hanging_commit(admin: psycopg.Connection) -> int:
    """Return the server process of the functions whose commit hangs, once one does."""
    return wait_for_pid(admin, _HANGS, [APP])


def _let_commits_go(postgres: Postgres) -> None:
    with postgres.admin() as admin:
        admin.execute("alter system reset synchronous_standby_names")
        admin.execute("select pg_reload_conf()")
        wait_for_pid(admin, _NONE_HANGS, ())


def _wait_until_commits_hang(postgres: Postgres, admin: psycopg.Connection) -> None:
    """Commit until one commit hangs: the server reads its new settings at a moment of its own."""
    hangs = threading.Event()

    def commit() -> None:
        while not hangs.is_set():
            probe.execute("select pg_logical_emit_message(true, 'probe', '')")

    with postgres.admin() as probe:
        thread = threading.Thread(target=commit)
        thread.start()
        try:
            wait_for_pid(admin, _HANGS_TOO, [probe.info.backend_pid])
        finally:
            hangs.set()
            # A cancelled wait is a committed transaction.
            admin.execute("select pg_cancel_backend(%s)", [probe.info.backend_pid])
            thread.join(30)
