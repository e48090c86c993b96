"""A line that says how far a long command is: rewritten on a terminal, and printed now and then anywhere else."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

# Between two lines, in seconds.
ON_A_TERMINAL = 0.2
IN_A_LOG = 10.0


class Progress:
    """Shows one line after the other on `stream`. A line that comes too early after the one before is left out."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._on_a_terminal = stream.isatty()
        # A command that ends soon prints nothing into a log.
        self._next = 0.0 if self._on_a_terminal else time.monotonic() + IN_A_LOG
        self._shown = False

    def show(self, line: str, *, at_once: bool = False) -> None:
        """Show `line` in place of the one before, if it is time for another. On a terminal `at_once` does not wait."""
        now = time.monotonic()
        if now < self._next and not (at_once and self._on_a_terminal):
            return
        self._next = now + (ON_A_TERMINAL if self._on_a_terminal else IN_A_LOG)
        if self._on_a_terminal:
            # A longer line would wrap, and could not be rewritten.
            width = max(20, shutil.get_terminal_size().columns - 1)
            self._stream.write(f"\r{line[:width]}\x1b[K")
            self._shown = True
        else:
            self._stream.write(f"{line}\n")
        self._stream.flush()

    def clear(self) -> None:
        """Remove the line from a terminal, so that the next message begins on an empty one."""
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False


@contextmanager
def progress() -> Iterator[Progress]:
    """Yield a Progress on the standard error, whose line is removed at the end of the block."""
    shown = Progress(sys.stderr)
    try:
        yield shown
    finally:
        shown.clear()


def size(count: int) -> str:
    """Return a number of bytes as people write it, such as `3.4 MB`."""
    power = min((len(str(count)) - 1) // 3, 4)
    unit = ("bytes", "kB", "MB", "GB", "TB")[power]
    return f"{count / 1000**power:.1f} {unit}" if power else f"{count} bytes"


def short(table: str) -> str:
    """Return the name of a table or an index as the end of a line, without its schema."""
    return f": {table.rpartition('.')[2]}"
