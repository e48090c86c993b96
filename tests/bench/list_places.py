"""The list of sessions: the server's time at each place of a walk, and how many updates of sessions stay heap-only.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.list_places      SESSIONS=100000 OUTPUT=file

`day`: the sessions of one tenant were active within one day. `hour`: all of them within the same hour, which is the
worst case, because the index gives the sessions hour by hour and each hour is sorted. Their order in the table is
random. The target is for the CPU time of the server, because others use this machine too. The server of the updates
runs under libfaketime, so an hour of talk takes a minute.
"""

from __future__ import annotations

import json
import os
import time
from functools import partial
from typing import Any

import psycopg

from tests.bench import measure, texts
from tests.bench.server_time import Taken, taken
from tests.bench.warm_requests import listed_sessions
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_embedded

# Expressions for the time of the session n: spread evenly, and the newest one at the end of an hour of the clock.
SPREADS = {
    "day": "date_trunc('hour', now()) - (n - 0.5) * interval '1 day' / {sessions}",
    "hour": "date_trunc('hour', now()) - (n - 0.5) * interval '1 hour' / {sessions}",
}
PLACES = 24
REPEATS = 15
EXCHANGES = 20
TALKS = 60
MOST_MILLISECONDS = 5.0
LEAST_HEAP_ONLY = 0.9
_LIST = "select body from robot_brain_api.list_sessions(p_tenant_id => 'local', p_cursor => %s)"
_AT = "select robot_brain.make_list_cursor(s, null) from robot_brain.sessions s where s.id = %s"
_WRITE = "select body from robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => %s, p_messages => %s)"
_UPDATES = """
select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where schemaname = 'robot_brain' and relname = 'sessions'
"""


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    parser = measure.arguments(str(__doc__), rounds=REPEATS)
    parser.add_argument("--sessions", type=int, default=int(os.environ.get("SESSIONS") or 100_000))
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    rows = []
    server = start_embedded()
    try:
        template = make_template(server)
        for name, spread in SPREADS.items():
            with template.clone("embedded") as database:
                with database.admin() as admin:
                    listed_sessions(admin, options.sessions, spread.format(sessions=options.sessions))
                places = _walk(database, options.sessions, options.rounds)
            slowest = max(places, key=lambda place: places[place][1])
            overall = [measure.Spread.of(each).median for each in zip(*places.values(), strict=True)]
            worst = places[slowest]
            rows.append([name, *(f"{each:.2f}" for each in (*overall, *worst)), slowest])
            rows[-1].append(measure.target(round(worst.cpu, 2), MOST_MILLISECONDS))
            for kind, middle, most in zip(Taken._fields, overall, worst, strict=True):
                figures[f"{name}_{kind}_median"] = round(middle, 3)
                figures[f"{name}_{kind}_worst"] = round(most, 3)
    finally:
        server.stop()
    print(f"\nA page of 20 of {options.sessions:,} sessions, milliseconds of one call on a unix socket\n")
    headings = ["active within a", "median", "its CPU", "slowest place", "its CPU", "which", "target"]
    print(measure.table(headings, rows))
    figures["heap_only_share"], figures["updates"] = _heap_only()
    share = figures["heap_only_share"]
    verdict = "met" if share >= LEAST_HEAP_ONLY else "MISSED"
    print(
        f"\nHeap-only updates of sessions, {TALKS} sessions of {EXCHANGES} exchanges within an hour: "
        f"{share:.1%} of {figures['updates']} (>= {LEAST_HEAP_ONLY:.0%}: {verdict})\n"
    )
    measure.report("lists", figures, options.output, sessions=options.sessions, machine=measure.machine())


def _walk(database: Database, sessions: int, repeats: int) -> dict[str, Taken]:
    """Return the milliseconds of a page of 20 at the beginning, at each 24th of the walk, and at its end."""
    with database.admin() as admin:
        cursors: dict[str, str | None] = {"the first page": None}
        for part in range(1, PLACES):
            cursors[f"after {part} of {PLACES} parts"] = _cursor(admin, sessions * part // PLACES)
        cursors["the last page"] = _cursor(admin, sessions - 10)
    samples: dict[str, list[Taken]] = {place: [] for place in cursors}
    with database.app() as connection:
        for number in range(repeats + 1):
            for place, cursor in cursors.items():
                once = taken(connection, partial(connection.execute, _LIST, [cursor]))
                if number > 0:  # the first round warms up
                    samples[place].append(once)
        for place, cursor in cursors.items():
            row = connection.execute(_LIST, [cursor]).fetchone()
            assert row is not None
            assert len(json.loads(row[0])["sessions"]) == (10 if place == "the last page" else 20), place
    return {
        place: Taken(*(measure.Spread.of(each).median for each in zip(*values, strict=True)))
        for place, values in samples.items()
    }


def _cursor(admin: psycopg.Connection[Any], number: int) -> str:
    """Return the cursor of the page that begins after the session `number` in the list."""
    row = admin.execute(_AT, [f"listed-{number}"]).fetchone()
    assert row is not None
    return str(row[0])


def _heap_only() -> tuple[float, int]:
    """Return the share of heap-only updates of sessions in talks of an hour, and how many updates there were.

    Each session begins at another minute, and its exchanges are spread evenly over the hour that follows. The sessions
    talk at the same time, and the server has the default autovacuum.
    """
    server = start_embedded(steppable=True)
    try:
        with make_template(server).clone("embedded") as database, database.app() as connection:
            assert server.clock is not None
            times = sorted(
                (round(talk * 3600 / TALKS + exchange * 3600 / EXCHANGES), talk)
                for talk in range(TALKS)
                for exchange in range(EXCHANGES)
            )
            for at, talk in times:
                server.clock.set(at)
                turn = json.dumps([{**texts.turn(talk), "metadata": {}}])
                connection.execute(_WRITE, [f"talk-{talk}", turn])
            with database.admin() as admin:
                updates, heap_only = _counted(connection, admin)
    finally:
        server.stop()
    return heap_only / updates, updates


def _counted(connection: psycopg.Connection[Any], admin: psycopg.Connection[Any]) -> tuple[int, int]:
    """Return the updates of sessions and the heap-only ones, as soon as the server has all of them."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        connection.execute("select 1")
        row = admin.execute(_UPDATES).fetchone()
        if row is not None and row[0] == TALKS * (EXCHANGES - 1):
            return int(row[0]), int(row[1])
        time.sleep(0.2)
    raise TimeoutError(f"the server does not report {TALKS * (EXCHANGES - 1)} updates")


if __name__ == "__main__":
    main()
