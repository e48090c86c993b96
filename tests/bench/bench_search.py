"""make bench WHAT=search: the latency of a search in 5,000,000 turns of 36 months, beside 50,000 and a plain statement.

The first run makes the databases and keeps them in .local/bench-search (10 GB): the filler makes their words, and is
measured. One connection to each database calls the SQL function in turn. The plain statement ranks all matches of an
expression index on the same rows. REMOVE=1 deletes the databases at the end.
"""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from local.settings import ROOT
from tests.bench.measure import Progress, arguments, machine, report, table, target
from tests.bench.scale_server import kept_postgres
from tests.bench.search_data import ensure, tenant_of
from tests.bench.search_words import CLASSES, PHRASE, percentile, queries, vocabulary
from tests.bench.search_writes import Writes, compare_writes
from tests.support.servers.databases import APP
from tests.support.servers.postgres import Postgres
from tests.support.servers.process import remove_folder

KEPT = ROOT / ".local" / "bench-search" / "data"
SMALL_TURNS = 50_000
PLAIN_EACH = 40  # one of so many queries also runs as the plain statement
PLAIN_MOST = 20_000  # milliseconds, then it is ended
MOST_P50, MOST_P99, MOST_RATIO, MOST_SMALL = 10.0, 100.0, 2.0, 2.0
MOST_FILLER, MOST_BATCH = 120.0, 1000.0
SEARCH = "select body from robot_brain_api.search(p_tenant_id => %s, p_query => %s, p_order => %s)"
_TEXT = "to_tsvector('simple', c.user_message || ' ' || c.robot_response)"
_PLAIN_INDEX = f"create index if not exists plain_words on robot_brain.conversations c using gin (({_TEXT}))".replace(
    " c using", " using"
).replace("c.", "")
_PLAIN = f"""
select c.session_id, c.seq, ts_headline('simple', c.user_message || ' ' || c.robot_response, q.query)
from (
  select c.*, ts_rank({_TEXT}, q.query) as rank
  from robot_brain.conversations c, websearch_to_tsquery('simple', %s) q (query)
  where c.tenant_id = %s and {_TEXT} @@ q.query
  order by rank desc
  limit 20
) c, websearch_to_tsquery('simple', %s) q (query)
order by c.rank desc
"""
# Rows of the second table: title, class of the words, tenant or null for any, and order.
OTHERS = (
    ("small tenant, word in > 10 %", "word in > 10 %", "small", "newest"),
    ("small tenant, rare word", "rare word", "small", "newest"),
    ("relevance, word in > 10 %", "word in > 10 %", None, "relevance"),
    ("relevance, word in 1-10 %", "word in 1-10 %", None, "relevance"),
    ("relevance, two words", "two words", None, "relevance"),
)


@dataclass
class Taken:
    """The milliseconds of each call of a row, and how many pages were complete."""

    milliseconds: list[float] = field(default_factory=list)
    complete: int = 0
    hits: int = 0

    def add(self, milliseconds: float, body: dict[str, Any]) -> None:
        """Add a call with its answer."""
        self.milliseconds.append(milliseconds)
        self.complete += body["page"]["complete"]
        self.hits += len(body["hits"])

    def json(self) -> dict[str, float]:
        """Return the figures of the row."""
        number = len(self.milliseconds)
        figures = {"p50": percentile(self.milliseconds, 0.5), "p99": percentile(self.milliseconds, 0.99)}
        figures |= {"most": max(self.milliseconds)}
        return {name: round(value, 2) for name, value in figures.items()} | {
            "calls": number,
            "complete": round(self.complete / number, 3),
            "hits": round(self.hits / number, 1),
        }


Rows = dict[str, dict[str, Taken]]


def measure(sides: dict[str, psycopg.Connection[Any]], number: int, seed: int) -> tuple[Rows, Rows]:
    """Call the search for each class on each side, in a mixed order. Return the rows of the classes and of OTHERS."""
    chance = random.Random(seed)
    found = queries(chance, vocabulary(), number)
    asks = [(name, name, text, _tenant(chance), "newest") for name in CLASSES for text in found[name]]
    for title, name, kind, order in OTHERS:
        texts = found[name][: number // 2]
        asks += [(title, name, text, _tenant(chance, kind), order) for text in texts]
    chance.shuffle(asks)
    rows: Rows = {}
    progress = Progress(len(asks), "searches")
    for count, (title, _, text, tenant, order) in enumerate(asks):
        for side in sides if count % 2 == 0 else reversed(sides):
            started = time.perf_counter()
            row = sides[side].execute(SEARCH, (tenant, text, order)).fetchone()
            milliseconds = (time.perf_counter() - started) * 1000
            assert row is not None
            if count >= 20:  # the first ones warm up
                rows.setdefault(title, {}).setdefault(side, Taken()).add(milliseconds, json.loads(row[0]))
        progress.step(title)
    progress.end()
    return {name: rows[name] for name in CLASSES}, {title: rows[title] for title, *_ in OTHERS}


def measure_plain(postgres: Postgres, name: str, number: int, seed: int) -> dict[str, list[float]]:
    """Run the plain statement for some queries of each class. A call that is ended counts as PLAIN_MOST."""
    chance = random.Random(seed)
    found = queries(chance, vocabulary(), number)
    taken: dict[str, list[float]] = {}
    progress = Progress(len(CLASSES) * (number // PLAIN_EACH), "plain statement")
    with postgres.admin(name) as admin:
        admin.execute("set maintenance_work_mem = '512MB'")
        admin.execute(_PLAIN_INDEX)
        admin.execute(f"set statement_timeout = {PLAIN_MOST}")
        for title in CLASSES:
            for text in found[title][::PLAIN_EACH]:
                started = time.perf_counter()
                try:
                    admin.execute(_PLAIN, (text, _tenant(chance), text)).fetchall()
                    taken.setdefault(title, []).append((time.perf_counter() - started) * 1000)
                except psycopg.errors.QueryCanceled:
                    taken.setdefault(title, []).append(PLAIN_MOST)
                progress.step(title)
    progress.end()
    return taken


def main() -> None:
    """Make missing databases, measure, and print the tables and the RESULT line."""
    parser = arguments(__doc__.splitlines()[0], rounds=200)
    parser.add_argument("--turns", type=int, default=int(os.environ.get("TURNS") or 5_000_000))
    parser.add_argument("--seed", type=int, default=int(os.environ.get("SEED") or 16))
    parser.add_argument("--kept", type=Path, default=KEPT, help="the folder of the databases (default: %(default)s)")
    given = parser.parse_args()
    print(f"SEED={given.seed}")
    with kept_postgres(given.kept) as (postgres, _), ExitStack() as stack:
        names, fillers = {}, {}
        for side, turns in (("small", SMALL_TURNS), ("large", given.turns)):
            names[side], fillers[side] = ensure(postgres, turns)
        sides = {}
        for side, name in names.items():
            url = postgres.address.url(APP, "", name)
            sides[side] = stack.enter_context(psycopg.connect(url, autocommit=True, prepare_threshold=None))
        rows, others = measure(sides, given.rounds, given.seed)
        plain = measure_plain(postgres, names["large"], given.rounds, given.seed)
        writes = compare_writes(postgres, max(given.rounds // 2, 5))
        with postgres.admin() as admin:
            version = str(admin.info.parameter_status("server_version"))
    ratios = _ratios(rows, others, fillers["large"], writes)
    _show(rows, others, plain, fillers["large"], writes, ratios)
    report(
        "search",
        {name: round(value, 3) for name, (value, _) in ratios.items()},
        given.output,
        runs=given.rounds,
        turns=given.turns,
        seed=given.seed,
        milliseconds={title: {side: taken.json() for side, taken in row.items()} for title, row in rows.items()},
        others={title: {side: taken.json() for side, taken in row.items()} for title, row in others.items()},
        plain={t: {"p50": percentile(each, 0.5), "p99": percentile(each, 0.99)} for t, each in plain.items()},
        filler=fillers,
        writes=writes.json(),
        machine=machine(postgresql=version, durability="fsync off"),
    )
    if os.environ.get("REMOVE"):
        remove_folder(given.kept)


def _tenant(chance: random.Random, kind: str | None = None) -> str:
    """Return a tenant: half of them big, three of ten middle, and the others small."""
    place = chance.random()
    if kind == "small" or place >= 0.8:
        return tenant_of(0.9 + chance.random() / 10)
    return "big" if place < 0.5 else "middle"


def _ratios(rows: Rows, others: Rows, filler: dict[str, float], writes: Writes) -> dict[str, tuple[float, float]]:
    """Return the figures that have a target, each with the largest allowed."""
    p50 = {title: row["large"].json()["p50"] for title, row in rows.items()}
    small = [others[title]["large"].json()["p50"] for title, *_ in OTHERS[:2]]
    return {
        "p99_most": (max(row["large"].json()["p99"] for row in rows.values()), MOST_P99),
        "p50_most": (max(value for title, value in p50.items() if title != PHRASE), MOST_P50),
        "p50_over_small": (max(p50[title] / row["small"].json()["p50"] for title, row in rows.items()), MOST_RATIO),
        "small_tenant_common_over_rare": (small[0] / small[1], MOST_SMALL),
        "filler_us": (filler["cpu_us"], MOST_FILLER),
        "filler_longest_ms": (filler["longest"], MOST_BATCH),
        **writes.ratios(),
    }


def _show(
    rows: Rows,
    others: Rows,
    plain: dict[str, list[float]],
    filler: dict[str, float],
    writes: Writes,
    ratios: dict[str, tuple[float, float]],
) -> None:
    shown = []
    for title, row in (rows | others).items():
        large, small = row["large"].json(), row["small"].json()
        cells = [f"{large['p50']:.1f} / {large['p99']:.1f} / {large['most']:.1f}", f"{small['p50']:.1f}"]
        cells += [f"{large['p50'] / small['p50']:.2f}", f"{large['complete']:.0%}", f"{large['hits']:.1f}"]
        ended = plain.get(title)
        cells.append(f"{percentile(ended, 0.5):.0f} / {percentile(ended, 0.99):.0f}" if ended else "")
        shown.append([title, *cells])
    print("\nMilliseconds of one search. A plain statement was ended after 20,000.\n")
    heads = ["query", "p50 / p99 / most", "p50 of 50,000", "ratio", "complete", "hits", "plain p50 / p99"]
    print(table(heads, shown))
    print("\nThe filler, a turn: " + ", ".join(f"{value:.0f} {name}" for name, value in filler.items()))
    print(f"\n{writes.table()}\n")
    print(table(["figure", "value", "target"], [[n, f"{v:.3f}", target(v, most)] for n, (v, most) in ratios.items()]))


if __name__ == "__main__":
    main()
