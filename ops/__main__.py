"""Run one of the operator's commands: `python -m ops COMMAND`. Without a command, list all of them."""

import importlib
import sys
from collections.abc import Sequence

from ops.errors import OperatorError

COMMANDS = {
    "migrate": "apply sql/ to DIRECT_DATABASE_URL; PLAN=1 only prints, WAIT=600 waits, SEARCH=off, on or english",
    "recount": "count the statistics of DIRECT_DATABASE_URL again and correct them; DRY_RUN=1 prints the differences",
    "refill-search": "make the words of turns that lack them; DRY_RUN=1 only compares, REPLACE=1 drops all words first",
    "audit-verify": "verify the audit trail of DIRECT_DATABASE_URL; SAVE=file keeps its heads, HEADS=file compares",
    "app-password": "give the functions a new DATABASE_URL, once; SECRET=arn writes it there; then RETIRE=old, FORCE=1",
    "backup": "back DIRECT_DATABASE_URL up into FILE=; FORCE=1 replaces the file; PGBIN= names the folder of pg_dump",
    "restore": "restore FILE= into DIRECT_DATABASE_URL; REPLACE=1 replaces what is there; DRY_RUN=1 only checks",
    "build": "build what SAM deploys: ARCHITECTURE=x86_64 or arm64, SNAPSTART=off or on, AUTH=iam or jwt",
}


def main(arguments: Sequence[str]) -> int:
    """Run the command named by the first argument, and return its exit status.

    The status is 1 if the command failed. It is 2 if its name is unknown or a setting is missing or wrong.
    """
    name, rest = (arguments[0], arguments[1:]) if arguments else ("", ())
    if name not in COMMANDS:
        stream = sys.stderr if name else sys.stdout
        if name:
            print(f"Unknown command {name!r}. The commands are:", file=stream)
        print("\n".join(f"{each:<14}{text}" for each, text in COMMANDS.items()), file=stream)
        return 2 if name else 0
    command = importlib.import_module(f"ops.{name.replace('-', '_')}")
    try:
        status: int = command.main(rest)
    except OperatorError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
