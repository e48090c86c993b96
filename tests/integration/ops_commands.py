"""Run `python -m ops backup` and `restore` in processes of their own, and programs that stand in front of pg_dump."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from local.settings import ROOT
from tests.integration.backups import url_of
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

# The dump waits for this lock, and no request does.
_LOCK = "lock table robot_brain_migrations.files in access exclusive mode"
_WAITS = """
select pid from pg_stat_activity
where datname = current_database() and application_name = 'robot-brain-backup' and wait_event_type = 'Lock'
  and query like 'LOCK TABLE%'
"""
_OPEN = """
select pid from pg_stat_activity
where datname = current_database() and application_name = 'robot-brain-backup'
"""


def _hear_signals() -> None:
    """Undo what a shell does for a command in the background, which ignores Ctrl-C, and what nohup does."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@contextmanager
def command(
    name: str, direct_url: str, file: Path, *options: str, stderr: int = subprocess.PIPE, **variables: str
) -> Iterator["subprocess.Popen[str]"]:
    """Run the command during the block, and kill it if it still runs at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ops", name, "--file", str(file), *options],
        cwd=ROOT,
        env={"PATH": os.environ.get("PATH", os.defpath), "DIRECT_DATABASE_URL": direct_url, **variables},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        preexec_fn=_hear_signals,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def child_of(process: "subprocess.Popen[str]", name: str) -> psutil.Process:
    """Return the child `name` of the command, once it runs."""
    found: list[psutil.Process] = []

    def runs() -> bool:
        assert process.poll() is None, process.communicate()
        found[:] = [child for child in psutil.Process(process.pid).children(recursive=True) if child.name() == name]
        return bool(found)

    wait_until(runs)
    return found[0]


@contextmanager
def waiting_backup(
    database: Database, kind: str, file: Path, *, url: str = "", stderr: int = subprocess.PIPE
) -> Iterator[tuple["subprocess.Popen[str]", Callable[[], None]]]:
    """Run a backup whose pg_dump has its snapshot and waits for a lock. Yield it, and a function that lets it go on."""
    url = url or url_of(database.postgres, kind, database.name)
    with database.admin() as admin, database.admin() as other:
        admin.autocommit = False
        admin.execute(_LOCK)
        with command("backup", url, file, stderr=stderr) as process:

            def waits() -> bool:
                assert process.poll() is None, process.communicate()
                return other.execute(_WAITS).fetchone() is not None

            wait_until(waits)
            yield process, admin.rollback
        # A backup that was stopped leaves no connection behind.
        admin.rollback()
        wait_until(lambda: other.execute(_OPEN).fetchone() is None)


def tools_in_front(folder: Path, tools: Path, **before: str) -> Path:
    """Make a folder whose programs run the shell's lines `before` of their name first. Return the folder.

    Then they run the program of `tools`, which is `$real` for these lines.
    """
    folder.mkdir()
    for name in ("pg_dump", "pg_restore"):
        script = folder / name
        script.write_text(
            f"#!/bin/sh\nreal={shlex.quote(str(tools / name))}\n"
            f'if [ "$1" != --version ]; then\n{before.get(name, ":")}\nfi\nexec "$real" "$@"\n'
        )
        script.chmod(0o755)
    return folder
