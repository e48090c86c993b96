"""What the functions logged about each answer 500, so that the output of a failed run is enough to explain it."""

import json
from collections.abc import Iterator
from pathlib import Path

# What a log line says about the failure. `frames` is its stack.
_MEMBERS = ("route", "error", "reason", "database_error", "attempts", "unanswered", "frames")
_MOST = 10
_LONGEST = 1500


def unexpected(folder: Path) -> list[str]:
    """Return a line for each answer 500 in the functions' logs, and for each function that failed without a kill."""
    found = [*_answered(folder), *_failed(folder / "access.log")]
    return [line[:_LONGEST] for line in found[:_MOST]]


def _answered(folder: Path) -> Iterator[str]:
    for log in sorted(folder.glob("*Function.log")):
        for line in log.read_text(errors="replace").splitlines():
            if '"status":500' not in line:
                continue
            try:
                entry = json.loads(line)
            except ValueError:  # a process that was killed may leave half of a line
                entry = {"reason": line}
            said = {name: entry[name] for name in _MEMBERS if name in entry}
            # The end of the stack is next to the error.
            said["frames"] = said.get("frames", [])[-2:]
            yield f"500: {log.stem} {json.dumps(said)}"


def _failed(access: Path) -> Iterator[str]:
    for line in access.read_text(errors="replace").splitlines():
        if " failed: " in line and "SIGKILL" not in line:
            yield f"500: {line}"
