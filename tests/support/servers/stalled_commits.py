"""Commits that hang: a server waits for a missing synchronous standby, as Neon does without its quorum."""

import contextlib
from collections.abc import Iterator

import psycopg

from tests.support.neon import commits
from tests.support.servers.databases import APP
from tests.support.servers.gate import wait_for_pid
from tests.support.servers.postgres import Postgres

# A server must start with these settings so that its commits can wait for a standby.
SETTINGS = {"synchronous_commit": "on", "wal_level": "replica", "max_wal_senders": "4"}

_HANGS = "select pid from pg_stat_activity where wait_event = 'SyncRep' and usename = %s"


@contextlib.contextmanager
def stalled_commits(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Let no commit end during the block. Yield a superuser's connection whose own commits do not wait.

    If the server ends during the block, start it again before the block ends.
    """
    with contextlib.ExitStack() as stack:
        # No `with`: it would commit, and the server may be gone.
        admin = postgres.admin()
        stack.callback(admin.close)
        admin.execute("set synchronous_commit = local")
        stack.callback(commits.release, postgres.admin_url())
        commits.stall(postgres.admin_url())
        yield admin


def wait_for_hanging_commit(admin: psycopg.Connection) -> int:
    """Wait until a commit of the functions hangs, and return the pid of its server process."""
    return wait_for_pid(admin, _HANGS, [APP])
