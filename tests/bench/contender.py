"""The process of one contender of bench-peers. It prepares its sessions, then does and times requests.

A request is a line of JSON on standard input, `{"do": row, "times": n}` or `{"connect": url}`. The answer is a line:
the milliseconds of each of the n times, or []. This file needs only Python 3.11, without packages.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Protocol

SHORT, LONG = 20, 1000
# So many that each session grows by only a few turns until the end.
SHORT_SESSIONS, LONG_SESSIONS = 40, 8
LAST = 20

# What the user said and what the robot answered.
Turn = tuple[str, str]


class Contender(Protocol):
    """A store of conversations. A session is named by a number."""

    def connect(self, url: str, first: bool) -> None:
        """Connect to `url`. If `first`, also make the tables."""

    def fill(self, session: int, turns: list[Turn]) -> None:
        """Write a new session, in any way that is quick."""

    def append(self, session: int, turn: Turn) -> None:
        """Append one turn."""

    def last(self, session: int, turns: int) -> int:
        """Read the newest turns, oldest first. Return how many texts came."""


def serve(contender: Contender, turns: list[Turn]) -> None:
    """Answer requests until standard input ends."""
    answers, sys.stdout = sys.stdout, open(os.devnull, "w", buffering=1)  # noqa: SIM115  # as long as the process
    numbers = count()
    first = True
    for line in sys.stdin:
        request = json.loads(line)
        took: list[float] = []
        if "connect" in request:
            contender.connect(request["connect"], first)
            if first:
                _fill(contender, turns)
            first = False
        else:
            work = _work(contender, request["do"], turns, numbers)
            for _ in range(request["times"]):
                started = time.perf_counter()
                work()
                took.append((time.perf_counter() - started) * 1000)
        print(json.dumps(took), file=answers, flush=True)


def _fill(contender: Contender, turns: list[Turn]) -> None:
    for session in range(SHORT_SESSIONS + LONG_SESSIONS):
        length = SHORT if session < SHORT_SESSIONS else LONG
        contender.fill(session, [turns[(session + number) % len(turns)] for number in range(length)])


def _work(contender: Contender, row: str, turns: list[Turn], numbers: count[int]) -> Callable[[], object]:
    def append(first: int, sessions: int) -> None:
        number = next(numbers)
        contender.append(first + number % sessions, turns[number % len(turns)])

    def read() -> None:
        found = contender.last(SHORT_SESSIONS + next(numbers) % LONG_SESSIONS, LAST)
        if found != 2 * LAST:
            raise ValueError(f"{found} texts instead of {2 * LAST}")

    return {
        "append20": lambda: append(0, SHORT_SESSIONS),
        "append1000": lambda: append(SHORT_SESSIONS, LONG_SESSIONS),
        "read20": read,
    }[row]
