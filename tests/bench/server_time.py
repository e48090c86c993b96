"""The CPU time of a connection's server process, on Linux. Other work of the machine changes it less than wall time."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import psycopg


class Taken(NamedTuple):
    """The milliseconds of a call: those that its client waited, and those that the server computed."""

    wall: float
    cpu: float


def cpu_milliseconds(connection: psycopg.Connection[Any]) -> float:
    """Return the CPU time that the connection's server process has used. It must be on this machine, and idle."""
    return int(Path(f"/proc/{connection.info.backend_pid}/schedstat").read_text().split()[0]) / 1e6


def taken(connection: psycopg.Connection[Any], call: Callable[[], object], calls: int = 1) -> Taken:
    """Return the average milliseconds of `calls` calls that use the connection."""
    cpu, started = cpu_milliseconds(connection), time.perf_counter()
    for _ in range(calls):
        call()
    wall = (time.perf_counter() - started) * 1000
    return Taken(wall / calls, (cpu_milliseconds(connection) - cpu) / calls)
