"""The clients' results during a run, read from their growing journals."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.soak.journal import Line, Tail
from tests.soak.person_records import USER_ACTS
from tests.soak.records import ACTS, SUCCESSES

# Requests that need the database. Deep health also answers without it.
KINDS = (*ACTS, *USER_ACTS, "read", "list", "stats", "read_user", "export")


def is_success(kind: str, status: str) -> bool:
    """Return whether an answer is a success that needed the database."""
    return kind in KINDS and status in SUCCESSES


class Watch:
    """Follows the journals: the last success of each client, the acknowledged turns, and the answers by status."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Take the clients' journals."""
        files = list(paths)
        self._tail = Tail(files)
        self._served = dict.fromkeys((path.stem for path in files), 0.0)
        self.acknowledged = 0
        self.statuses: Counter[str] = Counter()

    def look(self) -> None:
        """Read the new lines."""
        for client, line in self._tail.read():
            self._take(client, line)

    def waiting(self, since: float) -> list[str]:
        """Return the clients that have had no success after `since`."""
        return [client for client, at in self._served.items() if at <= since]

    def _take(self, client: str, line: Line) -> None:
        self.statuses[line["status"]] += 1
        self.acknowledged += len(line.get("seqs", ()))
        if is_success(line["kind"], line["status"]):
            self._served[client] = line["at"]


class Progress:
    """Progress on a terminal as one line that changes, or elsewhere as a line every five seconds."""

    def __init__(self, watch: Watch, seconds: float, *, terminal: bool) -> None:
        """Take the source of the figures, and the duration."""
        self._watch = watch
        self._seconds = seconds
        self._terminal = terminal
        self._began = time.monotonic()
        self._shown_at = 0.0
        self.fault = ""

    def show(self) -> None:
        """Print time, acknowledged turns, current fault and answers by status, if the last line is old enough."""
        now = time.monotonic()
        if now - self._shown_at < (0.2 if self._terminal else 5.0):
            return
        self._shown_at = now
        elapsed = now - self._began
        bar = "#" * round(min(1.0, elapsed / self._seconds) * 20)
        statuses = " ".join(f"{status}:{count}" for status, count in sorted(self._watch.statuses.items()))
        line = f"[{bar:20}] {elapsed:4.0f} s, {self._watch.acknowledged} turns acknowledged, {self.fault or 'calm'}"
        line = f"{line} ({statuses})"
        print(f"\r\033[K{line[:150]}" if self._terminal else line, end="" if self._terminal else "\n", flush=True)

    def end(self) -> None:
        """End the line on a terminal."""
        if self._terminal:
            print()
