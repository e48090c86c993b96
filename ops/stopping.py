"""Ctrl-C and SIGTERM: a long command undoes what it did, and says so."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ops.errors import OperatorError

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class StoppedError(OperatorError):
    """The operator stopped the command. Its exit status is that of the signal."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class _Signal(KeyboardInterrupt):
    """SIGTERM or SIGHUP. psycopg cancels a statement only for KeyboardInterrupt."""


@contextmanager
def stoppable(message: str) -> Iterator[None]:
    """Raise StoppedError with `message` if Ctrl-C, SIGTERM or SIGHUP ends the block. For the main thread only."""
    # It warns about the statements that the stop has broken off.
    library = logging.getLogger("psycopg")
    level = library.level
    received = signal.SIGINT

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = signal.Signals(number)
        raise _Signal

    # nohup lets a command ignore SIGHUP, and it stays ignored.
    used = [number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, stop) for number in used}
    library.setLevel(logging.CRITICAL)
    try:
        yield
    except KeyboardInterrupt:
        raise StoppedError(message, received) from None
    finally:
        library.setLevel(level)
        for number, handler in before.items():
            signal.signal(number, handler)
