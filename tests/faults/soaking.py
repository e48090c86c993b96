"""Run a soak in a process of its own, and read its figures."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

from local.settings import ROOT


def figures_of(module: str, output: Path, seconds: int, at_most: int, **variables: str) -> Any:
    """Run the soak `module` with a new seed, and return what it writes to `output`. It must succeed."""
    seed = secrets.token_hex(4)
    print(f"SEED={seed}")
    run = subprocess.run(
        [sys.executable, "-m", module],
        cwd=ROOT,
        env={**os.environ, "SEED": seed, "DURATION": str(seconds), "OUTPUT": str(output), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=at_most,
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, f"SEED={seed}: {run.stdout[-4000:]}"
    return json.loads(output.read_text())
