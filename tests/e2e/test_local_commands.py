"""`make run` and `make invoke` with the project's own functions and database, each command in its own process."""

import json
import os
import re
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from local.postgres import embedded_postgres
from local.settings import ROOT
from tests.e2e.local_stack import TURN, call, command, processes_of, read_until, running, server_pid
from tests.e2e.processes import wait_until_gone
from tests.support.waiting import PATIENCE_SECONDS, outputs_of

# Words that show a failure in the output of a command.
ALARMS = re.compile("Failed|Traceback|Command '|Is server running|killing it")


def test_a_turn_can_be_read_with_make_invoke_and_after_a_restart(folder: Path) -> None:
    with running(folder) as stack:
        assert call(f"{stack.url}/sessions/demo/messages", TURN)["messages"][0]["seq"] == 1
        assert call(f"{stack.url}/sessions/demo")["messages"][0]["user_message"] == "Hello!"
        assert call(f"{stack.url}/health/database")["status"] in ("healthy", "degraded")

        invoke = command("local.invoke", folder, "WriteMessageFunction", "events/write_message.json")
        output, log = outputs_of(invoke)
        assert invoke.returncode == 0, log
        assert json.loads(output)["statusCode"] == 201
        assert "REPORT RequestId" in log
        assert json.loads(json.loads(output)["body"])["message_count"] == 2

        second = command("local.serve", folder)
        output, errors = outputs_of(second)
        assert second.returncode == 1
        assert "runs already: process" in errors
        pid = server_pid(folder)
    wait_until_gone(pid)
    assert processes_of(folder) == []

    with running(folder, FREEZE="1") as stack:
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 2
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 2
    logs = {path.name for path in (folder / "logs").iterdir()}
    assert {"WriteMessageFunction.log", "ReadSessionFunction.log"} <= logs
    assert not any("Hello!" in path.read_text() for path in (folder / "logs").iterdir())


def test_head_health_has_the_headers_of_get_health_and_no_body(folder: Path) -> None:
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


def test_with_database_url_no_database_is_started(folder: Path) -> None:
    state = folder / "state"
    with embedded_postgres(folder / "own") as own:
        first = command("local.serve", state, DATABASE_URL=own.app_url, DIRECT_DATABASE_URL=own.direct_url)
        read_until(first, "ready on")
        first.terminate()
        outputs_of(first)
        assert first.returncode == 0
        own.let_runtime_log_in()
        with running(state, DATABASE_URL=own.app_url) as stack:
            assert call(f"{stack.url}/sessions/demo/messages", TURN)["message_count"] == 1
            invoke = command("local.invoke", state, "read_session", "events/read_session.json")
            _, errors = outputs_of(invoke)
            assert invoke.returncode == 2
            assert "set the same value" in errors
    assert not (state / "postgres").exists()


def test_make_invoke_alone_starts_the_database_and_a_failure_sets_its_exit_code(folder: Path) -> None:
    invoke = command("local.invoke", folder, "stats", "-")
    output, log = outputs_of(invoke, (ROOT / "events" / "schedule.json").read_text())
    assert invoke.returncode == 0, log
    json.loads(output)
    assert not ALARMS.search(log), log
    failing = command("local.invoke", folder, "stats", "-", DATABASE_URL="postgresql://nobody@127.0.0.1:1/none")
    output, _ = outputs_of(failing, (ROOT / "events" / "schedule.json").read_text())
    assert failing.returncode == 1
    assert json.loads(output)["errorType"]
    for arguments, message in [
        (["nothing", "-"], "unknown function nothing"),
        (["stats", "none.json"], "none.json"),
        ([], "make invoke FUNCTION=WriteMessageFunction EVENT=events/write_message.json"),
        (["stats"], "make invoke FUNCTION=WriteMessageFunction EVENT=events/write_message.json"),
    ]:
        refused = command("local.invoke", folder, *arguments)
        _, errors = outputs_of(refused, "{}")
        assert refused.returncode == 2
        assert message in errors
        assert "usage:" not in errors
    assert processes_of(folder) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_with_the_database_awake_prints_only_that_it_stops(folder: Path, number: signal.Signals) -> None:
    with running(folder) as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        os.killpg(stack.process.pid, number)  # as Ctrl-C in a terminal does
        assert stack.process.wait(timeout=PATIENCE_SECONDS) == 0
        assert stack.output.read_text().endswith("Stopping …\nStopped.\n")
        assert not ALARMS.search(stack.output.read_text())
    assert "database system is shut down" in (folder / "postgres" / "log").read_text()
    assert processes_of(folder) == []


def test_make_invoke_leaves_no_file_in_the_shared_temporary_folder(folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    invoke = command("local.invoke", folder / "state", "stats", "-", TMPDIR=str(shared))
    _, log = outputs_of(invoke, (ROOT / "events" / "schedule.json").read_text())
    assert invoke.returncode == 0, log
    assert list(shared.iterdir()) == []
