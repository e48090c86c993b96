"""An erasure survives kill -9 after and within each of its steps, and leaves no text in any table."""

import json
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests.faults.counting_server import counting_server
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_postgres
from tests.support.servers.postgres import Postgres
from tests.support.waiting import wait_until

DATABASE = "erasing"
TENANT = "local"
# Three steps of turns, and two of remembered answers.
TURNS, BATCH = 12_000, 2
CANARY = "canary-" + secrets.token_hex(8)
SESSION = f"{CANARY}-session"
# A lock on each of these stops a step in the middle, while it has changed other tables.
HELD = ("uncounted", "idempotency_keys", "erasures", "sessions")


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Postgres]:
    with counting_server("tls", authority, DATABASE) as postgres:
        yield postgres


def write(admin: psycopg.Connection) -> None:
    """Write a session with the canary in each place that holds what a client sent."""
    turn = {
        "robot_personality": "barista",
        "user_message": f"{CANARY} question",
        "robot_response": f"{CANARY} answer",
        "metadata": {"note": CANARY},
        "items": [{"type": "function_call", "arguments": CANARY}],
        "interaction": {
            "robot_id": "r", "interaction_type": "chat", "duration_ms": 1, "success": True, "metadata": {"n": CANARY}
        },
    }  # fmt: skip
    with admin.cursor() as cursor:
        cursor.executemany(
            "select robot_brain_api.write_message(%s, %s, %s, %s, p_key => %s)",
            [
                (TENANT, SESSION, Jsonb([turn] * BATCH), Jsonb({"title": CANARY}), f"{CANARY} {number}")
                for number in range(TURNS // BATCH)
            ],
        )
    admin.execute("select robot_brain_api.write_message(%s, 'stays', %s)", [TENANT, Jsonb([{**turn, "items": []}])])
    admin.execute("select robot_brain_api.patch_session(%s, %s, p_user_id => %s, p_sets_user_id => true)",
                  [TENANT, SESSION, f"{CANARY} user"])  # fmt: skip


def kill(server: Postgres, pid: int) -> None:
    """Kill one process of the server. PostgreSQL then ends all its other processes and recovers."""
    os.kill(pid, signal.SIGKILL)

    def recovered() -> bool:
        try:
            with server.admin(DATABASE) as again:
                row = again.execute("select not exists (select from pg_stat_activity where pid = %s)", [pid]).fetchone()
                return row is not None and row[0]
        except psycopg.OperationalError:
            return False

    wait_until(recovered)


def step(connection: psycopg.Connection) -> str:
    row = connection.execute("select robot_brain_api.erase_session(%s, %s)", [TENANT, SESSION]).fetchone()
    assert row is not None
    return str(row[0])


def kill_within_a_step(server: Postgres, table: str) -> str | None:
    """Begin a step, kill it while it waits for a lock on `table`, and check that it changed nothing.

    Returns the state after the step if it did not need that table.
    """
    with server.admin(DATABASE) as observer:
        before = rows(observer)
    # closing, because the end of a connection's own context would commit on a connection that is lost.
    with ThreadPoolExecutor(1) as thread, closing(server.admin(DATABASE)) as doomed:
        with closing(server.admin(DATABASE)) as holder, closing(server.admin(DATABASE)) as observer:
            holder.execute("begin")
            # Readers and row locks continue. Only the change of the table waits.
            holder.execute(f"lock table robot_brain.{table} in share mode".encode())
            erasing = thread.submit(step, doomed)
            waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
            wait_until(
                lambda: erasing.done() or observer.execute(waits, [doomed.info.backend_pid]).fetchone() == (True,)
            )
            waited = not erasing.done()
            if waited:
                kill(server, doomed.info.backend_pid)
        if not waited:
            return erasing.result()
        with pytest.raises(psycopg.OperationalError):
            erasing.result()
    with server.admin(DATABASE) as observer:
        assert rows(observer) == before
    return None


def rows(observer: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return the numbers of stored rows, and the totals of GET /stats, which must be the same in each snapshot."""
    return observer.execute(
        """
        select
          (select count(*) from robot_brain.sessions where tenant_id = %(tenant)s),
          (select count(*) from robot_brain.conversations where tenant_id = %(tenant)s),
          (select count(*) from robot_brain.robot_interactions where tenant_id = %(tenant)s),
          (select count(*) from robot_brain.idempotency_keys where tenant_id = %(tenant)s and response <> ''),
          body::json -> 'totals' ->> 'sessions', body::json -> 'totals' ->> 'messages',
          body::json -> 'totals' ->> 'interactions'
        from robot_brain_api.stats(%(tenant)s)
        """,
        {"tenant": TENANT},
    ).fetchall()


def test_an_erasure_is_finished_after_kill_9_after_and_within_each_step(server: Postgres) -> None:
    with server.admin(DATABASE) as admin:
        write(admin)
    states: list[str] = []
    killed_within = 0
    while "erased" not in states:
        for table in HELD:
            done = kill_within_a_step(server, table)
            killed_within += done is None
            states += [] if done is None else [done]
        with closing(server.admin(DATABASE)) as admin:
            pid = admin.info.backend_pid
            states.append(step(admin))
            ((sessions, turns, interactions, _, *totals),) = rows(admin)
            assert [str(sessions), str(turns), str(interactions)] == totals
            unknown = admin.execute("select etag from robot_brain_api.read_session(%s, %s)", [TENANT, SESSION])
            assert unknown.fetchone() == (None,)
            listed = admin.execute("select robot_brain_api.list_sessions(%s)", [TENANT]).fetchone()
            assert listed is not None
            assert [each["id"] for each in json.loads(listed[0])["sessions"]] == ["stays"]
            kill(server, pid)
        assert len(states) < 20
    # The next call finds no session.
    assert [state for state in states if state == "erased"] == ["erased"]
    assert len(states) >= 4
    assert killed_within >= 4
    with server.admin(DATABASE) as admin:
        assert rows(admin) == [(1, 1, 1, 0, "1", "1", "1")]
        admin.execute("select robot_brain_api.refresh_stats()")
        admin.execute("select robot_brain_api.refresh_view()")
        assert rows(admin) == [(1, 1, 1, 0, "1", "1", "1")]
    dump = subprocess.run(
        [debian_postgres()[0] / "pg_dump", "--dbname", server.admin_url(DATABASE)], capture_output=True, check=True
    ).stdout.decode()
    # The turn that stays has the canary in its texts, so the dump holds what it should.
    assert f"{CANARY} question" in dump
    assert dump.count(f"{CANARY} question") == 1
    # Ids stay in the audit trail, whose entries are in the transaction of the first step.
    user = f"{CANARY} user"
    left = [line.split("\t")[2:7] for line in dump.splitlines() if SESSION in line or user in line]
    assert left == [
        ["sessions", SESSION, "UPDATE", '{"user_id": null}', f'{{"user_id": "{user}"}}'],
        ["sessions", SESSION, "ERASE", f'{{"user_id": "{user}", "message_count": {TURNS}}}', "\\N"],
    ]
