"""What the audit trail costs a PUT: calls of 8 clients of one tenant, with it and without it, in turn.

    PYTHONPATH=.:functions:layers/robot_brain python -m tests.bench.auditing      ROUNDS=9 ROUND_SECONDS=4 OUTPUT=file

pgbench makes the statement of the layer, so nearly all time is the server's. Without the trail, replace_turn lacks the
statement that appends to it. Each PUT changes a text, so each leaves an entry. As in the tests fsync is off: a server
that waits for its disk has a ratio nearer to 1. Autovacuum is off; a vacuum comes before each round.

The rows: sessions of each client's own; four sessions that all clients share; own ones while refreshes chain the
entries; whole requests through the handlers, in processes of their own; and own sessions through PgBouncer. A refresh
begins half a second after the one before, far more often than in use. ROWS= chooses some, with commas between them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from tests.bench import measure
from tests.bench.put_load import CLIENTS, HANDLERS, PutLoad, Row
from tests.support.servers.address import Address
from tests.support.servers.authority import make_authority
from tests.support.servers.binaries import MissingBinaryError, debian_pgbouncer, debian_postgres
from tests.support.servers.databases import make_template
from tests.support.servers.pgbouncer import start_pgbouncer
from tests.support.servers.postgres import Postgres, start_embedded, start_tls
from tests.support.servers.process import remove_folder, server_folder

LEAST = 0.9
SETTINGS = {"autovacuum": "off", "max_wal_size": "4GB", "shared_buffers": "256MB"}
SIDES = ("without", "with")


def main() -> None:
    """Run the benchmark and print its table and its RESULT line."""
    parser = measure.arguments(str(__doc__), rounds=9)
    seconds = int(os.environ.get("ROUND_SECONDS") or 4)
    parser.add_argument("--seconds", type=int, default=seconds, help="of a round; default: %(default)s")
    options = parser.parse_args()
    shown: list[Sequence[object]] = []
    ratios: dict[str, float] = {}
    facts: dict[str, Any] = {}
    for start in (_debian, _embedded):
        with start() as (server, pooler):
            if server is None:
                continue
            for row, (speed, cpu) in _measure(server, pooler, options.rounds, options.seconds).items():
                name = f"{row}_{server.version}"
                over, more = speed.ratio("with", "without"), cpu.ratio("with", "without")
                ratios |= {name: round(over.median, 3), f"{name}_cpu": round(more.median, 3)}
                facts[name] = {
                    unit: {side: samples.spread(side).json() for side in SIDES}
                    for unit, samples in (("per_second", speed), ("cpu_milliseconds", cpu))
                }
                target = f">= {LEAST}: {'met' if round(over.median, 3) >= LEAST else 'MISSED'}"
                cells = [f"{speed.spread(side).median:.0f}" for side in SIDES]
                cells += [f"{over.median:.3f} ({over.low:.3f}..{over.high:.3f})", target]
                cells += [f"{cpu.spread(side).median:.3f}" for side in SIDES]
                shown.append([f"{server.version}: {row}", *cells, f"{more.median:.3f}"])
    headings = ["PostgreSQL: sessions", "calls/s without", "with", "with / without", "target"]
    print(f"\nPUT by {CLIENTS} clients of one tenant, and CPU milliseconds of the server for a call: medians\n")
    print(measure.table([*headings, "CPU without", "with", "with / without"], shown))
    runs = {"rounds": options.rounds, "seconds": options.seconds, "clients": CLIENTS}
    measure.report("auditing", ratios, options.output, runs=runs, machine=measure.machine(), measured=facts)


def _measure(
    server: Postgres, pooler: Address | None, rounds: int, seconds: int
) -> dict[str, tuple[measure.Samples, measure.Samples]]:
    """Return the samples of each row, calls a second and CPU milliseconds, with the audit trail and without."""
    template = make_template(server)
    found = {}
    with template.clone("bench") as database:
        load = PutLoad(database, seconds)
        load.fill()
        url = database.app_url
        rows = {"own": Row("own", url), "shared": Row("shared", url), "refreshed": Row("own", url, refreshed=True)}
        rows["handlers"] = Row(HANDLERS, url)
        if pooler is not None:
            rows["pooled"] = Row("own", template.app_url(database.name, pooler))
        chosen = os.environ.get("ROWS") or ",".join(rows)
        for name, row in rows.items():
            if name not in chosen.split(","):
                continue
            cpu = measure.Samples()
            title = f"PostgreSQL {server.version}, {name}"
            sides = {side: partial(_take, load, row, cpu, side) for side in SIDES}
            speed = measure.alternate(sides, rounds, title=title, unit="calls/s")
            # `speed` lacks the round that does not count.
            found[name] = speed, measure.Samples({side: samples[1:] for side, samples in cpu.by_name.items()})
    return found


def _take(load: PutLoad, row: Row, cpu: measure.Samples, side: str) -> float:
    done = load.run(row, side)
    cpu.add(side, done.cpu)
    return done.per_second


@contextmanager
def _embedded() -> Iterator[tuple[Postgres, None]]:
    """Start PostgreSQL 18 from PyPI, on a unix socket."""
    server = start_embedded(18, SETTINGS)
    try:
        yield server, None
    finally:
        server.stop()


@contextmanager
def _debian() -> Iterator[tuple[Postgres | None, Address | None]]:
    """Start the distribution's PostgreSQL with TLS, and PgBouncer. Yield None if they are not installed."""
    try:
        debian_postgres(), debian_pgbouncer()
    except MissingBinaryError as missing:
        print(f"Left out: {missing}")
        yield None, None
        return
    with ExitStack() as stack:
        folder = server_folder()
        stack.callback(remove_folder, folder)
        folder.chmod(0o755)
        authority = make_authority(folder)
        server = start_tls(authority, SETTINGS)
        stack.callback(server.stop)
        pooler = start_pgbouncer(server, authority)
        stack.callback(pooler.stop)
        yield server, pooler.address


if __name__ == "__main__":
    main()
