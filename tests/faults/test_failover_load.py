"""A standby takes over while clients write, change, erase and read through real execution environments.

`python -m tests.soak.failover` runs longer, and in three modes.
"""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from local.settings import ROOT
from tests.support.servers.binaries import debian_postgres, skip_without

SECONDS = 9
AT_MOST_SECONDS = 600


def test_a_synchronous_standby_that_takes_over_under_load_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    skip_without(debian_postgres)
    seed = secrets.token_hex(4)
    output = tmp_path / "result.json"
    variables = {**os.environ, "SEED": seed, "DURATION": str(SECONDS), "MODES": "sync", "OUTPUT": str(output)}
    run = subprocess.run(
        [sys.executable, "-m", "tests.soak.failover"],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=AT_MOST_SECONDS,
        check=False,
    )
    print(run.stdout)
    assert run.returncode == 0, f"SEED={seed}: {run.stdout[-4000:]}"
    (figures,) = json.loads(output.read_text())["modes"]
    assert (figures["lost"], figures["doubled"], figures["figures_wrong"], figures["chains_broken"]) == (0, 0, 0, 0)
    assert figures["acknowledged_turns"] > 0
