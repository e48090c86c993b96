"""One execution environment, in a process of its own: calls a handler for as long as it is told to.

Reads lines from standard input, `{"function": …, "seconds": …, "seed": …}`, and answers each with one line,
`{"milliseconds": […], "failed": […]}`. The functions' own log goes where Lambda would take it away: nowhere.
"""

from __future__ import annotations

import json
import os
import random
import sys
import time
from typing import Any

from tests.bench.scale_data import PROBES
from tests.bundle import Bundle, event, turn


def request(function: str, number: int) -> dict[str, Any]:
    """Return the event of one request: one turn to one of the sessions made for it, or a page of one of this week."""
    made = event(function)
    session_id = f"write-{number % PROBES['write'] + 1}" if function == "write_message" else _recent(number)
    made["pathParameters"] = {"session_id": session_id}
    if function == "write_message":
        made["rawPath"] = f"/sessions/{session_id}/messages"
        made["body"] = json.dumps(turn(1, user_message="x" * 60, robot_response="y" * 300))
    else:
        made["rawPath"] = f"/sessions/{session_id}"
        made["rawQueryString"] = "limit=50"
    return made


def _recent(number: int) -> str:
    return f"recent-{number % PROBES['recent'] + 1}"


def _work(bundle: Bundle, function: str, seconds: float, seed: int) -> dict[str, Any]:
    chance = random.Random(seed)
    milliseconds: list[float] = []
    failed: list[str] = []
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        made = request(function, chance.randrange(10_000))
        started = time.perf_counter()
        reply = bundle.call(function, made)
        milliseconds.append(round((time.perf_counter() - started) * 1000, 3))
        if reply.status not in (200, 201):
            failed.append(f"{reply.status} {reply.body}")
    return {"milliseconds": milliseconds, "failed": failed}


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    bundle = Bundle(milliseconds=29_000)
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(_work(bundle, **asked)), file=answers, flush=True)


if __name__ == "__main__":
    main()
