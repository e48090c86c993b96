"""Random writers on a server whose clock, commits and processes fail, and the figures beside the rows."""

import contextlib
import json
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg

from tests.support.figures import Compared, compare
from tests.support.neon.wall_clock import WallClock
from tests.support.servers.databases import APP
from tests.support.servers.postgres import Postgres

PERSONALITIES = ("barista", "guide", "nurse", "pilot")
WRITERS = 4
WRITES = 6  # of each writer in a burst
TURNS = (1, 1, 3, 20)
PATIENCE_SECONDS = 180.0
_WRITE = """
select robot_brain_api.write_message(p_tenant_id => %s, p_session_id => %s, p_messages => %s, p_key => %s)
"""
_REFRESH = ("select robot_brain_api.refresh_stats()", "select robot_brain_api.refresh_view()")
# What a refresh waits for in its first step, and in the next one, when all is counted.
HOLD_COUNTING: LiteralString = "select from robot_brain.tenant_stats for update"
HOLD_VIEW: LiteralString = "refresh materialized view concurrently robot_brain.session_stats"
_WAITS_FOR_LOCK = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
_COMMITS_THAT_WAIT = """
select from pg_stat_activity where wait_event = 'SyncRep' and backend_type = 'client backend' and datname = %s
"""


class Counting:
    """Two tenants in one database, written to in bursts; `compared` has what their figures were held to."""

    def __init__(self, postgres: Postgres, database: str, password: str, seed: str) -> None:
        """Take a migrated database; `seed` names the tenants too, so that each test has its own."""
        assert postgres.clock is not None
        print(f"seed {seed}")
        self.postgres = postgres
        self.database = database
        self.clock: WallClock = postgres.clock
        self.chance = random.Random(seed)
        self.tenants = (f"one-{seed}", f"two-{seed}")
        self.admin_url = postgres.admin_url(database)
        self.compared = Compared()
        self._app_url = postgres.address.url(APP, password, database)
        self._threads = ThreadPoolExecutor(3 * WRITERS, "writer")

    def close(self) -> None:
        """Wait for all writers, and give the server its right time back. A statement that still runs is ended."""
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [APP])
        self._threads.shutdown()
        self.clock.set(0)

    def burst(self, *, local: bool = False, tenants: Sequence[str] = ()) -> "list[Future[None]]":
        """Let all writers write a few times, on and on also over a killed server; `settle` waits for them.

        Their commits do not wait for a standby if they are `local`. They write for `tenants`, or for both.
        """
        for_whom = tenants or self.tenants
        seeds = [random.Random(self.chance.random()) for _ in range(WRITERS)]
        return [self._threads.submit(self._write_often, chance, for_whom, local) for chance in seeds]

    def settle(self, burst: "Sequence[Future[None]]") -> None:
        """Return when all writers of a burst are done; raise what one of them met."""
        for writer in burst:
            writer.result(PATIENCE_SECONDS)

    def refresh(self, *, local: bool = False) -> None:
        """Refresh, as the schedule does."""
        with self._app(local) as app:
            for step in _REFRESH:
                app.execute(step)

    def look(self, *, refreshed: bool = False) -> None:
        """Hold both tenants' figures beside their rows. Fails if one is wrong."""
        with psycopg.connect(self.admin_url, autocommit=True) as observer:
            for tenant in self.tenants:
                found = compare(observer, tenant, refreshed=refreshed)
                assert found.figures > 0
                assert found.wrong == [], f"{found.wrong[:4]} after {self.compared.figures} right figures"
                self.compared.add(found)

    def finish(self) -> None:
        """Look, refresh and look again; nobody may write any more."""
        self.look()
        self.refresh()
        self.look(refreshed=True)

    @contextlib.contextmanager
    def held_refresh(self, hold: LiteralString = HOLD_COUNTING) -> "Iterator[int]":
        """Have a refresh stand still for the context, then let it end; yield its backend's pid.

        `hold` is a statement whose locks it waits for. It may be killed in the context.
        """
        self.settle(self.burst())
        self.refresh()  # so that there are rows to wait for
        self.settle(self.burst())
        pids: Future[int] = Future()
        with psycopg.connect(self.admin_url) as holder:
            holder.execute(hold)
            refreshing = self._threads.submit(self._refresh_and_tell, pids)
            pid = pids.result(PATIENCE_SECONDS)
            with psycopg.connect(self.admin_url, autocommit=True) as observer:
                wait_until(lambda: bool(observer.execute(_WAITS_FOR_LOCK, [pid]).fetchall()), refreshing)
            killed = True
            with contextlib.suppress(psycopg.OperationalError):
                yield pid
                holder.rollback()
                killed = False
        with contextlib.suppress(*([psycopg.OperationalError] if killed else [])):
            refreshing.result(PATIENCE_SECONDS)

    def commits_that_wait(self) -> int:
        """Return how many commits in this database wait for a standby."""
        with psycopg.connect(self.admin_url, autocommit=True) as observer:
            return len(observer.execute(_COMMITS_THAT_WAIT, [self.database]).fetchall())

    def start_refresh(self) -> "tuple[int, Future[None]]":
        """Begin a refresh; return its backend's pid and its end."""
        pids: Future[int] = Future()
        refreshing = self._threads.submit(self._refresh_and_tell, pids)
        return pids.result(PATIENCE_SECONDS), refreshing

    def kill_backend(self, pid: int) -> None:
        """Kill one process of the server with SIGKILL; return when the whole server has recovered."""
        with psycopg.connect(self.admin_url, autocommit=True) as doomed:
            os.kill(pid, signal.SIGKILL)
            # PostgreSQL ends all of its other processes then.
            wait_until(lambda: _ended(doomed))
        self.wait_for_server()

    def wait_for_server(self) -> None:
        """Return when the server lets clients in."""
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_url).close()
        except psycopg.OperationalError:
            return False
        return True

    def _refresh_and_tell(self, pids: "Future[int]") -> None:
        with self._app(local=False) as app:
            pids.set_result(app.info.backend_pid)
            for step in _REFRESH:
                app.execute(step)

    def _app(self, local: bool) -> "psycopg.Connection[Any]":
        app = psycopg.connect(self._app_url, autocommit=True)
        # A stalled commit holds its locks, and nobody here is in a hurry.
        app.execute("set statement_timeout = 0")
        app.execute("set lock_timeout = 0")
        if local:
            app.execute("set synchronous_commit = local")
        return app

    def _write_often(self, chance: random.Random, tenants: Sequence[str], local: bool) -> None:
        writes = iter([_request(chance, chance.choice(tenants)) for _ in range(WRITES)])
        give_up = time.monotonic() + PATIENCE_SECONDS
        request = next(writes, None)
        while request is not None:
            try:
                with self._app(local) as app:
                    while request is not None:
                        app.execute(_WRITE, request)
                        request = next(writes, None)
            except psycopg.OperationalError:
                # Killed with its server: whether it was written shows in the rows alone.
                if time.monotonic() > give_up:
                    raise
                threading.Event().wait(0.02)
                request = next(writes, None)


def _request(chance: random.Random, tenant: str) -> tuple[str, str, str, str | None]:
    turns = []
    for _ in range(chance.choice(TURNS)):
        turn: dict[str, Any] = {
            "robot_personality": chance.choice(PERSONALITIES),
            "user_message": "how?",
            "robot_response": "so" * chance.randint(1, 40),
            "metadata": {},
        }
        if chance.random() < 0.3:
            turn["interaction"] = {
                "interaction_type": "speech",
                "duration_ms": 7,
                "success": True,
                "robot_id": turn["robot_personality"],
            }
        turns.append(turn)
    session = f"session {chance.randint(1, 14)}"
    key = f"{chance.random()}" if chance.random() < 0.5 else None
    return tenant, session, json.dumps(turns), key


def _ended(connection: "psycopg.Connection[Any]") -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


def wait_until(done: Any, work: "Future[None] | None" = None) -> None:
    """Return when `done` says so. Fails if `work` ends before, and after three minutes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if work is not None and work.done():
            work.result()
            raise AssertionError("it ended before it was waited for")
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)
