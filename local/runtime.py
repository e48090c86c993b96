"""How a function's process is started: its command, its environment variables, and that it dies with us."""

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
# What a process needs of this machine to run at all. Everything else of our own environment stays here, as in
# Lambda.
INHERITED = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")


def default_runtime() -> RuntimeName:
    """Return `awslambdaric`, Lambda's own, where it has wheels (Linux), else `loop`, our own."""
    return "awslambdaric" if sys.platform == "linux" else "loop"


@dataclass(frozen=True)
class Launch:
    """What all functions of an emulator are started with.

    `settings` are environment variables that win over the template's. `wrapper` is a program with its arguments; it
    gets the runtime's module and the handler as further arguments and runs them. `freeze` stops (SIGSTOP) an
    environment between requests. `init_seconds` bounds an environment's start: Lambda allows 10 and then begins
    again, a busy laptop gets more.
    """

    runtime: RuntimeName = field(default_factory=default_runtime)
    settings: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    freeze: bool = False
    init_seconds: float = 60


def command(function: Function, launch: Launch) -> list[str]:
    """Return the argument list of the process that serves `function`."""
    # -P: our own folder stays off the function's import path.
    own = [sys.executable, "-P"]
    loop = str(Path(__file__).with_name("runtime_loop.py"))
    if launch.wrapper:
        module = "awslambdaric" if launch.runtime == "awslambdaric" else loop
        return [*own, *launch.wrapper, module, function.handler]
    if launch.runtime == "awslambdaric":
        return [sys.executable, "-m", "awslambdaric", function.handler]
    return [*own, loop, function.handler]


def variables(function: Function, launch: Launch, address: str, stream: str) -> dict[str, str]:
    """Return the whole environment of a process of `function`, its Runtime API at `address` (host:port).

    The names are Lambda's. The template's variables come next and the launch's settings win.
    """
    region = launch.settings.get("AWS_REGION", REGION)
    path = os.pathsep.join(str(folder.resolve()) for folder in (function.code, *function.layers))
    return {
        **{name: os.environ[name] for name in INHERITED if name in os.environ},
        **function.environment,
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
    """Return what to run in a new process before its program, so that it cannot outlive us, however we end.

    On Linux the kernel kills it when the thread that started it ends (PR_SET_PDEATHSIG; the event loop's
    thread lives as long as the emulator), which also reaches a stopped process. It is set after fork and kept
    over exec. Elsewhere None: there a process ends because its Runtime API is gone, and a stopped one because
    its process group is orphaned (SIGHUP).
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
