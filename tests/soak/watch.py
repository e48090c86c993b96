"""What the clients meet while it happens, read from their journals as they grow."""

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from tests.soak.journal import Line, Tail

# Answers that needed the database; deep health answers without it as well.
KINDS = ("write", "read", "stats")
SUCCESSES = ("200", "201")


def is_success(kind: str, status: str) -> bool:
    """Return whether an answer shows that a client is served."""
    return kind in KINDS and status in SUCCESSES


class Watch:
    """Follows the journals: who was served when, how many turns are acknowledged, which answers there were."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Take the clients' journals."""
        files = list(paths)
        self._tail = Tail(files)
        self._served = dict.fromkeys((path.stem for path in files), 0.0)
        self.acknowledged = 0
        self.statuses: Counter[str] = Counter()

    def look(self) -> None:
        """Read what is new."""
        for client, line in self._tail.read():
            self._take(client, line)

    def waiting(self, since: float) -> list[str]:
        """Return the clients that were not served since that time."""
        return [client for client, at in self._served.items() if at <= since]

    def _take(self, client: str, line: Line) -> None:
        self.statuses[line["status"]] += 1
        self.acknowledged += len(line.get("seqs", ()))
        if is_success(line["kind"], line["status"]):
            self._served[client] = line["at"]


class Progress:
    """A line on the terminal that is written over, or a line every five seconds elsewhere."""

    def __init__(self, watch: Watch, seconds: float, *, terminal: bool) -> None:
        """Take what to tell and how long it will take."""
        self._watch = watch
        self._seconds = seconds
        self._terminal = terminal
        self._began = time.monotonic()
        self._told_at = 0.0
        self.fault = ""

    def tell(self) -> None:
        """Print the time, the turns acknowledged, the fault of the moment and the answers by status, if it is time."""
        now = time.monotonic()
        if now - self._told_at < (0.2 if self._terminal else 5.0):
            return
        self._told_at = now
        elapsed = now - self._began
        bar = "#" * round(min(1.0, elapsed / self._seconds) * 20)
        statuses = " ".join(f"{status}:{count}" for status, count in sorted(self._watch.statuses.items()))
        line = f"[{bar:20}] {elapsed:4.0f} s, {self._watch.acknowledged} turns acknowledged, {self.fault or 'calm'}"
        line = f"{line} ({statuses})"
        print(f"\r\033[K{line[:150]}" if self._terminal else line, end="" if self._terminal else "\n", flush=True)

    def end(self) -> None:
        """Leave the line."""
        if self._terminal:
            print()
