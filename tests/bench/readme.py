"""Write the results into README.md between its two marks, from tests/bench/results/*.json.

python -m tests.bench.readme

A benchmark without a result is left out. tests/bench/plot.py makes the pictures.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.bench.bench_peers import DOES_NOT
from tests.bench.measure import table

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "tests" / "bench" / "results"
BEGIN, END = "<!-- measured: make bench, then python -m tests.bench.readme -->", "<!-- end of measured -->"

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
                ("replay", "replay a write"),
                ("read", "read 50 of 1,000 turns"),
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
        ("32 environments at a time / pgbench calling the same function", "throughput_over_pgbench", ""),
    ],
}
TITLES = {"cold": "A cold start", "hot": "A warm request", "scale": "Years of talk"}
PEER_ROWS = {
    "append20": "append a turn to 20",
    "append1000": "append a turn to 1,000",
    "read20": "read the last 20 turns of 1,000",
    "import": "cold import",
}


def measured(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the README's part between the marks."""
    parts = []
    for name, ratios in RATIOS.items():
        if name not in results:
            continue
        result = results[name]
        rows = [[what, f"{result[key]:.2f}", goal] for what, key, goal in ratios]
        shown = table(["what is compared, medians", "ratio", "goal"], rows)
        parts.append(
            f"**{TITLES[name]}** (`make bench WHAT={name}`; {_machine(result)})\n\n{shown}\n\n{_picture(name)}"
        )
    if "peers" in results:
        result = results["peers"]
        contenders = list(next(iter(result["milliseconds"].values())))
        rows = [
            [
                f"{title}{distance}",
                *(f"{result[f'milliseconds{suffix}'][row][each]['median']:.2f}" for each in contenders),
            ]
            for suffix, distance in (("_1ms", ", 1 ms away"), ("", ", same machine"))
            for row, title in PEER_ROWS.items()
            if row != "import" or not suffix
        ]
        shown = table(["milliseconds, medians", *contenders], rows)
        headings = ["", "idempotency", "tenants", "validation", "reads the last n alone", "an append is", "round trips"]
        trips = result["round_trips"]["append1000"]
        shown += "\n\n" + table(headings, [[*row, f"{trips[row[0]]:g}"] for row in DOES_NOT])
        parts.append(
            f"**Beside four stores of chats from PyPI** (`make bench WHAT=peers`; {_machine(result)})\n\n{shown}\n\n"
            "Ours is the whole handler, from the event to the answer; theirs are their documented calls. langgraph's\n"
            "`put` is handed a state that the caller kept in memory, langgraph-get reads it first. Without a network\n"
            "between client and server, langchain-postgres appends faster, because it does less.\n\n"
            f"{_picture('peers')}"
        )
    return "\n\n".join(parts)


def _machine(result: Mapping[str, Any]) -> str:
    machine = result["machine"]
    return (
        f"{machine['cores']} cores of {machine['cpu']}, PostgreSQL {str(machine['postgresql']).split()[0]}, "
        f"Python {machine['python']}, {machine['date']}"
    )


def _picture(name: str) -> str:
    return f"![{TITLES.get(name, 'Beside others')}](tests/bench/plots/{name}.svg)"


def main() -> None:
    """Rewrite the README."""
    results = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    if not rest or not after:
        raise SystemExit(f"README.md must hold the marks {BEGIN} and {END}")
    readme.write_text(f"{before}{BEGIN}\n\n{measured(results)}\n\n{END}{after}")


if __name__ == "__main__":
    main()
