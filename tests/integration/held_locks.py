"""Locks that a test holds so that a request really waits, and for as long as it says."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid
from tests.support.waiting import PATIENCE_SECONDS

# Not pg_stat_activity, which stays as it was at its first look until the transaction ends.
_WAITS_FOR_US = "select pid from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))"


@contextmanager
def held(database: Database, lock: str, seconds: float) -> Iterator[None]:
    """Take a lock with the statement `lock`, and keep it until somebody has waited for it for `seconds`.

    The block makes the request that waits; without one this fails.
    """
    taken = threading.Event()
    failures: list[BaseException] = []

    def hold() -> None:
        try:
            with database.admin() as admin, admin.transaction():
                admin.execute(lock.encode())
                taken.set()
                wait_for_waiter(admin)
                time.sleep(seconds)
        except BaseException as error:
            failures.append(error)
            taken.set()

    thread = threading.Thread(target=hold)
    thread.start()
    assert taken.wait(PATIENCE_SECONDS)
    try:
        yield
    finally:
        thread.join(2 * PATIENCE_SECONDS)
    assert failures == []


def wait_for_waiter(holder: psycopg.Connection) -> int:
    """Return the server process that waits for a lock of `holder`, once one does."""
    return wait_for_pid(holder, _WAITS_FOR_US, ())


def deadlock(database: Database) -> threading.Thread:
    """Prepare a deadlock for the next write of a turn with an interaction; the write is the one that PostgreSQL ends.

    One of two other transactions has locked the interactions and asks for the sessions, which the write holds; the
    other lets the write in between only then, so that the write closes the circle, and finds it.
    """
    ready = threading.Event()

    def play() -> None:
        with database.admin() as first, database.admin() as second:
            # So that the write looks for the circle before this one does.
            first.execute("set deadlock_timeout = '5min'")
            with first.transaction():
                first.execute("lock table robot_brain.robot_interactions in access exclusive mode")
                with second.transaction():
                    second.execute("lock table robot_brain.conversations in access exclusive mode")
                    ready.set()
                    wait_for_waiter(second)
                    asking = threading.Thread(
                        target=first.execute, args=("lock table robot_brain.sessions in access exclusive mode",)
                    )
                    asking.start()
                    wait_for_pid(
                        second, "select pid from pg_locks where pid = %s and not granted", [first.info.backend_pid]
                    )
                asking.join(PATIENCE_SECONDS)

    thread = threading.Thread(target=play)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    return thread
