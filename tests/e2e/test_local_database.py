"""The database of `make run`: it sleeps and wakes, starts again after it died, and starts after every kind of end."""

import os
import signal
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from local.postgres import READY_MARK, PostgresError, embedded_postgres
from tests.e2e.local_stack import TURN, Stack, call, processes_of, running, server_pid
from tests.e2e.processes import wait_until_gone
from tests.support.waiting import wait_until


def log_of(state: Path, function: str) -> str:
    """Return the log of a function, which is empty before its first request."""
    path = state / "logs" / f"{function}.log"
    return path.read_text() if path.exists() else ""


def wakes_before_sleep(stack: Stack) -> int:
    """Wait until the database sleeps. Return how often it woke before. It is awake at the start."""

    def wakes() -> int:
        return stack.output.read_text().count("The database wakes")

    wait_until(lambda: stack.output.read_text().count("The database is asleep") > wakes(), stack.output.read_text)
    return wakes()


def other_server(state: Path, died: int) -> bool:
    """Return whether the pid file is complete and names another server than the one that died."""
    try:
        return server_pid(state) != died
    except (FileNotFoundError, IndexError, ValueError):
        return False


def answer_of(url: str) -> Any:
    """Send a GET again after each 503 and 504, as a client does. Return the first other answer."""
    answers: list[Any] = []

    def has_answer() -> bool:
        try:
            answers.append(call(url))
        except urllib.error.HTTPError as error:
            if error.code not in (503, 504):
                raise
        return bool(answers)

    wait_until(has_answer)
    return answers[0]


def test_after_kill_9_the_next_start_works_and_has_the_data(folder: Path) -> None:
    with running(folder, FREEZE="1") as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        functions = [child.pid for child in psutil.Process(stack.process.pid).children()]
        assert functions
        stack.process.kill()
        stack.process.wait()
    for pid in functions:
        wait_until_gone(pid)
    assert psutil.pid_exists(server_pid(folder)), "the database server must outlive the killed command"
    with running(folder) as stack:
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 1
    assert processes_of(folder) == []


def test_the_database_sleeps_without_requests_and_a_request_wakes_it(folder: Path) -> None:
    with running(folder, SCALE_TO_ZERO="1") as stack:
        assert "The database sleeps after 1 s without a request" in stack.output.read_text()
        # Neither the schedule nor the check at the start keeps it awake. On a slow machine each may wake it once more.
        stack.wait_until_printed("StatsScheduleTrigger: StatsFunction done")
        wait_until(lambda: log_of(folder, "StatsFunction").count("REPORT RequestId") >= 2, stack.output.read_text)
        wakes = wakes_before_sleep(stack)
        assert not (folder / "postgres" / "postmaster.pid").exists()
        assert call(f"{stack.url}/health")["status"] == "ok"
        assert wakes_before_sleep(stack) == wakes
        call(f"{stack.url}/sessions/demo/messages", TURN)
        stack.wait_until_printed(r"The database wakes …\nThe database is awake after \d+\.\d s")
        woken = wakes_before_sleep(stack)
        assert woken > wakes
        # A request from another process wakes the database, too.
        assert stack.invoke("ReadSessionFunction", "events/read_session.json")["statusCode"] == 200
        assert wakes_before_sleep(stack) > woken
    assert processes_of(folder) == []


def test_a_database_that_dies_is_started_again(folder: Path) -> None:
    with running(folder) as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        died = server_pid(folder)
        os.kill(died, signal.SIGKILL)
        stack.wait_until_printed("The database has died and is started again")
        wait_until_gone(died)
        wait_until(lambda: other_server(folder, died), stack.output.read_text)
        assert answer_of(f"{stack.url}/sessions/demo")["session"]["message_count"] == 1
        stack.wait_until_printed(r"The database is back after \d+\.\d s")
    assert processes_of(folder) == []


def test_a_failed_start_ends_no_server_of_a_folder_with_a_similar_name(folder: Path) -> None:
    broken = folder / "postgres"
    broken.mkdir()
    (broken / READY_MARK).touch()
    (broken / "PG_VERSION").write_text("18\n")
    with embedded_postgres(folder / "postgres-old") as other:
        with pytest.raises(PostgresError, match="does not start"), embedded_postgres(broken):
            pass
        with psycopg.connect(other.admin_url) as connection:
            connection.execute("select 1")


def test_a_stale_pid_file_or_an_unfinished_folder_does_not_keep_the_database_from_starting(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("18\n")
    with embedded_postgres(data) as postgres:
        assert "robot_brain_migrator" in postgres.direct_url
    assert len(list(folder.glob("postgres.unfinished-*"))) == 1
    # As after a reboot: the number in the pid file is now that of a living process, which is no server.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n{data}\n\n 1 1\nready\n")
    (data / ".handle_pids.json").write_text("[1]")
    with embedded_postgres(data):
        pid = server_pid(folder)
        assert pid != os.getpid()
    wait_until_gone(pid)
