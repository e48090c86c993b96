"""`make run` and `make invoke` whole: the project's own functions and database, each command in its own process."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from local.postgres import READY_MARK, PostgresError, embedded_postgres
from tests.e2e.local_stack import ROOT, Stack, command, running
from tests.support.servers.databases import Database
from tests.support.waiting import PATIENCE_SECONDS, wait_until

TURN = {"robot_personality": "guide", "user_message": "Hello!", "robot_response": "Where to?"}
NOISE = re.compile("Failed|Traceback|Command '|Is server running|killing it")


def lines_until(process: "subprocess.Popen[str]", pattern: str) -> re.Match[str]:
    assert process.stdout is not None
    seen = []
    for line in process.stdout:
        seen.append(line)
        if match := re.search(pattern, line):
            return match
    raise AssertionError(f"{''.join(seen)}\n{process.communicate()[1]}")


def call(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
        return json.loads(response.read())


def server_pid(state: Path) -> int:
    return int((state / "postgres" / "postmaster.pid").read_text().splitlines()[0])


def servers_of(state: Path) -> list[int]:
    """Return the processes that have the state folder in their command line."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any(str(state) in part for part in process.info["cmdline"] or [])
    ]


def wait_until_gone(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        wait_until(lambda: psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


def test_what_is_written_is_read_also_by_invoke_and_after_a_restart(folder: Path) -> None:
    with running(folder) as stack:
        assert call(f"{stack.url}/sessions/demo/messages", TURN)["messages"][0]["seq"] == 1
        assert call(f"{stack.url}/sessions/demo")["messages"][0]["user_message"] == "Hello!"
        assert call(f"{stack.url}/health/database")["status"] in ("healthy", "degraded")

        invoke = command("local.invoke", folder, "WriteMessageFunction", "events/write_message.json")
        output, log = invoke.communicate(timeout=PATIENCE_SECONDS)
        assert invoke.returncode == 0, log
        assert json.loads(output)["statusCode"] == 201
        assert "REPORT RequestId" in log
        assert json.loads(json.loads(output)["body"])["message_count"] == 2

        second = command("local.serve", folder)
        output, errors = second.communicate(timeout=PATIENCE_SECONDS)
        assert second.returncode == 1
        assert "runs already: process" in errors
        pid = server_pid(folder)
    wait_until_gone(pid)
    assert servers_of(folder) == []

    with running(folder, FREEZE="1") as stack:
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 2
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 2
    logs = {path.name for path in (folder / "logs").iterdir()}
    assert {"WriteMessageFunction.log", "ReadSessionFunction.log"} <= logs
    assert not any("Hello!" in path.read_text() for path in (folder / "logs").iterdir())


def test_after_kill_9_the_next_start_heals_by_itself(folder: Path) -> None:
    with running(folder, FREEZE="1") as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        functions = [child.pid for child in psutil.Process(stack.process.pid).children()]
        assert functions
        stack.process.kill()
        stack.process.wait()
    for pid in functions:
        wait_until_gone(pid)
    assert psutil.pid_exists(server_pid(folder)), "the server is a daemon and has outlived its starter"
    with running(folder) as stack:
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 1
    assert servers_of(folder) == []


def log_of(state: Path, function: str) -> str:
    path = state / "logs" / f"{function}.log"
    return path.read_text() if path.exists() else ""


def printed(stack: Stack, pattern: str) -> None:
    """Wait until the stack has printed `pattern`."""
    wait_until(lambda: re.search(pattern, stack.output.read_text()) is not None, stack.output.read_text)


def wakes_until_it_sleeps(stack: Stack) -> int:
    """Wait until the database sleeps, and return how often it woke. It begins awake."""

    def wakes() -> int:
        return stack.output.read_text().count("The database wakes")

    wait_until(lambda: stack.output.read_text().count("The database is asleep") > wakes(), stack.output.read_text)
    return wakes()


def test_a_head_of_health_has_the_headers_of_a_get_and_no_body(folder: Path) -> None:
    with running(folder) as stack:
        of_health = urllib.request.Request(f"{stack.url}/health", method="HEAD")
        with urllib.request.urlopen(f"{stack.url}/health") as get, urllib.request.urlopen(of_health) as head:
            assert (get.status, head.status) == (200, 200)
            body = get.read()
            assert (len(body) > 0, head.read()) == (True, b"")
            for name in ("content-type", "cache-control", "content-length"):
                assert head.headers[name] == get.headers[name]
            assert head.headers["content-length"] == str(len(body))
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(urllib.request.Request(f"{stack.url}/stats", method="HEAD"))
        assert (error.value.code, error.value.read()) == (404, b"")


def test_the_database_sleeps_when_nobody_talks_and_a_request_wakes_it(folder: Path) -> None:
    with running(folder, SCALE_TO_ZERO="1") as stack:
        assert "The database sleeps after 1 s without a request" in stack.output.read_text()
        # Neither the schedule nor the look at the start keeps it awake. On a slow machine each may wake it once more.
        printed(stack, "StatsScheduleTrigger: StatsFunction done")
        wait_until(lambda: log_of(folder, "StatsFunction").count("REPORT RequestId") >= 2, stack.output.read_text)
        wakes = wakes_until_it_sleeps(stack)
        assert not (folder / "postgres" / "postmaster.pid").exists()
        assert call(f"{stack.url}/health")["status"] == "ok"
        assert wakes_until_it_sleeps(stack) == wakes
        call(f"{stack.url}/sessions/demo/messages", TURN)
        printed(stack, r"The database wakes …\nThe database is awake after \d+\.\d s")
        woken = wakes_until_it_sleeps(stack)
        assert woken > wakes
        # From another process, too.
        assert stack.invoke("ReadSessionFunction", "events/read_session.json")["statusCode"] == 200
        assert wakes_until_it_sleeps(stack) > woken
    assert servers_of(folder) == []


def test_a_database_that_dies_is_started_again(folder: Path) -> None:
    with running(folder) as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        died = server_pid(folder)
        os.kill(died, signal.SIGKILL)
        printed(stack, "The database has died and is started again")
        wait_until_gone(died)
        wait_until(lambda: other_server(folder, died), stack.output.read_text)
        assert answered(f"{stack.url}/sessions/demo")["session"]["message_count"] == 1
        printed(stack, r"The database is back after \d+\.\d s")
    assert servers_of(folder) == []


def other_server(state: Path, died: int) -> bool:
    """Return whether the pid file names another server than the one that died, and is written to its end."""
    try:
        return server_pid(state) != died
    except (FileNotFoundError, IndexError, ValueError):
        return False


def answered(url: str) -> Any:
    """Ask until there is an answer, as a client does after 503 and 504."""
    answers: list[Any] = []

    def ask() -> bool:
        try:
            answers.append(call(url))
        except urllib.error.HTTPError as error:
            if error.code not in (503, 504):
                raise
        return bool(answers)

    wait_until(ask)
    return answers[0]


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.9])
def test_a_signal_while_it_starts_leaves_nothing_running(folder: Path, seconds: float) -> None:
    """Whenever it comes; the pauses only make it likely that it comes in different steps."""
    process = command("local.serve", folder)
    lines_until(process, "Creating PostgreSQL")
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0, errors
    assert "Stopped." in output
    assert servers_of(folder) == []
    with running(folder) as stack:
        assert call(f"{stack.url}/health")["status"] == "ok"


def test_a_busy_port_is_named_before_anything_is_started(folder: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        process = command("local.serve", folder, PORT=str(port))
        _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert f"port {port} on 127.0.0.1 is not free" in errors
    assert "PORT=3001" in errors
    assert not (folder / "postgres").exists()


def test_your_own_database_is_used_and_nothing_started(folder: Path) -> None:
    state = folder / "state"
    with embedded_postgres(folder / "own") as own:
        first = command("local.serve", state, DATABASE_URL=own.app_url, DIRECT_DATABASE_URL=own.direct_url)
        lines_until(first, "ready on")
        first.terminate()
        first.communicate(timeout=PATIENCE_SECONDS)
        assert first.returncode == 0
        own.let_runtime_log_in()
        with running(state, DATABASE_URL=own.app_url) as stack:
            assert call(f"{stack.url}/sessions/demo/messages", TURN)["message_count"] == 1
            invoke = command("local.invoke", state, "read_session", "events/read_session.json")
            _, errors = invoke.communicate(timeout=PATIENCE_SECONDS)
            assert invoke.returncode == 2
            assert "set the same value" in errors
    assert not (state / "postgres").exists()


def test_invoke_alone_starts_the_database_and_tells_failures_by_its_exit_code(folder: Path) -> None:
    invoke = command("local.invoke", folder, "stats", "-")
    output, log = invoke.communicate((ROOT / "events" / "schedule.json").read_text(), timeout=PATIENCE_SECONDS)
    assert invoke.returncode == 0, log
    json.loads(output)
    assert not NOISE.search(log), log
    failing = command("local.invoke", folder, "stats", "-", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    output, _ = failing.communicate((ROOT / "events" / "schedule.json").read_text(), timeout=PATIENCE_SECONDS)
    assert failing.returncode == 1
    assert json.loads(output)["errorType"]
    for arguments, message in [
        (["nothing", "-"], "unknown function nothing"),
        (["stats", "none.json"], "none.json"),
        ([], "make invoke FUNCTION=WriteMessageFunction EVENT=events/write_message.json"),
        (["stats"], "make invoke FUNCTION=WriteMessageFunction EVENT=events/write_message.json"),
    ]:
        refused = command("local.invoke", folder, *arguments)
        _, errors = refused.communicate("{}", timeout=PATIENCE_SECONDS)
        assert refused.returncode == 2
        assert message in errors
        assert "usage:" not in errors
    assert servers_of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_with_the_database_awake_prints_no_more_than_that(folder: Path, number: signal.Signals) -> None:
    with running(folder) as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        os.killpg(stack.process.pid, number)  # as a terminal's Ctrl-C does
        assert stack.process.wait(timeout=PATIENCE_SECONDS) == 0
        assert stack.output.read_text().endswith("Stopping …\nStopped.\n")
        assert not NOISE.search(stack.output.read_text())
    assert "database system is shut down" in (folder / "postgres" / "log").read_text()
    assert servers_of(folder) == []


def test_nothing_is_left_in_the_temporary_folder_that_all_users_share(folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    invoke = command("local.invoke", folder / "state", "stats", "-", TMPDIR=str(shared))
    _, log = invoke.communicate((ROOT / "events" / "schedule.json").read_text(), timeout=PATIENCE_SECONDS)
    assert invoke.returncode == 0, log
    assert list(shared.iterdir()) == []


def test_a_start_that_fails_ends_no_server_of_a_folder_whose_name_begins_alike(folder: Path) -> None:
    broken = folder / "postgres"
    broken.mkdir()
    (broken / READY_MARK).touch()
    (broken / "PG_VERSION").write_text("18\n")
    with embedded_postgres(folder / "postgres-old") as other:
        with pytest.raises(PostgresError, match="does not start"), embedded_postgres(broken):
            pass
        with psycopg.connect(other.admin_url) as connection:
            connection.execute("select 1")


def test_a_pid_file_of_another_process_and_an_unfinished_folder_are_no_obstacle(folder: Path) -> None:
    data = folder / "postgres"
    data.mkdir()
    (data / "PG_VERSION").write_text("18\n")
    with embedded_postgres(data) as postgres:
        assert "robot_brain_migrator" in postgres.direct_url
    assert len(list(folder.glob("postgres.unfinished-*"))) == 1
    # As after a reboot: the number in the file is a living process, which is no server.
    (data / "postmaster.pid").write_text(f"{os.getpid()}\n{data}\n1\n5432\n{data}\n\n 1 1\nready\n")
    (data / ".handle_pids.json").write_text("[1]")
    with embedded_postgres(data):
        pid = server_pid(folder)
        assert pid != os.getpid()
    wait_until_gone(pid)


def test_a_database_that_cannot_be_used_is_told_at_the_start(folder: Path) -> None:
    state = folder / "state"
    with running(state, DATABASE_URL="postgresql://nobody:hush-4711@127.0.0.1:1/none") as stack:
        printed(stack, "cannot use the database")
        assert "cannot use the database: unhealthy (away). The reason is in" in stack.output.read_text()
        assert "data stays in your database" in stack.output.read_text()
    logs = "".join(path.read_text() for path in (state / "logs").iterdir())
    assert "hush-4711" not in stack.output.read_text() + logs


def test_a_schema_that_is_older_than_the_functions_is_named_at_the_start(
    folder: Path, embedded_database: Database
) -> None:
    with embedded_database.admin() as admin:
        admin.execute(
            "create or replace function robot_brain.schema_version() returns integer"
            " language sql immutable parallel safe return 1"
        )
    with running(folder / "state", DATABASE_URL=embedded_database.app_url) as stack:
        printed(stack, "cannot use the database")
        assert "unhealthy (schema). Its schema is missing or older than the functions" in stack.output.read_text()
        assert "run make migrate with DIRECT_DATABASE_URL" in stack.output.read_text()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("with space", "path with a space"),
        ("long" * 25, "too long for a socket"),
        ("a file/state", "cannot be used"),
    ],
)
def test_a_state_folder_that_cannot_be_used_is_refused_in_a_sentence(folder: Path, name: str, message: str) -> None:
    (folder / "a file").touch()
    process = command("local.serve", folder / name)
    _, errors = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 1
    assert message in errors
    assert "STATE=<folder>" in errors
    assert "Traceback" not in errors
