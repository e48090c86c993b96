"""The distribution's PostgreSQL, PgBouncer and libfaketime, which pip cannot install."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

VERSIONS = range(15, 19)


class MissingBinaryError(Exception):
    """A server's program is not installed on this machine. The message names the package that has it."""


def debian_postgres() -> tuple[Path, int]:
    """Return the folder of the newest PostgreSQL 15 to 18 installed here, and its major version."""
    folders = list(Path("/usr/lib/postgresql").glob("*/bin"))
    pg_config = shutil.which("pg_config")
    if pg_config is not None:
        done = subprocess.run([pg_config, "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(done.stdout.strip()))
    found = {_version(folder): folder for folder in folders if (folder / "initdb").exists()}
    usable = [version for version in found if version in VERSIONS]
    if not usable:
        raise MissingBinaryError("no PostgreSQL 15 to 18 with TLS here: apt-get install postgresql")
    return found[max(usable)], max(usable)


def debian_pgbouncer() -> Path:
    """Return PgBouncer's program."""
    # Debian installs it in /usr/sbin, which is not on every user's PATH.
    path = os.environ.get("PATH", os.defpath)
    found = shutil.which("pgbouncer", path=os.pathsep.join((path, "/usr/sbin", "/usr/local/sbin")))
    if found is None:
        raise MissingBinaryError("no PgBouncer here: apt-get install pgbouncer")
    return Path(found)


def debian_libfaketime() -> Path:
    """Return the path of the library that moves a program's clock."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not found:
        raise MissingBinaryError("no libfaketime here, so no server's clock can step: apt-get install libfaketime")
    return found[0]


def skip_without(find: Callable[[], object]) -> None:
    """Skip the test if `find` raises MissingBinaryError. CI installs everything, so there the test fails."""
    try:
        find()
    except MissingBinaryError as missing:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(missing))


def _version(folder: Path) -> int:
    done = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=True)
    match = re.search(r"\d+", done.stdout)
    assert match is not None, f"{folder}/postgres --version says {done.stdout!r}"
    return int(match.group())
