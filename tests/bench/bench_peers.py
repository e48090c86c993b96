"""The alternatives: four chat stores from PyPI, by their documented calls, compared with our whole handlers.

    make bench WHAT=peers                ROUNDS=30 OUTPUT=file

Each contender is a process of its own that keeps its connection. All have databases on one embedded PostgreSQL. They
reach it through a relay that adds a millisecond to each round trip, and directly over a unix socket.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

from local.settings import ROOT
from tests.bench import measure, texts
from tests.bench.relay import Relay
from tests.bench.servers import calibrate_servers, migrated_server, relay_before
from tests.support.servers.databases import create_database

OURS = "robot-brain"
DELAY = 0.001
BLOCK = 5
TITLES = {
    "append20": "append a turn to 20",
    "append1000": "append a turn to 1,000",
    "read20": "read the last 20 turns of 1,000",
    "import": "cold import",
}
# The target of the best peer's time over ours at 1 ms: at least this, or more than 1 for None. Above 1 we are faster.
LEAST = {"append20": None, "append1000": 2.0, "read20": 2.0, "import": None}
PEERS = {
    "langchain-postgres": """import psycopg; from langchain_core.messages import AIMessage, HumanMessage
from langchain_postgres import PostgresChatMessageHistory""",
    "openai-agents": """from agents.extensions.memory import SQLAlchemySession
from sqlalchemy.ext.asyncio import create_async_engine; import asyncpg""",
    "langgraph": """from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint; from langgraph.checkpoint.postgres import PostgresSaver""",
    "langgraph-get": """from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.base import empty_checkpoint; from langgraph.checkpoint.postgres import PostgresSaver""",
    "llama-index": """from llama_index.core.llms import ChatMessage
from llama_index.storage.chat_store.postgres import PostgresChatStore; import psycopg""",
}
IMPORTS = {OURS: "import write_message, read_session", **PEERS}
DOES_NOT = [
    [OURS, "yes", "yes, forced by row-level security", "types, sizes, characters", "yes", "one turn more, at once"],
    ["langchain-postgres", "no", "no", "types", "no: all are read", "one row a message"],
    ["openai-agents", "no", "no", "no", "yes", "two rows, under a lock on the session"],
    ["langgraph", "by checkpoint, not by turn", "no", "no", "no: all are read", "everything again, kept in memory"],
    [
        "langgraph-get",
        "by checkpoint, not by turn",
        "no",
        "no",
        "no: all are read",
        "everything read and written again",
    ],
    ["llama-index", "no", "no", "types", "no: all are read", "one array, rewritten twice"],
]


class Worker:
    """A contender's process."""

    def __init__(self, name: str) -> None:
        """Start the process. It imports its packages and connects when `connect` is called."""
        module = ["tests.bench.ours"] if name == OURS else ["tests.bench.peers", name]
        self._name = name
        self._process = subprocess.Popen(
            [python_of(name), "-m", *module],
            cwd=ROOT,
            env=environment_of(name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def connect(self, url: str) -> None:
        """Connect to `url`. The first time also make the tables and the sessions."""
        self._ask({"connect": url})

    def milliseconds(self, row: str, times: int = BLOCK) -> float:
        """Do the row's work `times` times and return the median."""
        return statistics.median(self._ask({"do": row, "times": times}))

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()

    def _ask(self, request: dict[str, Any]) -> list[float]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("a worker was started without pipes")
        stdin.write(json.dumps(request) + "\n")
        stdin.flush()
        line = stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended with {self._process.wait(10)}")
        answer: list[float] = json.loads(line)
        return answer


def python_of(name: str) -> str:
    """Return the interpreter that has a contender's packages."""
    return sys.executable if name == OURS else str(ROOT / ".venv-peers/bin/python")


def environment_of(name: str) -> dict[str, str]:
    """Return a contender's environment, which switches the telemetry of the peers off."""
    quiet = {"LANGSMITH_TRACING": "false", "OPENAI_AGENTS_DISABLE_TRACING": "1", "DO_NOT_TRACK": "1"}
    paths = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/robot_brain", "."))
    path = {"PYTHONPATH": paths} if name == OURS else quiet
    return {"PATH": os.environ.get("PATH", os.defpath), "HOME": os.environ.get("HOME", "/"), **path}


def main() -> None:
    """Run the benchmark and print its tables and its RESULT line."""
    options = measure.arguments(str(__doc__), rounds=30).parse_args()
    ratios: dict[str, float] = {}
    facts: dict[str, Any] = {"texts": "real" if texts.are_real() else "made", "server": "embedded, fsync off"}
    with ExitStack() as stack:
        template = stack.enter_context(migrated_server("embedded"))
        database = stack.enter_context(template.clone("embedded"))
        relay, there = stack.enter_context(relay_before(template))
        server = template.postgres
        near = {OURS: database.app_url}
        far = {OURS: template.app_url(database.name, there)}
        with server.admin() as admin:
            version = str(admin.execute("show server_version").fetchone()[0])  # type: ignore[index]  # it has a row
            for number, name in enumerate(PEERS):
                # As superuser, so that the server skips checks of rights for the peers.
                create_database(admin, f"peer_{number}")
                near[name] = server.admin_url(f"peer_{number}")
                far[name] = there.url("postgres", "", f"peer_{number}")
        facts["machine"] = measure.machine(postgresql=version)
        workers = stack.enter_context(_workers())
        for name in _filling(workers):
            workers[name].connect(near[name])
        facts["added_milliseconds"] = round(calibrate_servers(relay, DELAY, database.app_url, far[OURS]) * 1000, 3)
        for suffix, urls in (("_1ms", far), ("", near)):
            for name, worker in workers.items():
                worker.connect(urls[name])
            if suffix:
                facts["round_trips"] = {row: _round_trips(relay, workers, row) for row in TITLES if row != "import"}
            samples = {row: _samples(row, workers, options.rounds, suffix) for row in TITLES}
            best = {row: _best(taken) for row, taken in samples.items()}
            _print_times(samples, best, suffix, facts["added_milliseconds"])
            ratios |= {f"{row}_best_peer_over_ours{suffix}": ratio.median for row, (_, ratio) in best.items()}
            facts[f"milliseconds{suffix}"] = {
                row: {name: taken.spread(name).json() for name in workers} for row, taken in samples.items()
            }
    _print_differences(facts["round_trips"])
    runs = {"rounds": options.rounds, "block": BLOCK}
    measure.report("peers", {n: round(v, 3) for n, v in ratios.items()}, options.output, runs=runs, **facts)


def _filling(workers: dict[str, Worker]) -> Iterator[str]:
    """Yield the contenders to fill, and show the progress."""
    progress = measure.Progress(len(workers), "filling")
    for name in workers:
        progress.step(name, 0)
        yield name
        progress.step(name)
    progress.end()


@contextmanager
def _workers() -> Iterator[dict[str, Worker]]:
    started = {name: Worker(name) for name in (OURS, *PEERS)}
    try:
        yield started
    finally:
        for worker in started.values():
            worker.close()


def _samples(row: str, workers: dict[str, Worker], rounds: int, suffix: str) -> measure.Samples:
    title = f"{row}{suffix}"
    if row == "import":
        # Each import takes a new process, so a third of the rounds must do.
        return measure.alternate({name: partial(_import, name) for name in workers}, max(3, rounds // 3), title=title)
    for worker in workers.values():
        worker.milliseconds(row)
    contenders = {name: partial(worker.milliseconds, row) for name, worker in workers.items()}
    return measure.alternate(contenders, rounds, title=title)


def _import(name: str) -> float:
    code = f"import time; s = time.perf_counter()\n{IMPORTS[name]}\nprint((time.perf_counter() - s) * 1000)"
    command = [python_of(name), "-c", code]
    done = subprocess.run(command, env=environment_of(name), cwd=ROOT, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _round_trips(relay: Relay, workers: dict[str, Worker], row: str) -> dict[str, float]:
    counted = {}
    for name, worker in workers.items():
        worker.milliseconds(row, 1)
        before = relay.counted().round_trips
        worker.milliseconds(row, 10)
        counted[name] = (relay.counted().round_trips - before) / 10
    return counted


def _best(taken: measure.Samples) -> tuple[str, measure.Spread]:
    """Return the peer with the least median, and its time over ours."""
    name = min(PEERS, key=lambda peer: taken.spread(peer).median)
    return name, taken.ratio(name, OURS)


def _print_times(
    samples: dict[str, measure.Samples], best: dict[str, tuple[str, measure.Spread]], suffix: str, added: float
) -> None:
    print(
        f"\n{f'A round trip takes {added:.2f} ms more' if suffix else 'Directly'}; milliseconds, median (quartiles)\n"
    )
    names = [OURS, *PEERS]
    rows = []
    for row, taken in samples.items():
        spreads = [taken.spread(name) for name in names]
        name, ratio = best[row]
        verdict = "we are slower" if ratio.median < 1 else ""
        if suffix:
            verdict = _verdict(round(ratio.median, 2), LEAST[row])
        rows.append(
            [
                TITLES[row],
                *(f"{each.median:.2f} ({each.low:.2f}..{each.high:.2f})" for each in spreads),
                f"{ratio.median:.2f} ({ratio.low:.2f}..{ratio.high:.2f}), {name}",
                verdict,
            ]
        )
    print(measure.table(["", *names, "best peer / ours", "target" if suffix else ""], rows))


def _verdict(ratio: float, least: float | None) -> str:
    """Return whether a printed ratio meets its target: at least `least`, or more than 1 without it."""
    met = ratio > 1 if least is None else ratio >= least
    return f"{'> 1' if least is None else f'>= {least:g}'}: {'met' if met else 'MISSED'}"


def _print_differences(round_trips: dict[str, dict[str, float]]) -> None:
    headings = ["", "idempotency", "tenants", "validation", "reads the last n alone", "an append is"]
    headings += [f"round trips: {row}" for row in round_trips]
    rows = [[*row, *(f"{each[row[0]]:g}" for each in round_trips.values())] for row in DOES_NOT]
    print(f"\n{measure.table(headings, rows)}\n")


if __name__ == "__main__":
    main()
