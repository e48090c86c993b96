"""Locks that a test holds, so that a request waits for a known time."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid
from tests.support.waiting import PATIENCE_SECONDS

# pg_stat_activity would not do: a transaction that has read it sees no change until its end.
_WAITS_FOR_US = "select pid from pg_locks where not granted and pg_backend_pid() = any (pg_blocking_pids(pid))"


@contextmanager
def held(database: Database, lock: str, seconds: float) -> Iterator[None]:
    """Take a lock with the statement `lock`, and release it after another transaction has waited `seconds` for it.

    The block must send the request that waits. Fails if no transaction waits for the lock.
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
    """Wait until a server process waits for a lock of `holder`, and return its pid."""
    return wait_for_pid(holder, _WAITS_FOR_US, ())


def deadlock(database: Database) -> threading.Thread:
    """Prepare a deadlock in which PostgreSQL ends the next write of a turn with an interaction.

    Two other transactions take part. The first locks robot_interactions. The second locks conversations, so that the
    write waits with its session locked. Then the first waits for sessions, and the second ends.
    The write now waits for robot_interactions. It closes the cycle, so its own check detects the deadlock.
    """
    ready = threading.Event()

    def play() -> None:
        with database.admin() as first, database.admin() as second:
            # With a longer timeout this transaction does not check for a deadlock before the write does.
            first.execute("set deadlock_timeout = '5min'")
            with first.transaction():
                first.execute("lock table robot_brain.robot_interactions in access exclusive mode")
                with second.transaction():
                    second.execute("lock table robot_brain.conversations in access exclusive mode")
                    ready.set()
                    wait_for_waiter(second)
                    waiting = threading.Thread(
                        target=first.execute, args=("lock table robot_brain.sessions in access exclusive mode",)
                    )
                    waiting.start()
                    wait_for_pid(
                        second, "select pid from pg_locks where pid = %s and not granted", [first.info.backend_pid]
                    )
                waiting.join(PATIENCE_SECONDS)

    thread = threading.Thread(target=play)
    thread.start()
    assert ready.wait(PATIENCE_SECONDS)
    return thread
