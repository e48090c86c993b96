"""The cost of the search for a write: two databases of one server, in one of which the search is off, in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from ops.migrate import migrate
from tests.bench import measure
from tests.bench.bench_calls import Side
from tests.bench.search_data import Filled, fill, switch_off
from tests.support.servers.databases import APP, create_database, drop_database, set_app_login
from tests.support.servers.postgres import Postgres

ROWS = {"write": "write a turn", "write50": "write 50 turns"}
BLOCK = 20
MOST, MOST_WAL = 1.03, 1.05


@dataclass(frozen=True)
class Writes:
    """The samples of both databases, in microseconds of the server and in bytes of WAL, by row."""

    cpu: dict[str, measure.Samples]
    wal: dict[str, measure.Samples]
    refresh: measure.Samples
    queued: Filled

    def ratios(self) -> dict[str, tuple[float, float]]:
        """Return each ratio with the largest allowed."""
        found = {f"{row}_on_over_off": (self.cpu[row].ratio("on", "off").median, MOST) for row in ROWS}
        return found | {f"{row}_wal_on_over_off": (self.wal[row].ratio("on", "off").median, MOST_WAL) for row in ROWS}

    def table(self) -> str:
        """Return the table of the ratios, and a line of the filler that works off the queue."""
        lines = []
        for row, title in ROWS.items():
            for unit, samples in (("CPU us", self.cpu[row]), ("WAL bytes", self.wal[row])):
                on, off, ratio = samples.spread("on"), samples.spread("off"), samples.ratio("on", "off")
                figures = [f"{on.median:.0f}", f"{off.median:.0f}"]
                lines.append([f"{title}, {unit}", *figures, f"{ratio.median:.3f} ({ratio.low:.3f}..{ratio.high:.3f})"])
        on, off = self.refresh.spread("on"), self.refresh.spread("off")
        lines.append(["refresh after these, CPU us a row", f"{on.median:.1f}", f"{off.median:.1f}", ""])
        shown = measure.table(["call", "search on", "off", "on / off"], lines)
        return f"{shown}\n\nThe filler from the queue, a turn: {self.queued.json()}"

    def json(self) -> dict[str, Any]:
        """Return the samples for the RESULT line."""
        both = {"cpu_us": self.cpu, "wal_bytes": self.wal}
        return {
            unit: {row: {side: each.spread(side).json(1) for side in ("on", "off")} for row, each in samples.items()}
            for unit, samples in both.items()
        } | {"queued": self.queued.json()}


def compare_writes(server: Postgres, rounds: int) -> Writes:
    """Write to both databases in turn, then refresh and fill."""
    cpu: dict[str, measure.Samples] = {}
    wal: dict[str, measure.Samples] = {}
    refresh = measure.Samples()
    with ExitStack() as stack:
        sides = {name: stack.enter_context(_side(server, name)) for name in ("off", "on")}
        for side in sides.values():
            side.fill()
        fill(server, "search_on", "first words")
        for row, title in ROWS.items():
            calls = {name: getattr(side, row) for name, side in sides.items()}
            for name, side in sides.items():
                side.microseconds(calls[name], 50)
            cpu[row] = measure.alternate(
                {name: partial(side.microseconds, calls[name], BLOCK) for name, side in sides.items()},
                rounds,
                title=title,
                unit="us",
            )
            wal[row] = measure.alternate(
                {name: partial(side.wal_bytes, calls[name], BLOCK) for name, side in sides.items()},
                max(rounds // 10, 3),
                title=f"WAL of {title}",
                unit="bytes",
            )
            for name, side in sides.items():
                refresh.add(name, side.microseconds(side.refresh, 1) / (rounds * BLOCK))
        queued = fill(server, "search_on", "queued turns")
    for name in sides:
        with server.admin() as other:
            drop_database(other, f"search_{name}")
    return Writes(cpu, wal, refresh, queued)


@contextmanager
def _side(server: Postgres, name: str) -> Iterator[Side]:
    """Make a database in which the search is on or off. Yield the side that calls it."""
    database = f"search_{name}"
    with server.admin() as admin:
        drop_database(admin, database)
        create_database(admin, database)
        migrate(server.direct_url(database))
        set_app_login(admin, "")
    if name == "off":
        switch_off(server, database)
    url = server.address.url(APP, "", database)
    with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
        yield Side(connection)
