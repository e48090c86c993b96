"""`make run` and `make invoke` as processes, the way a user starts them."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.waiting import PATIENCE_SECONDS, wait_until

ROOT = Path(__file__).resolve().parents[2]

# What a developer's shell may set and a test must not inherit.
_UNWANTED = (
    "DB_",
    "DATABASE_",
    "DIRECT_",
    "POWERTOOLS_",
    "TENANT_ID",
    "PORT",
    "FREEZE",
    "LOG",
    "STATE",
    "SCALE_TO_ZERO",
)


@dataclass(frozen=True)
class Stack:
    """A running local stack: its process, the API's address, its state folder, and the file with what it printed."""

    process: "subprocess.Popen[str]"
    url: str
    state: Path
    output: Path

    def invoke(self, function: str, event: str) -> Any:
        """Run one event through one function on the same database and return its response."""
        invoked = command("local.invoke", self.state, function, event)
        output, log = invoked.communicate(timeout=PATIENCE_SECONDS)
        assert invoked.returncode == 0, log
        return json.loads(output)


def environment(state: Path, **variables: str) -> dict[str, str]:
    """Return a command's environment: this one without what would reach the functions, any port, and `state`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)}
    return {**kept, "STATE": str(state), "PORT": "0", "PYTHONUNBUFFERED": "1", **variables}


def command(module: str, state: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start a command of `local/` with its output in pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=environment(state, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


@contextmanager
def running(state: Path, **variables: str) -> Iterator[Stack]:
    """Run the local stack; it must end with exit code 0 after SIGTERM.

    What it prints goes to a file: a pipe that nobody reads would stop it after some hundred access lines.
    """
    state.mkdir(exist_ok=True)
    output = state / "printed.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.serve"],
            cwd=ROOT,
            env=environment(state, **variables),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
    try:
        yield Stack(process, _url(process, output), state, output)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE_SECONDS) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


def _url(process: "subprocess.Popen[str]", output: Path) -> str:
    found: list[str] = []

    def is_ready_or_has_ended() -> bool:
        ended = process.poll() is not None
        found.extend(re.findall(r"ready on (http://127\.0\.0\.1:\d+)", output.read_text()))
        return bool(found) or ended

    wait_until(is_ready_or_has_ended, output.read_text)
    assert found, f"the local stack did not become ready:\n{output.read_text()}"
    return found[0]
