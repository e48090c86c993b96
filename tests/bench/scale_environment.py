"""One execution environment, in a process of its own, that calls a handler for the requested time.

Reads lines from standard input, `{"function": …, "seconds": …, "seed": …}`, and answers each with one line,
`{"milliseconds": […], "failed": […], "cpu": …}`. `cpu` is the processor milliseconds per request. The functions' log
is discarded.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any

import read_session
import write_message
from tests.bench.scale_data import PROBES
from tests.support.bundle import Context, event, turn

HANDLERS: dict[str, Any] = {"write_message": write_message.handler, "read_session": read_session.handler}


def requests(function: str) -> list[dict[str, Any]]:
    """Return one event of a function for each session of its probes."""
    kind = "write" if function == "write_message" else "recent"
    made = []
    for number in range(1, PROBES[kind] + 1):
        one = event(function)
        session_id = f"{kind}-{number}"
        one["pathParameters"] = {"session_id": session_id}
        one["rawPath"] = f"/sessions/{session_id}"
        if function == "write_message":
            one["rawPath"] += "/messages"
            one["body"] = json.dumps(turn(1, user_message="x" * 60, robot_response="y" * 300))
        else:
            one["rawQueryString"] = "limit=50"
        made.append(one)
    return made


def _work(events: list[dict[str, Any]], function: str, seconds: float, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    handler, context = HANDLERS[function], Context(milliseconds=29_000)
    milliseconds: list[float] = []
    failed: list[str] = []
    cpu = time.process_time()
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        one = chance.choice(events)
        started = time.perf_counter()
        answer = handler(one, context)
        milliseconds.append(round((time.perf_counter() - started) * 1000, 3))
        if answer["statusCode"] not in (200, 201):
            failed.append(f"{answer['statusCode']} {answer.get('body')}")
    cpu = (time.process_time() - cpu) * 1000 / len(milliseconds)
    return {"milliseconds": milliseconds, "failed": failed, "cpu": cpu}


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    events = {function: requests(function) for function in HANDLERS}
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(_work(events[request["function"]], **request)), file=answers, flush=True)


if __name__ == "__main__":
    main()
