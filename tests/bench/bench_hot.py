"""A warm request: handler(event, context) compared with its floor, the bare psycopg call of the same SQL function.

make bench WHAT=hot                  ROUNDS=40 REQUESTS=20000 OUTPUT=file SERVER=tls|embedded
make bench WHAT=hot PROFILE=1        also a profile of the time, sampled by py-spy
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import psycopg

from tests.bench import measure, texts
from tests.bench.relay import Relay
from tests.bench.resident import resident
from tests.bench.servers import available_kind, calibrate_servers, migrated_server, relay_before
from tests.bench.warm_requests import ROWS, TITLES, Contenders, Request, contenders, fill, refresh
from tests.bench.where_time_goes import print_table
from tests.support.servers.databases import Database

BLOCK = 10
DELAY = 0.001
WARM_UP = 50
MOST_OVER_FLOOR = {"_1ms": 1.25, "": 1.6}
MOST_GROWTH = 1.02
MOST_MEMORY = 1.35


def main() -> None:
    """Run the benchmark and print its tables and its RESULT line."""
    parser = measure.arguments(str(__doc__), rounds=40)
    parser.add_argument("--requests", type=int, default=int(os.environ.get("REQUESTS") or 20_000))
    options = parser.parse_args()
    kind = available_kind()
    ratios: dict[str, Any] = {}
    facts: dict[str, Any] = {}
    with (
        migrated_server(kind) as template,
        template.clone(kind) as database,
        relay_before(template) as (relay, there),
        # The log of the handlers, with one write per line as in Lambda.
        tempfile.NamedTemporaryFile("w", buffering=1) as log,
    ):
        fill(database)
        facts["machine"] = measure.machine(postgresql=_version(database), psycopg=psycopg.__version__)
        facts["server"] = f"{kind}, fsync off"
        facts["texts"] = "real" if texts.are_real() else "made"
        far = template.app_url(database.name, there)
        facts["added_milliseconds"] = round(calibrate_servers(relay, DELAY, database.app_url, far) * 1000, 3)
        for suffix, url in (("_1ms", far), ("", database.app_url)):
            with contenders(url) as both, redirect_stdout(log):
                if suffix:
                    ratios |= _round_trips(both, relay)
                samples = {}
                for row in ROWS:
                    if row == "stats":
                        # The rows before have written thousands of turns, so refresh before /stats is measured.
                        refresh(database.app_url)
                    samples[row] = _compare(row, both, options.rounds, suffix)
            _print_times(samples, suffix, facts["added_milliseconds"])
            ratios |= {f"{row}_over_floor{suffix}": samples[row].ratio("ours", "floor").median for row in ROWS}
            facts[f"milliseconds{suffix}"] = {
                row: {name: samples[row].spread(name).json() for name in ("ours", "floor")} for row in ROWS
            }
        memory = resident(database.app_url, options.requests)
        if os.environ.get("PROFILE"):
            print_table(database.app_url)
    ratios["rss_growth"] = memory["ours"][-1] / memory["ours"][0]
    ratios["rss_over_floor"] = memory["ours"][-1] / memory["floor"][-1]
    _print_memory(memory, ratios)
    print("\nRound trips a request: " + ", ".join(f"{row} {ratios[f'{row}_round_trips']:g}" for row in ROWS))
    rounded = {name: round(value, 3) for name, value in ratios.items()}
    runs = {"rounds": options.rounds, "block": BLOCK, "requests": options.requests}
    measure.report("hot", rounded, options.output, runs=runs, **facts)


def _compare(row: str, both: Contenders, rounds: int, suffix: str) -> measure.Samples:
    """Return milliseconds per request. A sample is the median of a block, and blocks of the two sides alternate."""
    for _ in range(WARM_UP):
        both.ours[row]()
        both.floor[row]()
    ours, floor = partial(_block, both.ours[row]), partial(_block, both.floor[row])
    return measure.alternate({"ours": ours, "floor": floor}, rounds, title=f"{row}{suffix}")


def _block(request: Request) -> float:
    return statistics.median(_milliseconds(request) for _ in range(BLOCK))


def _milliseconds(request: Request) -> float:
    started = time.perf_counter()
    request()
    return (time.perf_counter() - started) * 1000


def _round_trips(both: Contenders, relay: Relay) -> dict[str, float]:
    counted = {}
    for row in ROWS:
        both.ours[row]()
        before = relay.counted().round_trips
        for _ in range(BLOCK):
            both.ours[row]()
        counted[f"{row}_round_trips"] = (relay.counted().round_trips - before) / BLOCK
    return counted


def _version(database: Database) -> str:
    with database.admin() as admin:
        return str(admin.execute("show server_version").fetchone()[0])  # type: ignore[index]  # it has a row


def _print_times(samples: dict[str, measure.Samples], suffix: str, added: float) -> None:
    print(
        f"\n{f'A round trip takes {added:.2f} ms more' if suffix else 'Directly'}; milliseconds, median (quartiles)\n"
    )
    rows = []
    for row, taken in samples.items():
        ours, floor, ratio = taken.spread("ours"), taken.spread("floor"), taken.ratio("ours", "floor")
        between = taken.spread("ours").median - taken.spread("floor").median
        rows.append(
            [
                TITLES[row],
                f"{ours.median:.3f} ({ours.low:.3f}..{ours.high:.3f})",
                f"{floor.median:.3f} ({floor.low:.3f}..{floor.high:.3f})",
                f"{between:.3f}",
                f"{ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f})",
                measure.target(ratio.median, MOST_OVER_FLOOR[suffix]),
            ]
        )
    print(measure.table(["request", "ours", "floor", "difference", "ours / floor", "target"], rows))


def _print_memory(memory: dict[str, list[int]], ratios: dict[str, Any]) -> None:
    requests = 1000 * len(memory["ours"])
    rows = [[side, f"{seen[0] / 2**20:.1f}", f"{seen[-1] / 2**20:.1f}"] for side, seen in memory.items()]
    print(f"\nResident memory, MiB\n\n{measure.table(['process', 'after 1,000', f'after {requests:,}'], rows)}\n")
    print(f"growth {ratios['rss_growth']:.3f} ({measure.target(ratios['rss_growth'], MOST_GROWTH)}), ", end="")
    print(f"over floor {ratios['rss_over_floor']:.2f} ({measure.target(ratios['rss_over_floor'], MOST_MEMORY)})")


if __name__ == "__main__":
    main()
