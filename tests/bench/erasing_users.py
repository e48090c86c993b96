"""The erasure of users with many sessions: each statement, the dry run, and the whole DELETE through the handler.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.erasing_users      OUTPUT=file

The users are made by SQL, each twice: once for the single calls of erase_user, once for the handler. Other users of
the tenant have sessions, too. The target is for the CPU time of the server, because others use this machine. A step
ends after 100 milliseconds of time, so a busy machine needs more statements.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import redirect_stdout
from functools import partial
from typing import Any, NamedTuple

import psycopg

from tests.bench import measure, people
from tests.bench.people import Sessions
from tests.bench.server_time import Taken, taken
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_embedded

USERS = {
    "10,000 sessions of 10 turns": (Sessions(10_000, 10),),
    "100,000 turns in one session, and 1,000 sessions of 10": (Sessions(1, 100_000), Sessions(1_000, 10)),
}
OTHERS = Sessions(20_000, 5)
MOST_MILLISECONDS = 250.0
_ERASE = "select state from robot_brain_api.erase_user(p_tenant_id => 'local', p_user_id => %s, p_continue => %s)"
_LEFT = """
select
  count(*) filter (where s.erasing_at is null),
  (select count(*) from robot_brain.conversations c where c.session_id ^@ %s)
from robot_brain.sessions s where s.user_id = %s
"""


class Step(NamedTuple):
    """What a statement took, and the user's sessions without a mark and turns after it."""

    taken: Taken
    unmarked: int
    turns: int


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    options = measure.arguments(str(__doc__), rounds=1).parse_args()
    rows = []
    figures: dict[str, Any] = {}
    server = start_embedded(settings={"max_wal_size": "4GB"})
    try:
        template = make_template(server)
        for name, parts in USERS.items():
            with template.clone("embedded") as database:
                with database.admin() as admin:
                    for user in ("called", "handled"):
                        people.add_user(admin, user, *parts)
                    people.add_user(admin, "other", OTHERS)
                    people.count(admin)
                figures[name] = _erase_both(database, parts)
            rows.append([name, *_cells(figures[name])])
    finally:
        server.stop()
    headings = ["user", "statements", "marks", "first ms", "median ms", "slowest ms", "most CPU ms", "all s", "CPU s"]
    print(f"\n{measure.table([*headings, 'dry run ms', 'DELETE s', 'target'], rows)}\n")
    measure.report("erasing_users", figures, options.output, machine=measure.machine())


def _erase_both(database: Database, parts: tuple[Sessions, ...]) -> dict[str, Any]:
    """Erase one user by single calls and one by the handler. Return the figures."""
    steps = _call(database, sum(part.all_turns for part in parts))
    status, seconds, dry_run, counted = _handle(database)
    assert counted["messages"] == sum(part.all_turns for part in parts), counted
    assert counted["sessions"] == sum(part.sessions for part in parts), counted
    walls = [step.taken.wall for step in steps]
    return {
        "statements": len(steps),
        "marking_statements": 1 + sum(step.unmarked > 0 for step in steps),
        "first_milliseconds": round(walls[0], 1),
        "median_milliseconds": round(measure.Spread.of(walls).median, 1),
        "slowest_milliseconds": round(max(walls), 1),
        "slowest_statement": walls.index(max(walls)) + 1,
        "slowest_cpu_milliseconds": round(max(step.taken.cpu for step in steps), 1),
        "seconds": round(sum(walls) / 1000, 2),
        "cpu_seconds": round(sum(step.taken.cpu for step in steps) / 1000, 2),
        "dry_run_milliseconds": round(dry_run, 1),
        "handler_status": status,
        "handler_seconds": round(seconds, 2),
    }


def _cells(figures: dict[str, Any]) -> list[object]:
    names = ("statements", "marking_statements", "first_milliseconds", "median_milliseconds")
    slowest = f"{figures['slowest_milliseconds']} (number {figures['slowest_statement']})"
    return [
        *(figures[name] for name in names),
        slowest,
        figures["slowest_cpu_milliseconds"],
        figures["seconds"],
        figures["cpu_seconds"],
        figures["dry_run_milliseconds"],
        f"{figures['handler_status']} in {figures['handler_seconds']:.2f}",
        measure.target(figures["slowest_cpu_milliseconds"], MOST_MILLISECONDS),
    ]


def _call(database: Database, turns: int) -> list[Step]:
    """Erase the user `called` by single calls. Return what each took and left."""
    steps: list[Step] = []
    with database.app() as connection, database.admin() as admin:
        state = ""
        while state != "erased":
            cursor = connection.cursor()
            once = taken(connection, partial(cursor.execute, _ERASE, ("called", bool(steps))))
            row, left = cursor.fetchone(), _left(admin)
            assert row is not None
            assert row[0] in ("erasing", "erased"), row
            # The first statement only marks.
            assert steps or left[1] == turns, left
            steps.append(Step(once, *left))
            state = row[0]
    assert steps[-1][1:] == (0, 0), steps[-1]
    return steps


def _left(admin: psycopg.Connection[Any]) -> tuple[int, int]:
    row = admin.execute(_LEFT, ["called-", "called"]).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def _handle(database: Database) -> tuple[int, float, float, dict[str, int]]:
    """Erase the user `handled` by DELETE. Return the status and seconds, then the dry run's milliseconds and counts."""
    variables = {"DATABASE_URL": database.app_url, "TENANT_ID": "local"}
    with open(os.devnull, "w") as log, redirect_stdout(log), deployed(variables) as bundle:
        dry_run, counted = _count(bundle)
        started = time.perf_counter()
        status = bundle.user("DELETE", "handled").status
        return status, time.perf_counter() - started, dry_run, counted


def _count(bundle: Bundle) -> tuple[float, dict[str, int]]:
    """Return the milliseconds of a dry run through the handler, on an open connection, and its counts."""
    bundle.count_user("handled")
    started = time.perf_counter()
    reply = bundle.count_user("handled")
    counts: dict[str, int] = json.loads(reply.body or "")
    return (time.perf_counter() - started) * 1000, counts


if __name__ == "__main__":
    main()
