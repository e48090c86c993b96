"""The Lambda emulator when a function fails, is too slow, answers too much or is killed, or its client disconnects."""

import asyncio
import os
import signal
from pathlib import Path

import pytest

from local.runtime import RuntimeName
from tests.e2e.probe_stack import ProbeStack, run_probe
from tests.e2e.processes import every_runtime, is_gone
from tests.support.waiting import until

INTERNAL = {"message": "Internal Server Error"}


@every_runtime
def test_a_function_past_its_timeout_is_killed_and_the_next_request_is_served(
    tmp_path: Path, runtime: RuntimeName
) -> None:
    async def test(stack: ProbeStack) -> None:
        task = asyncio.create_task(stack.get("/endless"))
        await until(lambda: bool(stack.emulator.environments("Endless")))
        environment = stack.emulator.environments("Endless")[0]
        await until(lambda: environment.alive)
        pid = environment.pid
        answer = await task
        assert (answer.status, answer.data) == (500, INTERNAL)
        assert "Task timed out after 1.00 seconds" in stack.log("Endless")
        await until(lambda: is_gone(pid))
        assert (await stack.get("/echo/a")).status == 200
        assert stack.emulator.counters.busy == 0

    run_probe(tmp_path, test, runtime=runtime)


@every_runtime
@pytest.mark.parametrize("path", ["/crash", "/fail", "/broken", "/missing"])
def test_a_failed_function_gives_500_without_its_reason(tmp_path: Path, runtime: RuntimeName, path: str) -> None:
    async def test(stack: ProbeStack) -> None:
        for _ in range(2):
            answer = await stack.get(path)
            assert (answer.status, answer.data) == (500, INTERNAL)
        # A raised exception leaves the environment usable, an ended process does not.
        assert stack.emulator.counters.started == (1 if path == "/fail" else 2)
        log = stack.log(path.strip("/").title())
        assert ("a secret of the function" in log) == (path == "/fail")
        assert ("cannot be imported" in log) == (path == "/broken")

    run_probe(tmp_path, test, runtime=runtime)


@every_runtime
def test_a_response_over_six_megabytes_gives_500_and_a_smaller_one_passes(tmp_path: Path, runtime: RuntimeName) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.get("/sized?size=6291000")
        assert (answer.status, len(answer.body)) == (200, 6_291_000)
        answer = await stack.get("/sized?size=6291556")
        assert (answer.status, answer.data) == (500, INTERNAL)
        assert (await stack.get("/sized?size=1")).status == 200

    run_probe(tmp_path, test, runtime=runtime)


def test_the_gateway_gives_up_on_a_function_after_its_own_timeout(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.get("/patient")
        assert (answer.status, answer.data) == (503, {"message": "Service Unavailable"})
        assert stack.emulator.counters.busy == 1, "the function runs on, as in Lambda"

    run_probe(tmp_path, test, integration_seconds=0.5)


def test_an_environment_killed_during_a_request_gives_500_and_the_next_request_gets_a_new_one(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        task = asyncio.create_task(stack.get("/patient"))
        await until(lambda: "the endless one begins" in stack.log("Patient"))
        stack.emulator.environments("Patient")[0].kill()
        assert (await task).status == 500
        pid = (await stack.get("/echo/a")).data["pid"]
        stack.emulator.environments("Echo")[0].kill()
        assert (await stack.get("/echo/a")).data["pid"] != pid

    run_probe(tmp_path, test)


def test_an_idle_process_that_is_killed_from_outside_costs_at_most_one_request(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        pid = (await stack.get("/echo/a")).data["pid"]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: is_gone(pid))
        assert (await stack.get("/echo/a")).status in (200, 500)
        assert (await stack.get("/echo/a")).status == 200

    run_probe(tmp_path, test)


def test_after_a_client_disconnected_its_environment_serves_the_next_request(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        gate = tmp_path / "gate"
        _, writer = await asyncio.open_connection("127.0.0.1", stack.port)
        writer.write(f"GET /wait?gate={gate} HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        await until(lambda: stack.emulator.counters.busy == 1)
        writer.transport.abort()
        gate.touch()
        await until(lambda: stack.emulator.counters.idle == 1)
        assert (await stack.get(f"/wait?gate={gate}")).status == 200
        assert stack.emulator.counters.started == 1

    run_probe(tmp_path, test)
