"""A profile of warm requests: py-spy samples a process that makes them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from local.settings import ROOT
from tests.bench import measure, warm_requests

REQUESTS = 3000
_PY_SPY = ["record", "--rate", "1000", "--nonblocking", "--idle", "--format", "raw"]
# The first part that is found in a stack counts.
PLACES = {
    "telemetry.py": "log and metrics",
    "psycopg": "psycopg and the database",
    "connection.py": "is the connection fresh?",
    "bodies": "validation",
    "json_body.py": "parsing the body",
    "robot_brain": "the edge, and the rest",
    "functions/": "the edge, and the rest",
}


def print_table(database_url: str) -> None:
    """Profile our handlers, one row after the other, and print the microseconds per request by place."""
    progress = measure.Progress(len(warm_requests.ROWS), "profile")
    taken = {}
    for row in warm_requests.ROWS:
        taken[row] = _profile(database_url, row)
        progress.step(row)
    progress.end()
    places = list(dict.fromkeys(PLACES.values()))
    table = [[place, *(f"{taken[row][place]:.0f}" for row in warm_requests.ROWS)] for place in places]
    table.append(["all", *(f"{sum(taken[row].values()):.0f}" for row in warm_requests.ROWS)])
    print(f"\nOur time by place, microseconds per request (py-spy, mean)\n\n{measure.table(['', *taken], table)}")


def _profile(database_url: str, row: str) -> dict[str, float]:
    """Return the microseconds per request in each place."""
    events = json.dumps(warm_requests.events("profiled"))
    path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/robot_brain"))
    settings = {"DATABASE_URL": database_url, "TENANT_ID": "local", "AUTH": warm_requests.AUTH}
    environment = {**os.environ, **settings, "PYTHONPATH": path}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.warm_process", "ours", str(10 * REQUESTS), row],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "stacks"
            stdin, stdout = process.stdin, process.stdout
            if stdin is None or stdout is None:
                raise RuntimeError("the process was started without pipes")
            stdin.write(events + "\n")
            stdin.flush()
            # The process is warm after the first thousand requests.
            stdout.readline()
            spy = [str(Path(sys.executable).parent / "py-spy"), *_PY_SPY, "--output", str(output), "--pid"]
            with subprocess.Popen(
                [*spy, str(process.pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as spying:
                time.sleep(1)
                started = time.perf_counter()
                stdin.write("go on\n" * (REQUESTS // 1000))
                stdin.flush()
                for _ in range(REQUESTS // 1000):
                    stdout.readline()
                seconds = time.perf_counter() - started
                process.kill()
                spying.wait(60)
            seen = _places(output.read_text())
    finally:
        process.kill()
        process.communicate()
    return {place: seen[place] / seen.total() * seconds / REQUESTS * 1e6 for place in PLACES.values()}


def _places(stacks: str) -> Counter[str]:
    """Count samples by place. Samples outside a request are left out."""
    found: Counter[str] = Counter()
    for line in stacks.splitlines():
        stack, _, number = line.rpartition(" ")
        place = next((place for part, place in PLACES.items() if part in stack), None)
        if place is not None:
            found[place] += int(number)
    return found
