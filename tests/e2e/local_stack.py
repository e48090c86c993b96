"""`make run` and `make invoke` as processes, started as a user starts them, and what a test can read of them."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import psutil

from local.settings import ROOT
from tests.support.waiting import PATIENCE_SECONDS, outputs_of, wait_until

TURN = {"robot_personality": "guide", "user_message": "Hello!", "robot_response": "Where to?"}

# Prefixes of variables that a developer's shell may set and a test must not inherit.
_UNWANTED = (
    "DB_",
    "DATABASE_",
    "DIRECT_",
    "POWERTOOLS_",
    "TENANT_",
    "AUTH",
    "ALL_USERS_SCOPE",
    "CORS_ORIGIN",
    "SUB",
    "SCOPE",
    "CLAIMS",
    "SECONDS",
    "PORT",
    "FREEZE",
    "LOG",
    "STATE",
    "SCALE_TO_ZERO",
    # `make test` sets these, and a `make` that inherits them prints which folder it enters.
    "MAKE",
    "MFLAGS",
)


@dataclass(frozen=True)
class Stack:
    """A running local stack: its process, the API's address, its state folder, and the file with its output."""

    process: "subprocess.Popen[str]"
    url: str
    state: Path
    output: Path

    def invoke(self, function: str, event: str) -> Any:
        """Run one event through one function on the same database. Return the function's response."""
        invoked = command("local.invoke", self.state, function, event)
        output, log = outputs_of(invoked)
        assert invoked.returncode == 0, log
        return json.loads(output)

    def wait_until_printed(self, pattern: str) -> None:
        """Return once the stack has printed `pattern`."""
        wait_until(lambda: re.search(pattern, self.output.read_text()) is not None, self.output.read_text)


def environment(state: Path, **variables: str) -> dict[str, str]:
    """Return a command's environment: that of this process without the variables above, a free port, and `state`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_UNWANTED)}
    return {**kept, "STATE": str(state), "PORT": "0", "PYTHONUNBUFFERED": "1", **variables}


def command(module: str, state: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start a command of `local/`. Its output goes to pipes."""
    return command_of(ROOT, module, state, *arguments, **variables)


def command_of(root: Path, module: str, state: Path, *arguments: str, **variables: str) -> "subprocess.Popen[str]":
    """Start a command of `local/` of the checkout `root`. Its output goes to pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        cwd=root,
        env=environment(state, **variables),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


@contextmanager
def open_folder() -> Iterator[Path]:
    """Give an empty folder that every user of this machine can enter, as the server's user must if root runs tests."""
    with tempfile.TemporaryDirectory(prefix="rb-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def running(state: Path, **variables: str) -> AbstractContextManager[Stack]:
    """Run the local stack. Fail unless it ends with exit code 0 after SIGTERM."""
    return running_of(ROOT, state, **variables)


@contextmanager
def running_of(root: Path, state: Path, **variables: str) -> Iterator[Stack]:
    """Run the local stack of the checkout `root`. Fail unless it ends with exit code 0 after SIGTERM.

    Its output goes to a file: a pipe that is never read would block it after some hundred access lines.
    """
    state.mkdir(exist_ok=True)
    output = state / "printed.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "local.serve"],
            cwd=root,
            env=environment(state, **variables),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            process_group=0,
        )
    try:
        yield Stack(process, _url(process, output), state, output)
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=PATIENCE_SECONDS) == 0, output.read_text()
    finally:
        process.kill()
        process.wait()


def _url(process: "subprocess.Popen[str]", output: Path) -> str:
    found: list[str] = []

    def is_ready_or_has_ended() -> bool:
        ended = process.poll() is not None
        found.extend(re.findall(r"ready on (http://127\.0\.0\.1:\d+)", output.read_text()))
        return bool(found) or ended

    wait_until(is_ready_or_has_ended, output.read_text)
    assert found, f"the local stack did not become ready:\n{output.read_text()}"
    return found[0]


def call(url: str, body: object = None) -> Any:
    """GET a URL, or POST `body` to it as JSON. Return the answer, parsed as JSON."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return json.loads(response.read())


def ask(method: str, url: str, token: str = "", body: object = None, **headers: str) -> tuple[int, Any, Message]:
    """Send a request with a token. Return the status, the body as JSON or None, and the headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        named["Authorization"] = f"Bearer {token}"
    data = None
    if body is not None:
        data, named["Content-Type"] = json.dumps(body).encode(), "application/json"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, named, method=method)) as response:
            return response.status, json.loads(response.read() or b"null"), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null"), error.headers


def issuer_of(stack: Stack) -> str:
    """Return the issuer's URL that the stack printed."""
    found = re.search(r"token of the issuer (http://127\.0\.0\.1:\d+)", stack.output.read_text())
    assert found is not None, stack.output.read_text()
    return found[1]


def token_of(stack: Stack, sub: str, scope: str = "") -> str:
    """Return a token of the stack's issuer."""
    form = urllib.parse.urlencode({"sub": sub, "scope": scope}).encode()
    with urllib.request.urlopen(f"{issuer_of(stack)}/token", form, timeout=PATIENCE_SECONDS) as response:
        return str(json.loads(response.read())["access_token"])


def server_pid(state: Path) -> int:
    """Return the process id in the pid file of the stack's database server."""
    return int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def processes_of(state: Path) -> list[int]:
    """Return the processes that have the state folder in their command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(state) in part for part in process.info["cmdline"] or [])
    ]


def read_until(process: "subprocess.Popen[str]", pattern: str) -> None:
    """Read the output of the process until a line has `pattern`. Fail if the process ends before."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if re.search(pattern, line):
            return
    raise AssertionError(f"{''.join(lines)}\n{process.communicate()[1]}")
