"""Random writers on a server whose clock, commits and processes fail, and its figures compared with the rows."""

import contextlib
import json
import random
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, LiteralString

import psycopg

from tests.support.figures import Compared, compare
from tests.support.neon.wall_clock import WallClock
from tests.support.servers.crash import crash
from tests.support.servers.databases import APP
from tests.support.servers.postgres import Postgres

PERSONALITIES = ("barista", "guide", "nurse", "pilot")
WRITERS = 8
WRITES = 6  # of each writer in a burst
TURNS = (1, 1, 3, 20)
SESSIONS = 14
PATIENCE_SECONDS = 180.0
_WRITE: LiteralString = """
select robot_brain_api.write_message(p_tenant_id => %s, p_session_id => %s, p_messages => %s, p_key => %s)
"""
_REPLACE: LiteralString = """
select robot_brain_api.replace_turn(p_tenant_id => %s, p_session_id => %s, p_seq => %s, p_turn => %s)
"""
_REMOVE: LiteralString = "select robot_brain_api.remove_turns(p_tenant_id => %s, p_session_id => %s, p_after => %s)"
_ERASE: LiteralString = "select robot_brain_api.erase_session(p_tenant_id => %s, p_session_id => %s)"
_PATCH: LiteralString = (
    "select robot_brain_api.patch_session(p_tenant_id => %s, p_session_id => %s, p_user_metadata => %s)"
)
_REFRESH = ("select robot_brain_api.refresh_stats()", "select robot_brain_api.refresh_view()")
# Locks that stop a refresh in its first step, and in its second step, when everything is counted.
HOLD_COUNTING: LiteralString = "select from robot_brain.tenant_stats for update"
HOLD_VIEW: LiteralString = "refresh materialized view concurrently robot_brain.session_stats"
_WAITS_FOR_LOCK = "select from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
_COMMITS_THAT_WAIT = """
select from pg_stat_activity where wait_event = 'SyncRep' and backend_type = 'client backend' and datname = %s
"""


class Counting:
    """Bursts of writes to two tenants of one database. `compared` has the results of all comparisons.

    With `changes` the writers also replace and remove turns, and patch and erase sessions. The database then needs
    `keep_history`.
    """

    def __init__(self, postgres: Postgres, database: str, password: str, seed: str, *, changes: bool = False) -> None:
        """Take a migrated database. The tenants' names contain `seed`, so that each test has its own tenants."""
        assert postgres.clock is not None
        print(f"seed {seed}")
        self.postgres = postgres
        self.database = database
        self.changes = changes
        self.clock: WallClock = postgres.clock
        self.chance = random.Random(seed)
        self.tenants = (f"one-{seed}", f"two-{seed}")
        self.admin_url = postgres.admin_url(database)
        self.compared = Compared()
        self._app_url = postgres.address.url(APP, password, database)
        self._threads = ThreadPoolExecutor(3 * WRITERS, "writer")

    def close(self) -> None:
        """End running statements, wait for all writers, and set the server's clock right."""
        with psycopg.connect(self.admin_url, autocommit=True) as admin:
            admin.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [APP])
        self._threads.shutdown()
        self.clock.set(0)

    def burst(self, *, local: bool = False, tenants: Sequence[str] = ()) -> "list[Future[None]]":
        """Start all writers. Each makes a few writes and continues after a kill of the server. `settle` waits for them.

        If `local`, their commits do not wait for a standby. They write to `tenants`, or else to both.
        """
        targets = tenants or self.tenants
        seeds = [random.Random(self.chance.random()) for _ in range(WRITERS)]
        return [self._threads.submit(self._write_often, chance, targets, local) for chance in seeds]

    def settle(self, burst: "Sequence[Future[None]]") -> None:
        """Return when all writers of a burst are done. Raises the error of a writer that failed."""
        for writer in burst:
            writer.result(PATIENCE_SECONDS)

    def refresh(self, *, local: bool = False) -> None:
        """Refresh, as the schedule does."""
        with self._app(local) as app:
            for step in _REFRESH:
                app.execute(step)

    def look(self, *, refreshed: bool = False) -> None:
        """Compare both tenants' figures with their rows. Fails if a figure is wrong."""
        with psycopg.connect(self.admin_url, autocommit=True) as observer:
            for tenant in self.tenants:
                found = compare(observer, tenant, refreshed=refreshed)
                assert found.figures > 0
                assert found.wrong == [], f"{found.wrong[:4]} after {self.compared.figures} right figures"
                self.compared.add(found)

    def finish(self) -> None:
        """Compare, refresh and compare again. No client may write any more."""
        self.look()
        self.refresh()
        self.look(refreshed=True)

    @contextlib.contextmanager
    def held_refresh(self, hold: LiteralString = HOLD_COUNTING) -> "Iterator[int]":
        """Keep a refresh waiting during the block, then let it end. Yield the pid of its backend.

        `hold` is a statement whose locks the refresh waits for. The backend may be killed in the block.
        """
        self.settle(self.burst())
        self.refresh()  # so that there are rows to lock
        self.settle(self.burst())
        pids: Future[int] = Future()
        with psycopg.connect(self.admin_url) as holder:
            holder.execute(hold)
            refreshing = self._threads.submit(self._refresh_with_pid, pids)
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
        """Begin a refresh. Return the pid of its backend, and a future that is done when it ends."""
        pids: Future[int] = Future()
        refreshing = self._threads.submit(self._refresh_with_pid, pids)
        return pids.result(PATIENCE_SECONDS), refreshing

    def kill_backend(self, pid: int) -> None:
        """Kill one process of the server with SIGKILL. Return when the whole server has recovered."""
        with psycopg.connect(self.admin_url, autocommit=True) as doomed:
            crash(doomed, pid)
        self.wait_for_server()

    def wait_for_server(self) -> None:
        """Return when the server accepts clients."""
        wait_until(self._answers)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.admin_url).close()
        except psycopg.OperationalError:
            return False
        return True

    def _refresh_with_pid(self, pids: "Future[int]") -> None:
        with self._app(local=False) as app:
            pids.set_result(app.info.backend_pid)
            for step in _REFRESH:
                app.execute(step)

    def _app(self, local: bool) -> "psycopg.Connection[Any]":
        app = psycopg.connect(self._app_url, autocommit=True)
        # A stalled commit keeps its locks, so others may wait for long.
        app.execute("set statement_timeout = 0")
        app.execute("set lock_timeout = 0")
        if local:
            app.execute("set synchronous_commit = local")
        return app

    def _write_often(self, chance: random.Random, tenants: Sequence[str], local: bool) -> None:
        writes = iter([_request(chance, chance.choice(tenants), self.changes) for _ in range(WRITES)])
        give_up = time.monotonic() + PATIENCE_SECONDS
        request = next(writes, None)
        while request is not None:
            try:
                with self._app(local) as app:
                    while request is not None:
                        app.execute(*request)
                        request = next(writes, None)
            except psycopg.errors.DeadlockDetected:
                raise
            except psycopg.OperationalError:
                # The server was killed. Only its rows say whether this write was committed.
                if time.monotonic() > give_up:
                    raise
                threading.Event().wait(0.02)
                request = next(writes, None)


def _request(chance: random.Random, tenant: str, changes: bool) -> "tuple[LiteralString, tuple[object, ...]]":
    session = f"session {chance.randint(1, SESSIONS)}"
    kind = chance.random() if changes else 0
    if kind > 0.94:
        return _ERASE, (tenant, session)
    if kind > 0.84:
        # Sometimes all turns, and often none.
        return _REMOVE, (tenant, session, chance.choice((0, chance.randint(1, 60))))
    if kind > 0.76:
        return _PATCH, (tenant, session, json.dumps({"mood": chance.randint(1, 3)}))
    if kind > 0.6:
        turn = _turn(chance)
        del turn["robot_personality"]
        return _REPLACE, (tenant, session, chance.randint(1, 40), json.dumps(turn))
    turns = [_turn(chance) for _ in range(chance.choice(TURNS))]
    return _WRITE, (tenant, session, json.dumps(turns), f"{chance.random()}" if chance.random() < 0.5 else None)


def _turn(chance: random.Random) -> dict[str, Any]:
    turn: dict[str, Any] = {
        "robot_personality": chance.choice(PERSONALITIES),
        "user_message": "how?",
        # Some turns have no answer.
        "robot_response": "so" * max(0, chance.randint(-10, 40)),
        "metadata": {},
    }
    if chance.random() < 0.3:
        # The same for all turns, because the interaction of a turn cannot be replaced by another.
        turn["interaction"] = {"interaction_type": "speech", "duration_ms": 7, "success": True, "robot_id": "robot"}
    return turn


def wait_until(done: Any, work: "Future[None] | None" = None) -> None:
    """Return when `done` returns true. Fails if `work` ends before that, or after three minutes."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not done():
        if work is not None and work.done():
            work.result()
            raise AssertionError("the work ended before the state that we waited for")
        assert time.monotonic() < deadline, "the state did not come"
        time.sleep(0.005)
