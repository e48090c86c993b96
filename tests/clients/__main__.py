"""Run the tests of the clients: `python -m tests.clients [openai_agents …]`, all environments without a name.

Builds the client's wheel, installs it into the environment of each framework, starts one API as `make run` does and one
whose database loses answers, and runs the tests of each framework in its environment.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.clients.conftest import ENVIRONMENTS
from tests.clients.losing_database import losing_api
from tests.e2e.local_stack import open_folder, running

ROOT = Path(__file__).resolve().parents[2]
_RUN_SECONDS = 600.0


def main(names: list[str]) -> int:
    """Run the tests of the environments with these names, and return the exit code."""
    if unknown := set(names) - set(ENVIRONMENTS):
        print(f"{', '.join(sorted(unknown))}: not one of {', '.join(ENVIRONMENTS)}", file=sys.stderr)
        return 2
    failed = []
    with tempfile.TemporaryDirectory(prefix="rb-clients-") as folder:
        wheel = build_wheel(Path(folder))
        with open_folder() as state, running(state / "state") as api, losing_api() as losing:
            variables = {"ROBOT_BRAIN_URL": api.url}
            if losing is not None:
                variables |= {"ROBOT_BRAIN_LOSING_URL": losing.url, "ROBOT_BRAIN_LOSING_COUNT": str(losing.count)}
            for name in names or ENVIRONMENTS:
                if _run(name, variables, wheel) != 0:
                    failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def build_wheel(folder: Path) -> Path:
    """Build the client's wheel as pip builds it, and return its path."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", str(folder), str(ROOT / "clients" / "python")], check=True)
    (wheel,) = folder.glob("robot_brain_client-*.whl")
    return wheel


def _run(name: str, variables: Mapping[str, str], wheel: Path) -> int:
    """Run the tests of one environment."""
    home = ROOT / ".venv-clients" / name
    python = home / "bin" / "python" if (home / "bin" / "python").exists() else Path(sys.executable)
    if python.is_relative_to(home):
        pinned = wheel.with_suffix(".txt")
        pinned.write_text(f"{wheel} --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}\n")
        options = ["--quiet", "--no-deps", "--no-index", "--force-reinstall", "--disable-pip-version-check"]
        install = [str(python), "-m", "pip", "install", "--require-hashes", "-r", str(pinned)]
        subprocess.run([*install, *options], check=True)
    print(f"\n{name}", flush=True)
    options = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-o",
        "pythonpath=.",
        "-o",
        "addopts=--import-mode=importlib",
    ]
    return subprocess.run(
        [str(python), "-m", "pytest", *options, "--confcutdir=tests/clients", f"tests/clients/{name}"],
        cwd=ROOT,
        env={**os.environ, **variables},
        timeout=_RUN_SECONDS,
        check=False,
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
