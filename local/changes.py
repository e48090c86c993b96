"""Notice changed files while the local stack runs: new code is picked up, and other files need a step of the developer.

A look compares the time, the size and the number (inode) of each file with those of the look before.
"""

import asyncio
import contextlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path

CODE = ("functions", "layers/robot_brain/robot_brain")
CONTRACT = ("layers/robot_brain/contract",)
START = ("template.yaml", "sql", "local", "local/requirements.txt", "layers/robot_brain/requirements.txt")
SUFFIXES = (".py", ".sql", ".yaml", ".txt")
SHOWN = 3

Stamps = dict[str, tuple[int, int, int]]


class Changes:
    """The files of a checkout, as they were at the last look."""

    def __init__(self, root: Path, say: Callable[[str], None], *, migrates: bool = True) -> None:
        """Take the checkout. `say` receives a line if files changed.

        `migrates` is whether a start applies sql/ to the database that is used.
        """
        self._root = root
        self._say = say
        self._generation = 0
        self._advice = {
            CONTRACT: "Run make contract, which writes the code that the functions use.",
            START: "Restart make run to use it."
            + ("" if migrates else " Files of sql/ need make migrate with DIRECT_DATABASE_URL."),
        }
        self._seen = {names: self._stamps(names) for names in (CODE, *self._advice)}

    def generation(self) -> int:
        """Look at the functions' code, in less than 1 ms. Return a number that grows with each change of it."""
        if changed := self._changed(CODE):
            self._generation += 1
            for name in changed:
                _forget_compiled(self._root / name)
            self._say(f"Picked up {_listed(changed)}.")
        return self._generation

    async def watch(self) -> None:
        """Look at the other files once a second, without end, and say what to do for those that changed."""
        while True:
            await asyncio.sleep(1)
            self._look_at_others()

    def _look_at_others(self) -> None:
        for names, advice in self._advice.items():
            if changed := self._changed(names):
                self._say(f"Not picked up: {_listed(changed)}. {advice}")

    def _changed(self, names: tuple[str, ...]) -> list[str]:
        """Return the files below `names` that are new, changed or gone since the last look."""
        before, now = self._seen[names], self._stamps(names)
        self._seen[names] = now
        return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))

    def _stamps(self, names: tuple[str, ...]) -> Stamps:
        found: Stamps = {}
        for name in names:
            _stamp(str(self._root / name), name, found)
        return found


def _stamp(path: str, name: str, found: Stamps) -> None:
    """Add the stamp of the file at `path`, or of each file below it, to `found`."""
    with contextlib.suppress(FileNotFoundError):  # an editor may replace a file just now
        if not os.path.isdir(path):
            status = os.stat(path)
            found[name] = (status.st_mtime_ns, status.st_size, status.st_ino)
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir() and entry.name != "__pycache__":
                    _stamp(entry.path, f"{name}/{entry.name}", found)
                elif entry.name.endswith(SUFFIXES):
                    with contextlib.suppress(FileNotFoundError):
                        status = entry.stat()
                        found[f"{name}/{entry.name}"] = (status.st_mtime_ns, status.st_size, status.st_ino)


def _forget_compiled(source: Path) -> None:
    """Remove the compiled form of a file. Python would use it for a file that was saved twice within a second."""
    if source.suffix == ".py":
        Path(importlib.util.cache_from_source(str(source))).unlink(missing_ok=True)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
