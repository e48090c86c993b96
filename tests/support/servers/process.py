"""Child processes that are servers. They start as an unprivileged user, and stop by their pid."""

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

READY_WITHIN_SECONDS = 60.0
STOPPED_WITHIN_SECONDS = 60.0
LOG_TAIL_LINES = 60
PORT_ATTEMPTS = 5
ROOM_BYTES = 2 * 1024**3
_PR_SET_PDEATHSIG = 1


class ServerStartError(Exception):
    """A server did not start. The message ends with the last lines of its log."""


class PortTakenError(ServerStartError):
    """Another process took the port after we had chosen it and before the server bound it. Try another port."""


@dataclass(frozen=True)
class Account:
    """The system user that servers run as. `switch` is false if it is the user of the test run itself."""

    name: str
    switch: bool

    def own(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.switch:
            shutil.chown(path, self.name)

    def make_folder(self, parent: Path, name: str) -> Path:
        """Make a folder `name` in `parent` that only this user (and root) can enter."""
        folder = parent / name
        folder.mkdir(mode=0o700)
        self.own(folder)
        return folder

    def write(self, path: Path, content: str | bytes, mode: int = 0o600) -> Path:
        """Write `content` to `path`, owned by this user."""
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        self.own(path)
        return path

    def run(self, command: Sequence[str | Path], folder: Path) -> None:
        """Run `command` in `folder` to its end. Raises ServerStartError with its output if it fails."""
        done = subprocess.run(
            [str(word) for word in command],
            cwd=folder,
            env=server_environment(),
            user=self.name if self.switch else None,
            group=self._group(),
            extra_groups=[] if self.switch else None,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise ServerStartError(f"{command[0]} ended with {done.returncode}:\n{done.stdout}")

    def spawn(
        self,
        command: Sequence[str | Path],
        folder: Path,
        log: Path,
        stopped_by: signal.Signals,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> "ServerProcess":
        """Start `command` in `folder`. Append its output to `log`, and add `environment` to a server's environment.

        The child has a process group of its own, so that Ctrl-C reaches it only after the tests' teardown. On Linux
        the child also gets the signal `stopped_by` if the test run dies without a teardown.
        """

        def launch() -> "subprocess.Popen[bytes]":
            with log.open("ab") as output:
                return subprocess.Popen(
                    [str(word) for word in command],
                    cwd=folder,
                    env={**server_environment(), **environment},
                    user=self.name if self.switch else None,
                    group=self._group(),
                    extra_groups=[] if self.switch else None,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    preexec_fn=_die_with_parent(stopped_by) if sys.platform == "linux" else None,
                )

        return ServerProcess(launch, log, stopped_by)

    def _group(self) -> int | None:
        return pwd.getpwnam(self.name).pw_gid if self.switch else None


class ServerProcess:
    """One server process. It runs from the beginning, and can end and start again at the same address."""

    def __init__(self, launch: "Callable[[], subprocess.Popen[bytes]]", log: Path, stopped_by: signal.Signals) -> None:
        """Start the process by `launch`."""
        self._launch = launch
        self._answers: Callable[[], bool] = lambda: True
        self.log = log
        self.stopped_by = stopped_by
        self.popen = launch()

    @property
    def pid(self) -> int:
        """The server's pid (for PostgreSQL: the postmaster's)."""
        return self.popen.pid

    def log_tail(self) -> str:
        """Return the last lines of the server's log."""
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def wait_until_ready(self, answers: Callable[[], bool]) -> None:
        """Poll `answers` until it is true. Raises ServerStartError if the process ends or time runs out."""
        self._answers = answers
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while not answers():
            if self.popen.poll() is not None:
                tail = self.log_tail()
                failure = PortTakenError if "address already in use" in tail.lower() else ServerStartError
                raise failure(f"{self.popen.args!r} ended with {self.popen.returncode}:\n{tail}")
            if time.monotonic() > deadline:
                raise ServerStartError(f"{self.popen.args!r} does not answer:\n{self.log_tail()}")
            time.sleep(0.02)

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self.popen.poll() is None

    def start(self) -> None:
        """Start an ended server again and return when it answers. Raises ServerStartError if it does not.

        There may be several attempts, because a killed server leaves children, and connections from its port, that may
        prevent a start for a moment. On Linux the server ends with the thread that calls this.
        """
        deadline = time.monotonic() + READY_WITHIN_SECONDS
        while True:
            self.popen = self._launch()
            try:
                self.wait_until_ready(self._answers)
            except ServerStartError:
                self.stop()
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def kill(self) -> None:
        """End the process with SIGKILL, on Linux its children too, and return when it is gone.

        A killed PostgreSQL leaves its backends behind, and one could answer another request before it notices.
        """
        self.popen.send_signal(signal.SIGSTOP)  # so that it starts no more children
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        for child in children.read_text().split() if children.exists() else []:
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)
        self.popen.kill()
        self.popen.wait()

    def stop(self) -> None:
        """Stop the server with its own signal, or with SIGKILL if it still runs after a minute."""
        if self.popen.poll() is not None:
            return
        self.popen.send_signal(self.stopped_by)
        try:
            self.popen.wait(STOPPED_WITHIN_SECONDS)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()


def unprivileged_account(*preferred: str) -> Account:
    """Return the user to run servers as: the current one, or under root the first of `preferred` that exists."""
    if os.geteuid() != 0:
        return Account(pwd.getpwuid(os.geteuid()).pw_name, switch=False)
    known = {entry.pw_name for entry in pwd.getpwall()}
    for name in (*preferred, "nobody"):
        if name in known:
            return Account(name, switch=True)
    raise ServerStartError(f"servers refuse root, and no user of {preferred} exists, nor the user `nobody`")


def server_folder() -> Path:
    """Make a temporary folder for one server. Its path is short, because a unix socket's path has about 100 bytes.

    The folder lies in memory if there is room. A clone of a database has 500 files, and takes 15 ms in memory and
    350 ms on a disk. Folders of killed test runs are removed, because they would keep that memory.
    """
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free >= ROOM_BYTES and os.access(memory, os.W_OK)
    parent = memory if roomy else Path(tempfile.gettempdir())
    for left in parent.glob("rb-*-*"):
        pid = left.name.split("-")[1]
        if pid.isdecimal() and not _runs(int(pid)):
            remove_folder(left)
    return Path(tempfile.mkdtemp(prefix=f"rb-{os.getpid()}-", dir=parent))


def remove_folder(folder: Path) -> None:
    """Remove a server's folder. A server killed a moment ago may still delete its own files there."""
    shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that is free now. Another process may bind it before the caller does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def server_environment() -> dict[str, str]:
    """Return the environment of a server. Variables of the test run that could change its behaviour are left out."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # a process of another user
    return True


def _die_with_parent(number: signal.Signals) -> Callable[[], None]:
    libc = ctypes.CDLL(None)  # loaded before the fork, because the child may call as little as possible

    def ask_for_signal() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))

    return ask_for_signal
