"""A process that only makes warm requests, to measure its memory. It imports only what the requests need.

    python -m tests.bench.warm_process ours|floor REQUESTS [ROW]

Standard input's first line holds the requests by row, as `warm_requests` makes them. After each thousand requests the
process prints a line and waits for one, so that its parent can measure it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from itertools import cycle, islice, repeat
from typing import Any

EVERY = 1000
# Of each hundred requests. Most requests that Lambda serves are writes of one turn and reads.
_MIX = {"write": 34, "read": 38, "replay": 10, "stats": 6, "write_items": 4, "put": 3, "list": 3, "write50": 2}


class Context:
    """What a handler uses of Lambda's context."""

    aws_request_id = "3f2b1c1e-7d4a-4a56-9a3b-0d8f4a1c2e5b"
    function_name = "Function"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """Return a fixed time."""
        return 25_000


def _ours(events: dict[str, tuple[str, list[Any]]], only: str) -> Iterator[None]:
    modules = {row: __import__(module) for row, (module, _) in events.items()}
    turns = {row: cycle(requests) for row, (_, requests) in events.items()}
    for row in _rows(only):
        answer = modules[row].handler(next(turns[row]), Context)
        if answer["statusCode"] not in (200, 201):
            raise SystemExit(answer)
        yield


def _floor(calls: dict[str, tuple[str, list[dict[str, Any]]]], only: str) -> Iterator[None]:
    import psycopg

    # As Any, because the type of `execute` demands a literal query.
    execute: Callable[..., Any] = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True).execute
    turns = {row: cycle(parameters) for row, (_, parameters) in calls.items()}
    for row in _rows(only):
        query, parameters = calls[row][0], next(turns[row])
        if row.startswith("write"):
            parameters = {**parameters, "first_id": os.urandom(16).hex()}
        execute(query, parameters).fetchone()
        yield


def _rows(only: str) -> Iterator[str]:
    if only:
        return repeat(only)
    order = [row for row, share in _MIX.items() for _ in range(share)]
    # Spread evenly: 37 and 100 have no common divisor.
    return cycle([order[number * 37 % len(order)] for number in range(len(order))])


def _main() -> None:
    side, requests, only = sys.argv[1], int(sys.argv[2]), "".join(sys.argv[3:])
    rows = json.loads(sys.stdin.readline())
    work = _ours(rows, only) if side == "ours" else _floor(rows, only)
    looks = sys.stdout
    # The log of the handlers is discarded.
    sys.stdout = open(os.devnull, "w", buffering=1)  # noqa: SIM115  # as long as the process
    for number, _ in enumerate(islice(work, requests), 1):
        if number % EVERY == 0:
            print(number, file=looks, flush=True)
            sys.stdin.readline()


if __name__ == "__main__":
    _main()
