"""Commits that do not return: PostgreSQL waits for a synchronous standby that is not there.

The server needs max_wal_senders above 0, and its sessions need synchronous_commit on, which is the default. A commit
that waits is in the log already. It cannot be rolled back, no other transaction sees its rows yet, and it keeps its
locks.
"""

import time

import psycopg
from psycopg import sql

_MISSING_STANDBY = "stand-in: missing standby"
_WITHIN_SECONDS = 20.0
_COMMIT = b"select pg_logical_emit_message(true, 'stand-in', 'a commit')"
_WAITS = "select from pg_stat_activity where wait_event = 'SyncRep'"


def stall(admin_url: str) -> None:
    """Make each COMMIT of a write wait from now on. Raises TimeoutError if the server does not do so."""
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("alter system set synchronous_standby_names = {}").format(sql.Literal(f'"{_MISSING_STANDBY}"'))
        )
        admin.execute("select pg_reload_conf()")
        # The checkpointer reads the setting for all processes, some time later. So we commit until a commit waits.
        probe = psycopg.connect(admin_url, autocommit=True)
        try:
            deadline = time.monotonic() + _WITHIN_SECONDS
            while not _commit_waits(admin, probe):
                if time.monotonic() > deadline:
                    raise TimeoutError("commits do not wait for a standby")
        finally:
            probe.close()


def release(admin_url: str) -> None:
    """Let commits continue, and return when no commit waits any more. Raises TimeoutError if one still waits."""
    deadline = time.monotonic() + _WITHIN_SECONDS
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute("alter system reset synchronous_standby_names")
        admin.execute("select pg_reload_conf()")
        while admin.execute(_WAITS).fetchall():
            if time.monotonic() > deadline:
                raise TimeoutError("commits still wait for a standby")
            time.sleep(0.01)


def _commit_waits(admin: psycopg.Connection, probe: psycopg.Connection) -> bool:
    """Commit with `probe`. Return True when the commit waits for the standby, False when it is done."""
    probe.pgconn.send_query(_COMMIT)
    while True:
        if admin.execute(f"{_WAITS} and pid = %s", [probe.info.backend_pid]).fetchall():
            return True
        probe.pgconn.consume_input()
        if not probe.pgconn.is_busy():
            while probe.pgconn.get_result() is not None:
                pass
            return False
        time.sleep(0.005)
