"""Many execution environments at a time through PgBouncer, compared with pgbench on the same SQL functions."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.settings import ROOT

TURN = json.dumps(
    [{"robot_personality": "barista", "user_message": "x" * 60, "robot_response": "y" * 300, "metadata": {}}]
)
# The calls of the handlers, with a new id for each write.
SCRIPTS = {
    "write_message": f"""
\\set session random(1, 500)
select body, replayed from robot_brain_api.write_message(
  'local', 'write-' || :session, '{TURN}', null, null, null, gen_random_uuid(), false);
""",
    "read_session": """
\\set session random(1, 200)
select body, etag from robot_brain_api.read_session('local', 'recent-' || :session, 50, null, null, null, '{}');
""",
}


@dataclass(frozen=True)
class Load:
    """What one contender did in one round."""

    per_second: float
    p50: float
    p99: float
    requests: int
    failed: tuple[str, ...]
    # Milliseconds of processor time per request in the environments, or 0 if not measured.
    cpu: float

    @classmethod
    def of(cls, milliseconds: Sequence[float], seconds: float, failed: Sequence[str], cpu: float = 0) -> Load:
        """Return the load of a round of `seconds`, from the milliseconds of each request."""
        ordered = sorted(milliseconds)
        count = len(ordered)
        return cls(count / seconds, ordered[count // 2], ordered[int(count * 0.99)], count, tuple(failed), cpu)


class Environments:
    """Processes that each serve one request at a time, as Lambda's execution environments do."""

    def __init__(self, processes: Sequence[subprocess.Popen[str]]) -> None:
        self._processes = processes

    def run(self, function: str, seconds: float) -> Load:
        """Let all processes call `function` for `seconds`."""
        chance = random.Random(0)
        for process in self._processes:
            assert process.stdin is not None
            request = {"function": function, "seconds": seconds, "seed": chance.randrange(2**31)}
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        milliseconds: list[float] = []
        failed: list[str] = []
        cpu: list[float] = []
        for process in self._processes:
            assert process.stdout is not None
            answer = json.loads(process.stdout.readline())
            milliseconds += answer["milliseconds"]
            failed += answer["failed"]
            cpu.append(answer["cpu"])
        return Load.of(milliseconds, seconds, failed, sum(cpu) / len(cpu))


@contextmanager
def environments(number: int, database_url: str) -> Iterator[Environments]:
    """Start `number` execution environments on `database_url`, each with its handlers imported, and end them."""
    variables = {
        **os.environ,
        "DATABASE_URL": database_url,
        "DB_IDLE_TIMEOUT": "600000",
        "AUTH": "none",
        "PYTHONPATH": os.pathsep.join(str(ROOT / path) for path in ("functions", "layers/robot_brain", ".")),
    }
    with ExitStack() as stack:
        processes = []
        for _ in range(number):
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.bench.scale_environment"],
                cwd=ROOT,
                env=variables,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.callback(_end, process)
            processes.append(process)
        started = Environments(processes)
        # The first call imports, connects and plans.
        started.run("write_message", 2)
        started.run("read_session", 1)
        yield started


def pgbench(program: Path, database_url: str, function: str, clients: int, seconds: int) -> Load:
    """Let pgbench call a function from `clients` connections for `seconds`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        script = folder / f"{function}.sql"
        script.write_text(SCRIPTS[function])
        command = [program, "--no-vacuum", "--protocol=extended", f"--client={clients}", "--jobs=2"]
        options = [f"--time={seconds}", "--log", f"--log-prefix={folder}/log", f"--file={script}", database_url]
        done = subprocess.run(
            [str(word) for word in (*command, *options)],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"pgbench ended with {done.returncode}: {done.stderr}")
        # A line per transaction: client, number, microseconds, script, and the time of its end.
        logs = (line.split() for log in folder.glob("log.*") for line in log.read_text().splitlines())
        return Load.of([int(line[2]) / 1000 for line in logs], seconds, ())


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
