"""Waiting for what must happen. A test waits for a state, never for a time: how fast the machine is decides nothing."""

import asyncio
import time
from collections.abc import Callable

# The bound of every wait whose length says nothing: far more than anything here takes, also on a busy machine.
PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.02


def wait_until(condition: Callable[[], bool], seen: Callable[[], object] = lambda: "") -> None:
    """Return once `condition` holds.

    Raises TimeoutError with what `seen` returns if it does not hold within PATIENCE_SECONDS.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"it did not happen within {PATIENCE_SECONDS:.0f} seconds: {seen()}")
        time.sleep(_LOOK_SECONDS)


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds, while the event loop goes on.

    Raises TimeoutError if it does not hold within PATIENCE_SECONDS.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(_LOOK_SECONDS)
