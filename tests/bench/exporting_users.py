"""The export of a user, page by page through the handler: time, CPU time of the server, and bytes of the answers.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.exporting_users      OUTPUT=file

`bytes` are those of the whole answer as Lambda gets it: its limit is 6,291,556. Other users of the tenant have
sessions, too.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import redirect_stdout
from dataclasses import asdict
from functools import partial
from typing import Any, NamedTuple

import psycopg

from tests.bench import measure, people
from tests.bench.people import Sessions
from tests.bench.server_time import taken
from tests.support.bundle import Bundle, Reply, deployed
from tests.support.servers.databases import Database, make_template
from tests.support.servers.postgres import start_embedded

USERS = {
    "20,000 turns of 1 KB in 20 sessions": Sessions(20, 1_000, 1_024),
    "2,000 turns of 100 KB in 20 sessions": Sessions(20, 100, 102_400),
    "20,000 turns of 320 bytes in 10,000 sessions": Sessions(10_000, 2),
}
OTHERS = Sessions(20_000, 5)
MOST_BYTES = 6_291_556
_EXPORT = "select body from robot_brain_api.export_user(p_tenant_id => 'local', p_user_id => 'ann', p_cursor => %s)"


class Page(NamedTuple):
    """The milliseconds of a page through the handler, those that the server computed, and the bytes of its answer."""

    wall: float
    cpu: float
    bytes: int


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    options = measure.arguments(str(__doc__), rounds=1).parse_args()
    rows = []
    figures: dict[str, Any] = {}
    server = start_embedded(settings={"max_wal_size": "4GB"})
    try:
        template = make_template(server)
        for name, sessions in USERS.items():
            with template.clone("embedded") as database:
                with database.admin() as admin:
                    people.add_user(admin, "ann", sessions)
                    people.add_user(admin, "other", OTHERS)
                    people.count(admin)
                pages = _export(database, sessions)
            wall, cpu = (measure.Spread.of([getattr(page, kind) for page in pages]) for kind in ("wall", "cpu"))
            largest = max(page.bytes for page in pages)
            row = [name, len(pages), *(f"{each:.1f}" for each in (wall.median, wall.most, cpu.median, cpu.most))]
            rows.append([*row, f"{largest:,}", measure.target(largest, MOST_BYTES)])
            figures[name] = {
                "pages": len(pages),
                "milliseconds": wall.json(1),
                "cpu_milliseconds": cpu.json(1),
                "largest_bytes": largest,
            }
    finally:
        server.stop()
    headings = ["user", "pages", "median ms", "slowest ms", "CPU ms", "most CPU ms", "largest bytes", "target"]
    print(f"\n{measure.table(headings, rows)}\n")
    measure.report("exporting_users", figures, options.output, machine=measure.machine())


def _export(database: Database, sessions: Sessions) -> list[Page]:
    """Export the user `ann` by the handler. Return what each page took. The pages must hold every turn once."""
    variables = {"DATABASE_URL": database.app_url, "TENANT_ID": "local"}
    pages: list[Page] = []
    found: list[tuple[str, int]] = []
    cursor: str | None = None
    with (
        open(os.devnull, "w") as log,
        redirect_stdout(log),
        deployed(variables) as bundle,
        database.app() as connection,
    ):
        bundle.export("ann")  # opens the connection
        while cursor is not None or not pages:
            page, body = _page(bundle, connection, cursor)
            pages.append(page)
            found += [(turn["session_id"], turn["seq"]) for turn in body["turns"]]
            cursor = body["page"]["cursor"]
    assert len(found) == len(set(found)) == sessions.all_turns, len(found)
    return pages


def _page(bundle: Bundle, connection: psycopg.Connection[Any], cursor: str | None) -> tuple[Page, Any]:
    """Return what a page took, and its body."""
    cpu = taken(connection, partial(connection.execute, _EXPORT, [cursor])).cpu
    started = time.perf_counter()
    reply: Reply = bundle.export("ann", **({} if cursor is None else {"cursor": cursor}))
    wall = (time.perf_counter() - started) * 1000
    answer = json.dumps(asdict(reply), ensure_ascii=False)
    return Page(wall, cpu, len(answer.encode())), json.loads(reply.body or "")


if __name__ == "__main__":
    main()
