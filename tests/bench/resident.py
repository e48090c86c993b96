"""Resident memory over many requests, of a process with our handlers and of one with the bare calls."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import psutil

from local.settings import ROOT
from tests.bench import warm_requests
from tests.bench.measure import Progress
from tests.bench.warm_process import EVERY


def resident(database_url: str, requests: int) -> dict[str, list[int]]:
    """Return the bytes of both processes, `ours` and `floor`, after each thousand of `requests`.

    Both run at the same time, because no time is measured here.
    """
    path = os.pathsep.join(str(ROOT / folder) for folder in ("functions", "layers/robot_brain"))
    settings = {"DATABASE_URL": database_url, "TENANT_ID": "local", "AUTH": warm_requests.AUTH}
    environment = {**os.environ, **settings, "PYTHONPATH": path}
    processes = {
        side: subprocess.Popen(
            [sys.executable, "-m", "tests.bench.warm_process", side, str(requests)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for side in ("ours", "floor")
    }
    seen: dict[str, list[int]] = {side: [] for side in processes}
    progress = Progress(2 * requests, "memory")
    try:
        _say(processes["ours"], json.dumps(warm_requests.events("resident")))
        _say(processes["floor"], json.dumps(warm_requests.calls("bare")))
        for _ in range(requests // EVERY):
            for side, process in processes.items():
                if process.stdout is None or not process.stdout.readline():
                    raise RuntimeError(f"the process of {side} ended early")
                seen[side].append(psutil.Process(process.pid).memory_info().rss)
                progress.step(f"{side} {seen[side][-1] / 2**20:.1f} MiB", EVERY)
                _say(process, "go on")
        progress.end()
    finally:
        for process in processes.values():
            process.kill()
            process.communicate()
    return seen


def _say(process: subprocess.Popen[str], line: str) -> None:
    if process.stdin is None:
        raise RuntimeError("the process was started without pipes")
    process.stdin.write(line + "\n")
    process.stdin.flush()
