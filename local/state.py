"""The folder `.local`: a lock that one process at a time holds, what others need to know of it, logs, data.

The lock is the kernel's (flock), so it is free again however its holder ended, and whatever a crash left is
overwritten.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

LOG_LIMIT = 10_000_000  # bytes a function's log may have when a run begins


class StateInUseError(Exception):
    """The state folder cannot be used: another process holds it, or it cannot be made."""


@dataclass(frozen=True)
class Running:
    """What a running stack tells others: its process and the embedded database's URL, None with one's own."""

    pid: int
    app_url: str | None


class State:
    """The state folder at `folder`, made if it is not there."""

    def __init__(self, folder: Path) -> None:
        """Take the folder. Raise StateInUseError if it cannot be made."""
        self.folder = folder.resolve()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # Nothing of a checkout's state belongs in its history, whatever the project ignores.
            (self.folder / ".gitignore").write_text("*\n")
        except OSError as error:
            raise StateInUseError(f"{self.folder} cannot be used: {error.strerror}. Set STATE=<folder>.") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for the time of the context. Raises StateInUseError if another process holds it."""
        with open(self.folder / "lock", "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                running = self._read()
                who = f"process {running.pid}" if running else "a process that is still starting or stopping"
                raise StateInUseError(
                    f"the local stack runs already: {who} uses {self.folder}. Stop it (Ctrl-C there), "
                    "or use another folder: STATE=<folder>."
                ) from error
            (self.folder / "running.json").unlink(missing_ok=True)  # a crash may have left one
            try:
                yield
            finally:
                (self.folder / "running.json").unlink(missing_ok=True)

    def announce(self, running: Running) -> None:
        """Tell others what runs; only the holder of the lock may."""
        temporary = self.folder / "running.json.new"
        temporary.write_text(json.dumps(asdict(running)))
        os.replace(temporary, self.folder / "running.json")

    def running(self) -> Running | None:
        """Return what holds the lock, or None if nothing does.

        Raises StateInUseError if something does that has not announced itself yet.
        """
        try:
            with open(self.folder / "lock", "ab") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if running := self._read():
                return running
            raise StateInUseError("the local stack is still starting or stopping: try again") from error
        return None

    def open_log(self, name: str) -> BinaryIO:
        """Return the log of a function, open to append, unbuffered; emptied first if it has grown long."""
        folder = self.folder / "logs"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.write_bytes(b"")
        return open(path, "ab", buffering=0)

    def _read(self) -> Running | None:
        try:
            content = json.loads((self.folder / "running.json").read_text())
        except FileNotFoundError:
            return None
        return Running(**content)
