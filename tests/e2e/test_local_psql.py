"""`make psql` opens the local database as its owner, who sees the rows of a tenant."""

import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
from pathlib import Path

import psutil
import pytest

from local.settings import ROOT
from tests.e2e.local_stack import TURN, ask, call, command, environment, processes_of, running
from tests.support.waiting import outputs_of, wait_until


def psql(state: Path, sql: str, **variables: str) -> tuple[int, str, str]:
    """Run SQL with `make psql`. Return the exit status, the output and the errors."""
    made = command("local.psql", state, SQL=sql, **variables)
    output, errors = outputs_of(made)
    return made.returncode, output, errors


def test_psql_is_the_owner_beside_a_running_stack_and_sees_and_changes_the_rows_of_the_tenant(folder: Path) -> None:
    with running(folder / "state") as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        assert ask("POST", f"{stack.url}/users", body={"email": "ann@example.com"})[0] == 201
        for table in ("sessions", "conversations", "users", "audit_logs"):
            status, output, errors = psql(
                stack.state, f"select 'rows', count(*), current_user from robot_brain.{table}"
            )
            assert re.search(r"rows +\| +[12] +\| robot_brain_migrator", output), (table, output, errors)
            assert status == 0
        assert "UPDATE 1" in psql(stack.state, "update robot_brain.users set email = 'bob@example.com'")[1]
        assert "(0 rows)" in psql(stack.state, "select * from robot_brain.users", TENANT_ID="a b")[1]
        status, _, errors = psql(stack.state, "select nonsense")
        assert (status, "nonsense" in errors) == (1, True)


def test_psql_alone_starts_the_database_and_stops_it(folder: Path) -> None:
    status, output, errors = psql(folder, "select count(*) from robot_brain_migrations.files")
    assert status == 0, errors
    assert re.search(r"^ +\d+$", output, re.MULTILINE)
    assert processes_of(folder) == []


def test_psql_wakes_a_database_that_sleeps(folder: Path) -> None:
    with running(folder / "state", SCALE_TO_ZERO="1") as stack:
        stack.wait_until_printed("The database is asleep")
        assert "robot_brain" in psql(stack.state, "select current_database()")[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_psql_that_started_the_database_leaves_no_process_running(
    folder: Path, number: signal.Signals
) -> None:
    made = command("local.psql", folder)
    wait_until(lambda: any(each.name() == "psql" for each in psutil.Process(made.pid).children()))
    made.send_signal(number)
    made.communicate()
    assert processes_of(folder) == []


def test_with_a_database_of_your_own_psql_is_refused_in_one_sentence(folder: Path) -> None:
    status, _, errors = psql(folder, "select 1", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    assert status == 2
    assert errors.startswith("psql cannot be opened: it opens only the database that make run starts.")


def test_a_psql_that_does_not_run_is_an_error_that_says_so(folder: Path) -> None:
    broken = "import pathlib, os, sys, local.psql as p; p.programs = lambda user: pathlib.Path(sys.argv[1])"
    (folder / "psql").write_text("#!/bin/sh\necho no such library >&2\nexit 127\n")
    (folder / "psql").chmod(0o755)
    for place, reason in ((folder, "no such library"), (folder / "nowhere", "No such file or directory")):
        done = subprocess.run(
            [sys.executable, "-c", f"{broken}; sys.exit(p.main([], os.environ))", str(place)],
            cwd=ROOT,
            env=environment(folder / "state"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2
        assert f"does not run here ({reason}). Use a psql of your own" in done.stderr


def test_on_a_terminal_psql_says_who_you_are_and_ctrl_c_ends_only_the_statement(folder: Path) -> None:
    with running(folder / "state") as stack:
        terminal, other_end = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "local.psql"],
            cwd=ROOT,
            env={**environment(stack.state), "PAGER": "cat", "TERM": "dumb"},
            stdin=other_end,
            stdout=other_end,
            stderr=other_end,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(other_end)
        seen = ""

        def read_until(text: str) -> None:
            nonlocal seen
            while text not in seen:
                seen += os.read(terminal, 4096).decode()

        read_until("robot_brain=>")
        assert "You are robot_brain_migrator, the owner, and see the rows of tenant local" in seen
        os.write(terminal, b"select pg_sleep(600);\n")
        wait_until(
            lambda: "active" in psql(stack.state, "select state from pg_stat_activity where query ~ '_sleep.600'")[1]
        )
        os.write(terminal, b"\x03")
        read_until("canceling statement")
        os.write(terminal, b"select 'still ' || 'here';\n")
        read_until("still here")
        os.write(terminal, b"\\q\n")
        assert process.wait() == 0
        os.close(terminal)
