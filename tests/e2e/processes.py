"""The processes that a test started: whether they are stopped or gone, and the runtimes that a function can have."""

import sys

import psutil
import pytest

from local.runtime import RuntimeName
from tests.support.waiting import wait_until

# awslambdaric has wheels for Linux only.
RUNTIMES: list[RuntimeName] = ["loop", "awslambdaric"] if sys.platform == "linux" else ["loop"]
every_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


def is_gone(pid: int) -> bool:
    """Return whether the process has ended. A process whose parent has not collected it has ended, too."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_stopped(pid: int) -> bool:
    """Return whether the process is stopped. The kernel stops it some time after SIGSTOP was sent."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


def wait_until_gone(pid: int) -> None:
    """Return once the process has ended."""
    wait_until(lambda: is_gone(pid))
