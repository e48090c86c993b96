"""Write what was measured into docs/measured.md, between its two marks, from tests/bench/results/*.json.

python -m tests.bench.measured [--check]

With --check it changes nothing, and exits with 1 if the document does not hold the kept results.
Leaves out a benchmark without a result, and a row that a kept result does not have yet.
tests/bench/plot.py makes the pictures beside it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from local.settings import ROOT
from tests.bench.bench_peers import DOES_NOT
from tests.bench.bench_peers import TITLES as PEER_TITLES
from tests.bench.measure import table

RESULTS = ROOT / "tests" / "bench" / "results"
DOCUMENT = ROOT / "docs" / "measured.md"
BEGIN = "<!-- python -m tests.bench.measured writes what follows, from tests/bench/results/ -->"
END = "<!-- end of what it writes -->"

# By benchmark: what a ratio compares, its name in the RESULT line, and its target.
RATIOS: dict[str, list[tuple[str, str, str]]] = {
    "cold": [
        ("write / its floor: psycopg, one connection, the same SQL function, compiled", "write_over_floor", "<= 1.45"),
        ("write / the usual: HTTP resolver, psycopg_pool, boto3, not compiled", "write_over_usual", "<= 0.30"),
        ("read / its floor", "read_over_floor", "<= 1.25"),
        ("stats / its floor", "stats_over_floor", "<= 1.25"),
        ("health / a handler that only returns", "health_over_empty", "<= 1.9"),
        ("write while the database takes 500 ms to wake / those 500 ms", "both_asleep_over_wake", ""),
    ],
    "hot": [
        *(
            (f"{title} / the bare call{distance}", f"{row}_over_floor{suffix}", most)
            for suffix, distance, most in (("_1ms", ", 1 ms away", "<= 1.25"), ("", ", same machine", "<= 1.6"))
            for row, title in (
                ("write", "write a turn"),
                ("write50", "write 50 turns"),
                ("write_items", "write a turn with 4 items"),
                ("put", "replace a turn with 4 items"),
                ("replay", "replay a write"),
                ("read", "read 50 of 1,000 turns"),
                ("list", "list 20 of 100,000 sessions"),
                ("stats", "stats"),
            )
        ),
        ("network round trips of a write, and of each of the others", "write_round_trips", "1"),
        ("memory after 20,000 requests / after 1,000", "rss_growth", "<= 1.02"),
        ("memory / that of the bare calls", "rss_over_floor", "<= 1.35"),
    ],
    "scale": [
        ("write a turn: 5,000,000 turns stored / 50,000", "write_ratio", "<= 1.25"),
        ("read a session of this week: 5,000,000 / 50,000", "read_recent_ratio", "<= 1.25"),
        ("read a session 30 months old / one of this week", "read_old_over_recent", "<= 1.5"),
        ("refresh the statistics, 1,000 sessions changed: 5,000,000 / 50,000", "refresh_ratio", "<= 2"),
        ("stats: 5,000,000 / 50,000", "stats_ratio", "<= 1.25"),
        ("read a session that lost 10 % of its turns: 5,000,000 / 50,000", "read_few_lost_ratio", "<= 1.25"),
        ("read a session that lost 90 %: 5,000,000 / 50,000", "read_many_lost_ratio", "<= 1.25"),
        ("read a session that lost its newest half: 5,000,000 / 50,000", "read_tail_lost_ratio", "<= 1.25"),
        ("list the newest sessions: 5,000,000 / 50,000", "list_ratio", "<= 1.25"),
        ("list sessions 30 months old: 5,000,000 / 50,000", "list_old_ratio", "<= 1.25"),
        ("32 environments at a time / pgbench calling the same function", "throughput_over_pgbench", ""),
    ],
    "search": [
        ("slowest kind of query but phrases, p50 in ms", "p50_most", "<= 10"),
        ("slowest kind of query, p99 in ms", "p99_most", "<= 100"),
        ("slowest growth of a p50: 5,000,000 turns / 50,000", "p50_over_small", "<= 2"),
        ("small tenant: a common word / a rare one", "small_tenant_common_over_rare", "<= 2"),
        ("the filler, CPU microseconds a turn", "filler_us", "<= 120"),
        ("the filler, its longest call in ms", "filler_longest_ms", "<= 1000"),
        ("write a turn, the search on / off", "write_on_over_off", "<= 1.03"),
        ("write 50 turns, the search on / off", "write50_on_over_off", "<= 1.03"),
        ("WAL of a turn, the search on / off", "write_wal_on_over_off", "<= 1.05"),
        ("WAL of 50 turns, the search on / off", "write50_wal_on_over_off", "<= 1.05"),
    ],
}
TITLES = {
    "cold": "A cold start",
    "hot": "A warm request",
    "scale": "Years of talk",
    "search": "A search",
    "peers": "Beside four stores of chats from PyPI",
}
_PEERS_NOTE = """\
Our figure is that of the whole handler, from the event to the answer.
The others' figures are those of their documented calls.
The `put` of langgraph gets a state that the caller kept in memory; langgraph-get reads that state first.
On the same machine langchain-postgres appends faster than Robot Brain: it does less."""


def measured(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the part between the marks."""
    parts = []
    for name, ratios in RATIOS.items():
        if name not in results:
            continue
        result = results[name]
        rows = [[what, f"{result[key]:.2f}", goal] for what, key, goal in ratios if key in result]
        shown = table(["what is compared, medians", "ratio", "goal"], rows)
        parts.append("\n\n".join(part for part in (_heading(name, result), shown, _picture(name)) if part))
    if "peers" in results:
        result = results["peers"]
        contenders = list(next(iter(result["milliseconds"].values())))
        rows = [
            [
                f"{title}{distance}",
                *(f"{result[f'milliseconds{suffix}'][row][each]['median']:.2f}" for each in contenders),
            ]
            for suffix, distance in (("_1ms", ", 1 ms away"), ("", ", same machine"))
            for row, title in PEER_TITLES.items()
            if row != "import" or not suffix
        ]
        shown = table(["milliseconds, medians", *contenders], rows)
        headings = ["", "idempotency", "tenants", "validation", "reads the last n alone", "an append is", "round trips"]
        trips = result["round_trips"]["append1000"]
        shown += "\n\n" + table(headings, [[*row, f"{trips[row[0]]:g}"] for row in DOES_NOT])
        parts.append(f"{_heading('peers', result)}\n\n{_PEERS_NOTE}\n\n{shown}\n\n{_picture('peers')}")
    return "\n\n".join(parts)


def _heading(name: str, result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"## {TITLES[name]}\n\n`make bench WHAT={name}`: "
        f"{machine['cores']} cores of {machine['cpu']}, PostgreSQL {str(machine['postgresql']).split()[0]}, "
        f"Python {machine['python']}, {machine['date']}."
    )


def _picture(name: str) -> str:
    """Return the benchmark's picture, or nothing if the picture is missing."""
    if not (RESULTS.parent / "plots" / f"{name}.svg").exists():
        return ""
    return f"![{TITLES[name]}](../tests/bench/plots/{name}.svg)"


def results() -> dict[str, Any]:
    """Return the results that are kept, by the name of their benchmark."""
    return {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}


def main(arguments: list[str]) -> int:
    """Rewrite docs/measured.md, or check it. Return the exit code."""
    old = DOCUMENT.read_text()
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    if not after:
        raise SystemExit(f"docs/measured.md must hold the marks {BEGIN} and {END}")
    new = f"{before}{BEGIN}\n\n{measured(results())}\n\n{END}{after}"
    if "--check" in arguments:
        return int(new != old)
    DOCUMENT.write_text(new)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
