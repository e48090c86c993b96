"""An execution environment, in a process of its own, that is asked at a steady rate until its standard input ends.

    python -m tests.soak.rotation_client NAME SECONDS_BETWEEN_REQUESTS

Each answer is a line on standard output: {"kind", "status", "milliseconds", "at"}, with "problem" if it is an error.
The environment's variables are those of this process. Nothing else uses its session, so no request is refused.
"""

import json
import os
import random
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any

from tests.support.bundle import Bundle, Reply, deployed, turn

SHARES = {"post": 0.2, "post with a key": 0.3, "get": 0.25, "put": 0.15, "list": 0.1}
SETTINGS = (
    "DATABASE_URL",
    "DATABASE_SECRET_ARN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
)


class Client:
    """The requests of one environment to its own session."""

    def __init__(self, name: str, bundle: Bundle) -> None:
        self._name = name
        self._bundle = bundle
        self._number = 0
        self._tag = ""

    def ask(self, kind: str) -> Reply:
        """Make one request."""
        self._number += 1
        if kind == "list":
            return self._bundle.sessions(limit=5)
        if kind == "get" and self._tag:
            return self._bundle.read(self._name, limit=10)
        if kind == "put" and self._tag:
            body = {"user_message": f"edit {self._number}", "robot_response": "yes"}
            return self._learn(self._bundle.replace(self._name, 1, body, {"if-match": self._tag}))
        headers = {"idempotency-key": f"{self._name}-{self._number}"} if kind == "post with a key" else {}
        return self._learn(self._bundle.write(self._name, turn(self._number), headers))

    def _learn(self, reply: Reply) -> Reply:
        self._tag = reply.headers.get("etag", self._tag)
        return reply


def main(name: str, period: float) -> None:
    """Ask until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    variables = {setting: os.environ[setting] for setting in SETTINGS if setting in os.environ}
    chance = random.Random(name)
    with deployed({"TENANT_ID": "local", **variables}) as bundle:
        client = Client(name, bundle)
        due = time.monotonic() + chance.uniform(0, period)
        while not ended.wait(max(0.0, due - time.monotonic())):
            # A request that took longer than the period delays the next one, and is not made up for.
            due = max(due + period, time.monotonic())
            kind = chance.choices(list(SHARES), list(SHARES.values()))[0]
            started = time.monotonic()
            print(json.dumps(_line(kind, client.ask(kind), started)), file=answers, flush=True)


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _line(kind: str, reply: Reply, started: float) -> Mapping[str, Any]:
    milliseconds = round((time.monotonic() - started) * 1000, 1)
    line = {"kind": kind, "status": reply.status, "milliseconds": milliseconds, "at": started}
    return line if reply.status < 400 else {**line, "problem": reply.body}


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
