"""Run the tests of the clients: `python -m tests.clients [openai_agents …]`, all environments without a name.

Builds the client's wheel and installs it into the environment of each framework. Three environments at once run their
tests, each with an API of its own as `make run` starts it, and all with one API whose database loses answers.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.clients.conftest import ENVIRONMENTS
from tests.clients.losing_database import LosingApi, losing_api
from tests.e2e.local_stack import open_folder, running

ROOT = Path(__file__).resolve().parents[2]
_RUN_SECONDS = 900.0
_AT_ONCE = 3


def main(names: list[str]) -> int:
    """Run the tests of the environments with these names, and return the exit code."""
    if unknown := set(names) - set(ENVIRONMENTS):
        print(f"{', '.join(sorted(unknown))}: not one of {', '.join(ENVIRONMENTS)}", file=sys.stderr)
        return 2
    failed = []
    with tempfile.TemporaryDirectory(prefix="rb-clients-") as folder:
        wheel = build_wheel(Path(folder))
        with losing_api() as losing, ThreadPoolExecutor(_AT_ONCE) as threads:
            runs = {threads.submit(_run, name, losing, wheel): name for name in names or ENVIRONMENTS}
            for run in as_completed(runs):
                print(f"\n{runs[run]}\n{run.result().stdout}", flush=True)
                if run.result().returncode != 0:
                    failed.append(runs[run])
    if losing is not None:
        print(f"answers that the database lost: {losing.lost}")
        if not losing.lost and set(names or ENVIRONMENTS) != {"schemathesis"}:
            failed.append("the database lost no answer")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def build_wheel(folder: Path) -> Path:
    """Build the client's wheel as pip builds it, and return its path."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT / "clients" / "python")], check=True)
    (wheel,) = folder.glob("robot_brain_client-*.whl")
    return wheel


def _run(name: str, losing: LosingApi | None, wheel: Path) -> subprocess.CompletedProcess[str]:
    """Run the tests of one environment, and return what they printed."""
    home = ROOT / ".venv-clients" / name
    python = home / "bin" / "python" if (home / "bin" / "python").exists() else Path(sys.executable)
    if python.is_relative_to(home):
        pinned = wheel.with_suffix(f".{name}.txt")
        pinned.write_text(f"{wheel} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        options = ["--quiet", "--no-deps", "--no-index", "--force-reinstall", "--disable-pip-version-check"]
        install = [str(python), "-m", "pip", "install", "--require-hashes", "-r", str(pinned)]
        subprocess.run([*install, *options], check=True)
    # The settings of the project are for the tests in its own environment.
    options = ["-q", "-ra", "-p", "no:cacheprovider", "-o", "pythonpath=.", "-o", "addopts=--import-mode=importlib"]
    with open_folder() as state, running(state / "state") as api:
        variables = {"ROBOT_BRAIN_URL": api.url}
        if losing is not None:
            variables["ROBOT_BRAIN_LOSING_URL"] = losing.url
        return subprocess.run(
            [str(python), "-m", "pytest", *options, "--confcutdir=tests/clients", f"tests/clients/{name}"],
            cwd=ROOT,
            env={**os.environ, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_RUN_SECONDS,
            check=False,
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
