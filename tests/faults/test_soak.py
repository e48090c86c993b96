"""One minute of the soak, with the faults that fit into it. `make soak` runs all of it."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

from local.settings import ROOT
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without

SECONDS = 60
# Recovery from the last fault, the end of open requests, and the start and stop of servers.
AT_MOST_SECONDS = SECONDS + 600


def test_a_minute_of_faults_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    seed = secrets.token_hex(4)
    print(f"SEED={seed}")
    output = tmp_path / "result.json"
    variables = {**os.environ, "SEED": seed, "DURATION": str(SECONDS), "OUTPUT": str(output)}
    soak = subprocess.run(
        [sys.executable, "-m", "tests.soak"],
        cwd=ROOT,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=AT_MOST_SECONDS,
        check=False,
    )
    print(soak.stdout)
    assert soak.returncode == 0, f"SEED={seed}: {soak.stdout[-4000:]}"
    figures = json.loads(output.read_text())
    kinds = ("lost", "doubled", "gaps", "half_batches", "lost_edits", "undead")
    assert [figures[kind] for kind in kinds] == [0] * len(kinds)
    assert figures["acknowledged"] > 0
    assert figures["faults"] > 0
