"""The journals of clients: one line before each request, and one line after its answer. Lines never change.

`at` is seconds of the machine's monotonic clock, which all processes share. Each line is one write to a file that is
open for appending. So if a process is killed, its last line is whole or missing.

    send    before an attempt: request, attempt, kind. The first attempt also says what it asks for, and by whose token.
    answer  after an attempt: status, and what the answer said (seqs, tag, last_seq, removed, updated_at).
    seen    after an answer to a read: which turns a page held, or which sessions a walk listed.
    user    after an answer about users: one user's members.
    export  after the last page of an export: its turns.
    misread what a client found wrong by itself.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

Line = dict[str, Any]
_ANSWER = b'{"event": "answer"'


class Journal:
    """The journal of one writer, at `path`. Close it."""

    def __init__(self, path: Path) -> None:
        """Open the file, or make it."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, event: str, **facts: Any) -> None:
        """Append one line about `event`, with the time."""
        line = json.dumps({"event": event, "at": time.monotonic(), **facts}, ensure_ascii=False)
        data = line.encode() + b"\n"
        if os.write(self._file, data) != len(data):
            raise OSError("a line of the journal was cut: is the disk full?")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def lines(path: Path) -> Iterator[Line]:
    """Yield the lines of a journal. A last line without its end is left out."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


class Tail:
    """Reads the answers that were appended to journals since the last look."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Take the files. They need not exist yet."""
        self._places = dict.fromkeys(paths, 0)

    def read(self) -> Iterator[tuple[str, Line]]:
        """Yield (client, line) of each new line about an answer, if the line is whole."""
        for path, place in self._places.items():
            if not path.exists():
                continue
            with path.open("rb") as file:
                file.seek(place)
                whole, end, _ = file.read().rpartition(b"\n")
            self._places[path] = place + len(whole) + len(end)
            for line in whole.splitlines():
                # The other lines are long, because they hold the texts.
                if line.startswith(_ANSWER):
                    yield path.stem, json.loads(line)
