"""A line on a terminal that shows what goes on and for how long, so that a long step does not look as if it hung."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from typing import TextIO

ERASE = "\r\x1b[K"
_EVERY_SECONDS = 0.2


class Line:
    """The line. Without a terminal nothing is written."""

    def __init__(self, what: str, stream: TextIO) -> None:
        """Take what goes on. It is shown by `draw`."""
        self.detail = ""
        self._what = what
        self._stream = stream
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def draw(self) -> None:
        """Write the line in place of itself."""
        seconds = time.monotonic() - self._began
        text = f"{self._what} … {seconds:.0f} s  {self.detail}".rstrip()
        with self._lock, contextlib.suppress(OSError):
            columns = os.get_terminal_size(self._stream.fileno()).columns or 80
            self._stream.write(f"{ERASE}{text[: columns - 1]}")
            self._stream.flush()

    def erase(self) -> None:
        """Remove the line, so that another text can be printed in its place."""
        with self._lock:
            self._stream.write(ERASE)
            self._stream.flush()


@contextlib.contextmanager
def shown(what: str) -> Iterator[Line | None]:
    """Show `what` on the terminal of standard error, with the seconds so far, and remove it at the end.

    Yields None without a terminal: a log gets no such lines.
    """
    if not sys.stderr.isatty() or os.environ.get("TERM") == "dumb":
        yield None
        return
    line, stop = Line(what, sys.stderr), threading.Event()

    def draw() -> None:
        line.draw()
        while not stop.wait(_EVERY_SECONDS):
            line.draw()

    drawer = threading.Thread(target=draw, name="progress", daemon=True)
    drawer.start()
    try:
        yield line
    finally:
        stop.set()
        drawer.join()
        line.erase()
