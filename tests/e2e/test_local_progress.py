"""On a terminal the local commands show what goes on during long steps. A log gets one line for each step."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg

from local.settings import ROOT
from ops.apply_files import LOCK
from tests.e2e.local_stack import command, environment, read_until, running
from tests.support.servers.databases import Database
from tests.support.waiting import outputs_of

ERASE = "\r\x1b[K"

# The line of a machine on which Docker runs.
BRIDGE = r"(For sam local, .*\n)?"


def seen_on_a_terminal(state: Path) -> str:
    """Return what `make run` writes to a terminal until it is ready."""
    terminal, other_end = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "local.serve"],
        cwd=ROOT,
        env=environment(state),
        stdin=other_end,
        stdout=other_end,
        stderr=other_end,
        start_new_session=True,
    )
    os.close(other_end)
    seen = b""
    while b"ready on" not in seen:
        seen += os.read(terminal, 4096)
    process.send_signal(signal.SIGINT)
    while b"Stopped." not in seen:
        seen += os.read(terminal, 4096)
    os.close(terminal)
    assert process.wait() == 0
    return seen.decode(errors="replace").replace("\r\n", "\n")


def shown(text: str) -> list[str]:
    """Return the lines that stay on the screen: what is erased does not."""
    return [line.rpartition(ERASE)[2] for line in text.split("\n")]


def test_on_a_terminal_each_long_step_of_the_first_start_is_shown_and_leaves_no_trace(folder: Path) -> None:
    seen = seen_on_a_terminal(folder / "state")
    for step in ("Creating the data", "Starting PostgreSQL", "Migrating"):
        assert f"{ERASE}{step} … 0 s" in seen
    # The line is drawn each 0.2 s, at whatever the migration does then.
    assert re.search(rf"{re.escape(ERASE)}Migrating … \d+ s  \d+ files: +\w+", seen), seen
    staying = "\n".join(shown(seen))
    assert re.search(rf"\nMigrated: \d+ files of sql/ applied\.\n{BRIDGE}Robot Brain is ready on ", staying), staying
    assert "Migrating …" not in staying
    assert "applying" not in staying


def test_a_start_that_waits_for_another_migration_says_so_also_in_a_log(
    folder: Path, embedded_database: Database
) -> None:
    with psycopg.connect(embedded_database.direct_url, autocommit=True) as other:
        other.execute("select pg_advisory_lock(%s)", (LOCK,))
        process = command(
            "local.serve",
            folder / "state",
            DATABASE_URL=embedded_database.app_url,
            DIRECT_DATABASE_URL=embedded_database.direct_url,
        )
        read_until(process, "waiting")
    read_until(process, "ready on")
    process.terminate()
    outputs_of(process)
    assert process.returncode == 0


def test_in_a_log_the_steps_of_a_start_are_lines_without_control_characters(folder: Path) -> None:
    with running(folder / "state") as stack:
        text = stack.output.read_text()
    steps = rf"Creating PostgreSQL in \S+ …\nMigrated: \d+ files of sql/ applied\.\n{BRIDGE}Robot Brain is ready"
    assert re.match(steps, text)
    assert "\x1b" not in text
    assert "\r" not in text
