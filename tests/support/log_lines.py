"""The structured log of the functions, as a test reads it."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from robot_brain import telemetry


@contextmanager
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Collect the log lines of the block, one per request and the Logger's own. Yield a function that returns them."""
    handler = telemetry.logger().registered_handler
    assert isinstance(handler, logging.StreamHandler)
    text = io.StringIO()
    # The handler keeps the stdout of the test that made it, so pytest's own capture does not see every line.
    before = handler.setStream(text)
    try:
        with redirect_stdout(text):
            yield lambda: [json.loads(line) for line in text.getvalue().splitlines()]
    finally:
        if before is not None:
            handler.setStream(before)
