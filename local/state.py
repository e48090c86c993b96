"""The state folder `.local`: data, logs, a lock that one process at a time holds, and the facts about that process.

The kernel releases the lock (flock) however its holder ends. The next holder overwrites what a crash left.
"""

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

LOG_LIMIT = 10_000_000  # bytes; a run begins with an empty log if a function's log is longer


class StateInUseError(Exception):
    """The state folder cannot be used: another process holds it, or it cannot be created."""


@dataclass(frozen=True)
class Running:
    """The facts about a running stack: its process id, the embedded database's URL, and the token issuer's URL.

    The database's URL is missing if the stack uses another database. The issuer's is missing without AUTH=jwt.
    """

    pid: int
    app_url: str | None
    issuer: str | None = None


class State:
    """The state folder at `folder`. It is created if it does not exist."""

    def __init__(self, folder: Path) -> None:
        """Take the folder. Raises StateInUseError if it cannot be created."""
        self.folder = folder.resolve()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            # The state never belongs in a checkout's history, even if the project does not ignore the folder.
            (self.folder / ".gitignore").write_text("*\n")
        except OSError as error:
            raise StateInUseError(f"{self.folder} cannot be used: {error.strerror}. Set STATE=<folder>.") from error

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder during the context. Raises StateInUseError if another process holds it."""
        with open(self.folder / "lock", "ab") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                running = self._read()
                holder = f"process {running.pid}" if running else "a process that is still starting or stopping"
                raise StateInUseError(
                    f"the local stack runs already: {holder} uses {self.folder}. Stop it (Ctrl-C there), "
                    "or use another folder: STATE=<folder>."
                ) from error
            (self.folder / "running.json").unlink(missing_ok=True)  # a crash may have left one
            try:
                yield
            finally:
                (self.folder / "running.json").unlink(missing_ok=True)

    def announce(self, running: Running) -> None:
        """Write the facts about the running stack for other processes. Only the holder of the lock may call this."""
        temporary = self.folder / "running.json.new"
        temporary.write_text(json.dumps(asdict(running)))
        os.replace(temporary, self.folder / "running.json")

    def running(self) -> Running | None:
        """Return the facts about the process that holds the lock, or None if the lock is free.

        Raises StateInUseError if the holder has not announced itself yet.
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
        """Return a function's log, unbuffered and open to append. A log over LOG_LIMIT is emptied first."""
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
