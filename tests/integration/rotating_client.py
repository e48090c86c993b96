"""An execution environment of its own that calls without a pause: `python -m tests.integration.rotating_client`.

The environment variables are those of the functions. It prints a line with its number of requests and the failed ones
for each line that it reads, and ends when its standard input ends.
"""

import json
import os
import select
import sys
from contextlib import redirect_stdout

from tests.support.bundle import Bundle, deployed, turn


def round_of_requests(functions: Bundle, session: str) -> list[tuple[str, int, int]]:
    """Return the name, the status and the expected status of each request of one round."""
    body = {"user_message": "a", "robot_response": "b"}
    return [
        ("POST", functions.write(session, turn()).status, 201),
        # Without If-Match it is not repeated if its outcome is unknown.
        ("PUT", functions.replace(session, 1, body).status, 200),
        ("GET", functions.read(session, limit=1).status, 200),
    ]


def main() -> None:
    sent, failed = 0, list[tuple[str, int]]()
    variables = {name: value for name, value in os.environ.items() if name.startswith(("DATABASE_", "AWS_", "DB_"))}
    out = sys.stdout
    # The functions log to the standard output.
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), deployed(variables) as functions:
        while True:
            for name, status, expected in round_of_requests(functions, f"rotated-{os.getpid()}"):
                sent += 1
                if status != expected:
                    failed.append((name, status))
            if select.select([sys.stdin], [], [], 0)[0]:
                if not sys.stdin.readline():
                    return
                print(json.dumps({"sent": sent, "failed": failed}), file=out, flush=True)


if __name__ == "__main__":
    main()
