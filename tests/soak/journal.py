"""The journals of clients: one line before each request, and one line after its answer. Lines never change.

`at` is seconds of the machine's monotonic clock, which all processes share. Each line is one write to a file that is
open for appending. So if a process is killed, its last line is whole or missing.
"""

import json
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

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


@dataclass(frozen=True)
class Turn:
    """What a client sent as one turn. `user_message` begins with an id that no other turn has."""

    user_message: str
    robot_response: str
    robot_personality: str = "barista"
    interaction_type: str | None = None

    @property
    def body(self) -> dict[str, Any]:
        """The turn as the body of a request."""
        body: dict[str, Any] = {
            "robot_personality": self.robot_personality,
            "user_message": self.user_message,
            "robot_response": self.robot_response,
        }
        if self.interaction_type is not None:
            body["interaction"] = {"interaction_type": self.interaction_type, "duration_ms": 40, "success": True}
        return body


@dataclass
class Write:
    """One write with all its attempts. `seqs` is from the acknowledgement, or None without one."""

    request: str
    session: str
    keyed: bool
    turns: tuple[Turn, ...]
    seqs: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Answer:
    """The result of an attempt. `status` is the HTTP status and its origin, or what came instead of an answer."""

    client: str
    kind: str
    status: str
    at: float
    seconds: float
    replayed: bool = False


@dataclass
class Journals:
    """The content of all journals."""

    writes: list[Write] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    misread: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Self:
        """Read the journals, one file per client."""
        journals = cls()
        for path in paths:
            journals._add(path)
        return journals

    @property
    def acknowledged(self) -> int:
        """The number of turns whose writing was acknowledged."""
        return sum(len(write.turns) for write in self.writes if write.seqs is not None)

    def _add(self, path: Path) -> None:
        writes: dict[str, Write] = {}
        open_sends: dict[tuple[str, int], Line] = {}
        for line in lines(path):
            if line["event"] == "misread":
                self.misread.append(f"{line['request']}: {line['what']}")
                continue
            attempt = (line["request"], line["attempt"])
            if line["event"] == "send":
                open_sends[attempt] = line
                if "turns" in line:
                    turns = tuple(Turn(*texts) for texts in line["turns"])
                    writes[line["request"]] = Write(line["request"], line["session"], line["keyed"], turns)
                continue
            sent = open_sends.pop(attempt)
            seconds = line["at"] - sent["at"]
            self.answers.append(
                Answer(path.stem, sent["kind"], line["status"], line["at"], seconds, "replayed" in line)
            )
            if "seqs" in line:
                writes[line["request"]].seqs = tuple(line["seqs"])
        self.writes += writes.values()
        self.unanswered += [f"{request}, attempt {attempt}" for request, attempt in open_sends]
