"""The CPU time of a connection's server process, on Linux. Other work of the machine changes it less than wall time."""

from __future__ import annotations

import os
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


def all_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a server's process `pid`, of its children, and of the children that have ended."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    # Of a child, what it used itself. Of the server, also what ended children used.
    ticks = sum(_ticks(int(child), ended=False) for child in children) + _ticks(pid, ended=True)
    return ticks / os.sysconf("SC_CLK_TCK")


def _ticks(pid: int, *, ended: bool) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended a moment ago
    # The name, in parentheses, may have spaces. After it: utime, stime, cutime and cstime are fields 14 to 17.
    fields = text.rpartition(")")[2].split()
    return sum(int(field) for field in fields[11 : 15 if ended else 13])
