"""How a function's process starts: its command, its environment variables, and its end together with the emulator."""

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from local.cloudformation import REGION
from local.template import Function

RuntimeName = Literal["awslambdaric", "loop"]
PR_SET_PDEATHSIG = 1
# The variables of our own environment that a process needs to run. It gets no others, as in Lambda.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


def default_runtime() -> RuntimeName:
    """Return `awslambdaric`, Lambda's own client, on Linux. Elsewhere it has no wheels: return `loop`, our own."""
    return "awslambdaric" if sys.platform == "linux" else "loop"


@dataclass(frozen=True)
class Launch:
    """The settings with which all functions of an emulator start.

    `settings` are environment variables that override the template's. `wrapper` is a program with its arguments. It
    gets the runtime's module and the handler as further arguments and runs them. `freeze` stops (SIGSTOP) an
    environment between requests. `init_seconds` limits an environment's start. Lambda allows 10 s and then tries again.
    A busy laptop gets more.
    """

    runtime: RuntimeName = field(default_factory=default_runtime)
    settings: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    freeze: bool = False
    init_seconds: float = 60


def command(function: Function, launch: Launch) -> list[str]:
    """Return the argument list of the process that serves `function`."""
    # -P keeps the folder of our own code off the function's import path.
    own = [sys.executable, "-P"]
    loop = str(Path(__file__).with_name("runtime_loop.py"))
    if launch.wrapper:
        module = "awslambdaric" if launch.runtime == "awslambdaric" else loop
        return [*own, *launch.wrapper, module, function.handler]
    if launch.runtime == "awslambdaric":
        return [sys.executable, "-m", "awslambdaric", function.handler]
    return [*own, loop, function.handler]


def variables(function: Function, launch: Launch, address: str, stream: str) -> dict[str, str]:
    """Return all environment variables of a process of `function`, whose Runtime API is at `address` (host:port).

    The names are Lambda's. The launch's settings override the template's variables. Lambda's own variables override
    both.
    """
    region = launch.settings.get("AWS_REGION", REGION)
    path = os.pathsep.join(str(folder.resolve()) for folder in (function.code, *function.layers))
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **function.environment,
        # The template's AUTH needs an authorizer. The front has one only if the settings say so.
        "AUTH": "none",
        **launch.settings,
        "AWS_DEFAULT_REGION": region,
        "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_REGION": region,
        "LAMBDA_TASK_ROOT": str(function.code.resolve()),
        "PYTHONPATH": path,
        "TZ": ":UTC",
        "_HANDLER": function.handler,
    }


def die_with_parent() -> Callable[[], None] | None:
    """Return a function to run in a new process before its program, so that the process never outlives ours.

    On Linux the kernel kills the process when the thread that started it ends (PR_SET_PDEATHSIG). That also ends a
    stopped process. The event loop's thread lives as long as the emulator. The setting is made after fork and survives
    exec. Returns None on other systems. There a process ends because its Runtime API is gone. A stopped process ends
    because its process group is orphaned (SIGHUP).
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def arrange() -> None:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            # The parent died between fork and prctl.
            os._exit(1)

    return arrange
