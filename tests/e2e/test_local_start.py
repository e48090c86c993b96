"""The start of `make run`: what it refuses, what it says about the database, and a signal in the middle of it."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local.settings import ROOT
from tests.e2e.local_stack import call, command, environment, processes_of, read_until, running
from tests.support.servers.databases import Database
from tests.support.waiting import outputs_of


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.9])
def test_a_signal_during_the_start_leaves_no_process_running(folder: Path, seconds: float) -> None:
    """The pauses only make it likely that the signal comes in different steps of the start."""
    process = command("local.serve", folder)
    read_until(process, "Creating PostgreSQL")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, errors = outputs_of(process)
    assert process.returncode == 0, errors
    assert "Stopped." in output
    assert processes_of(folder) == []
    with running(folder) as stack:
        assert call(f"{stack.url}/health")["status"] == "ok"


# A program that runs `make run` and gets SIGINT inside a finalizer, as soon as it prints that it creates PostgreSQL.
_INTERRUPTED_IN_A_FINALIZER = """
import os, signal, sys, weakref
import local.serve

class Mortal:
    pass

def say(line):
    print(line, flush=True)
    if "Creating PostgreSQL" in line:
        mortal = Mortal()
        reference = weakref.ref(mortal, lambda _: signal.raise_signal(signal.SIGINT))
        del mortal

local.serve._say = say
sys.exit(local.serve.main([], os.environ))
"""


def test_a_signal_in_a_finalizer_during_the_start_still_stops_it(folder: Path) -> None:
    """Python only prints the KeyboardInterrupt that is raised in a finalizer, and goes on."""
    process = subprocess.Popen(
        [sys.executable, "-c", _INTERRUPTED_IN_A_FINALIZER],
        cwd=ROOT,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    output, errors = outputs_of(process)
    assert process.returncode == 0, errors
    assert "KeyboardInterrupt" in errors
    assert output.endswith("Stopped.\n")
    assert processes_of(folder) == []


def test_a_busy_port_is_an_error_before_anything_is_started(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = command("local.serve", folder, PORT=str(port))
        _, errors = outputs_of(process)
    assert process.returncode == 1
    assert f"port {port} on 127.0.0.1 is not free" in errors
    assert f"Choose another: PORT={port + 10}, or PORT=0" in errors
    assert not (folder / "postgres").exists()


def test_the_start_says_that_the_database_cannot_be_used(folder: Path) -> None:
    state = folder / "state"
    with running(state, DATABASE_URL="postgresql://nobody:hush-4711@127.0.0.1:1/none") as stack:
        stack.wait_until_printed("cannot use the database")
        assert "cannot use the database: unhealthy (away). The reason is in" in stack.output.read_text()
        assert "data stays in your database" in stack.output.read_text()
    logs = "".join(path.read_text() for path in (state / "logs").iterdir())
    assert "hush-4711" not in stack.output.read_text() + logs


def test_the_start_says_that_the_schema_is_older_than_the_functions(folder: Path, embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute(
            "create or replace function robot_brain.schema_version() returns integer"
            " language sql immutable parallel safe return 1"
        )
    with running(folder / "state", DATABASE_URL=embedded_database.app_url) as stack:
        stack.wait_until_printed("cannot use the database")
        assert "unhealthy (schema). Its schema is older than the functions" in stack.output.read_text()
        assert "run make migrate with DIRECT_DATABASE_URL" in stack.output.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("with space", "path with a space"),
        ("long" * 25, "too long for a socket"),
        ("a file/state", "cannot be used"),
    ],
)
def test_an_unusable_state_folder_is_refused_in_one_sentence(folder: Path, name: str, message: str) -> None:
    (folder / "a file").touch()
    process = command("local.serve", folder / name)
    _, errors = outputs_of(process)
    assert process.returncode == 1
    assert message in errors
    assert "STATE=<folder>" in errors
    assert "Traceback" not in errors


def test_a_locale_that_this_machine_does_not_have_prevents_no_start(folder: Path) -> None:
    """ssh passes on the locale of another machine."""
    with running(folder / "state", LC_ALL="xx_YY.UTF-8") as stack:
        assert call(f"{stack.url}/health")["status"] == "ok"
