"""The erasure of long sessions: the time of each statement, and of the whole DELETE through the handler.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.erasing      OUTPUT=file

The sessions are made by SQL, each twice: once for the single calls of erase_session, once for the handler.
"""

from __future__ import annotations

import os
import time
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import psycopg

from tests.bench import measure
from tests.bench.server_time import Taken, taken
from tests.support.bundle import deployed
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_embedded

# Turns, bytes of a turn's texts, bytes of its items, and keys that are remembered for it.
SESSIONS = {
    "100,000 turns of 1 KB": (100_000, 1_000, 0, 0),
    "the same, with a key for each": (100_000, 1_000, 0, 100_000),
    "3,000 turns, 100 KB of text and of items each": (3_000, 100_000, 100_000, 0),
}
MOST_MILLISECONDS = 250.0
# Random digits, because a text that repeats itself would be stored in less.
_TURNS = """
insert into robot_brain.conversations (
  tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response, metadata, items
)
select
  'local', %(id)s, n, now(), 'barista', 'a question',
  (select string_agg(md5(n::text || i), '') from generate_series(1, %(text)s / 32) i), '{}',
  case when %(items)s > 0 then jsonb_build_array(jsonb_build_object('output', (
    select string_agg(md5(i || '-' || n), '') from generate_series(1, %(items)s / 32) i
  ))) end
from generate_series(1, %(turns)s) n
"""
_SESSION = """
insert into robot_brain.sessions (
  tenant_id, id, created_at, last_active, active_hour, previous_active, message_count, response_length, answer_bytes
)
select
  'local', %(id)s, min(c.created_at), max(c.created_at), date_bin('1 hour', max(c.created_at), to_timestamp(0)),
  max(c.created_at), count(*), sum(length(c.robot_response)),
  sum(robot_brain.turn_bytes(c.robot_personality, c.user_message, c.robot_response, c.metadata, c.items))
from robot_brain.conversations c
where c.session_id = %(id)s
"""
_INTERACTIONS = """
insert into robot_brain.robot_interactions (
  tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, created_at
)
select 'local', %(id)s, c.seq, 'robot', 'order', 5, true, c.created_at
from robot_brain.conversations c
where c.session_id = %(id)s and c.seq %% 10 = 0
"""
_KEYS = """
insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, session_id, expires_at)
select 'local', sha256((%(id)s || n)::bytea), sha256('x'), repeat('x', 200), %(id)s, now() + interval '24 hours'
from generate_series(1, %(keys)s) n
"""
_ERASE = "select state from robot_brain_api.erase_session(p_tenant_id => 'local', p_session_id => %s, p_continue => %s)"


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    options = measure.arguments(str(__doc__), rounds=1).parse_args()
    rows = []
    figures: dict[str, Any] = {}
    server = start_embedded(settings={"max_wal_size": "4GB"})
    try:
        template = make_template(server)
        for name, (turns, text, items, keys) in SESSIONS.items():
            with template.clone("embedded") as database:
                sizes = {"turns": turns, "text": text, "items": items, "keys": keys}
                with database.admin() as admin:
                    for session in ("called", "handled"):
                        _fill(admin, session, sizes)
                    admin.execute("vacuum (analyze)")
                    admin.execute("checkpoint")
                steps = _call(database, "called")
                status, seconds = _handle(database, "handled")
            slowest = max(step.wall for step in steps)
            cpu = max(step.cpu for step in steps)
            typical = measure.Spread.of([step.wall for step in steps]).median
            total = sum(step.wall for step in steps) / 1000
            rows.append([name, len(steps), f"{typical:.0f}", f"{slowest:.0f}", f"{cpu:.0f}", f"{total:.2f}"])
            rows[-1] += [f"{status} in {seconds:.2f}", measure.target(round(slowest, 1), MOST_MILLISECONDS)]
            figures[name] = {
                "statements": len(steps),
                "slowest_milliseconds": round(slowest, 1),
                "slowest_cpu_milliseconds": round(cpu, 1),
                "handler_seconds": round(seconds, 2),
            }
    finally:
        server.stop()
    headings = ["session", "statements", "median ms", "slowest ms", "most CPU ms", "all s", "DELETE s", "target"]
    print(f"\n{measure.table(headings, rows)}\n")
    measure.report("erasing", figures, options.output, machine=measure.machine())


def _fill(admin: psycopg.Connection[Any], session: str, sizes: dict[str, int]) -> None:
    for statement in (_TURNS, _SESSION, _INTERACTIONS, _KEYS):
        # Values in the text, because PostgreSQL finds two types for one parameter.
        psycopg.ClientCursor(admin).execute(statement.encode(), {"id": session, **sizes})


def _call(database: Database, session: str) -> list[Taken]:
    """Erase a session by single calls. Return what each took."""
    steps: list[Taken] = []
    with database.app() as connection:
        state = ""
        while state != "erased":
            cursor = connection.cursor()
            steps.append(taken(connection, partial(cursor.execute, _ERASE, (session, bool(steps)))))
            row = cursor.fetchone()
            assert row is not None
            assert row[0] in ("erasing", "erased"), row
            state = row[0]
    return steps


def _handle(database: Database, session: str) -> tuple[int, float]:
    """Erase a session by DELETE. Return the status, and the seconds until nothing was left."""
    started = time.perf_counter()
    variables = {"DATABASE_URL": database.app_url, "TENANT_ID": "local"}
    with open(os.devnull, "w") as log, redirect_stdout(log), deployed(variables) as bundle:
        status = bundle.erase(session).status
    return status, time.perf_counter() - started


if __name__ == "__main__":
    main()
