"""Wait for a state. A test never waits for a time, so that its result does not depend on the machine's speed."""

import asyncio
import subprocess
import time
from collections.abc import Callable

# The bound of each wait for a state. Far more than any such wait takes, on a busy machine too.
PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.02


def wait_until(condition: Callable[[], bool], seen: Callable[[], object] = lambda: "") -> None:
    """Return once `condition` holds.

    Raises TimeoutError with what `seen` returns if it does not hold within PATIENCE_SECONDS.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the state did not come within {PATIENCE_SECONDS:.0f} seconds: {seen()}")
        time.sleep(_LOOK_SECONDS)


def outputs_of(process: "subprocess.Popen[str]", standard_input: str | None = None) -> tuple[str, str]:
    """Return the output and the errors of the process when it has ended. Kill it if it takes too long."""
    try:
        return process.communicate(standard_input, timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise


async def until(condition: Callable[[], bool]) -> None:
    """Return once `condition` holds, while the event loop continues.

    Raises TimeoutError if it does not hold within PATIENCE_SECONDS.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not condition():
            await asyncio.sleep(_LOOK_SECONDS)
