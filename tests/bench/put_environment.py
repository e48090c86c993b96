"""One execution environment, in a process of its own, that replaces turns for the requested time.

    python -m tests.bench.put_environment CLIENT

Reads the seconds of a round from each line of standard input. Answers with a line: the number of requests. The
functions' log is discarded. Its first round writes the turn.
"""

from __future__ import annotations

import json
import os
import sys
import time
from itertools import count

from tests.support.bundle import deployed, turn


def main() -> None:
    """Serve until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    session, numbers = f"environment-{sys.argv[1]}", count()
    with deployed({"DATABASE_URL": os.environ["DATABASE_URL"], "TENANT_ID": "local"}) as bundle:
        reply = bundle.write(session, turn())
        for line in sys.stdin:
            done, ends = 0, time.monotonic() + json.loads(line)
            while time.monotonic() < ends:
                body = {"user_message": "x" * 60, "robot_response": f"{'y' * 300}{next(numbers)}"}
                reply = bundle.replace(session, 1, body)
                if reply.status != 200:
                    raise SystemExit(f"{reply.status}: {reply.body}")
                done += 1
            print(done, file=answers, flush=True)


if __name__ == "__main__":
    main()
