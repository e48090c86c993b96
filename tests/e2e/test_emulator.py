"""The Lambda emulator with real awslambdaric processes: their number, their end, their limits, freezing, no orphans."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from local.runtime import RuntimeName
from tests.e2e.probe_stack import ProbeStack, probe_stack
from tests.support.neon.names import wrapper
from tests.support.waiting import until, wait_until

INTERNAL = {"message": "Internal Server Error"}
RUNTIMES: list[RuntimeName] = ["loop", "awslambdaric"] if sys.platform == "linux" else ["loop"]
every_runtime = pytest.mark.parametrize("runtime", RUNTIMES)


def run(folder: Path, test: Callable[[ProbeStack], Awaitable[None]], **options: object) -> None:
    async def body() -> None:
        async with probe_stack(folder, **options) as stack:  # type: ignore[arg-type]  # passed on as they are
            await test(stack)

    asyncio.run(body())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def is_stopped(pid: int) -> bool:
    """Return whether SIGSTOP has come into effect: the kernel stops a process some time after the signal was sent."""
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@every_runtime
def test_a_handler_gets_the_event_the_context_and_lambdas_environment(tmp_path: Path, runtime: RuntimeName) -> None:
    os.environ["NOT_LAMBDAS"] = "a variable of the developer's shell"

    async def test(stack: ProbeStack) -> None:
        answer = (await stack.get("/echo/robot")).data
        assert answer["event"]["rawPath"] == "/echo/robot"
        assert answer["function"] == "Echo"
        assert answer["memory"] == "256"
        assert 0 < answer["remaining"] <= 60_000
        environment = answer["environment"]
        expected = {
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_NAME": "Echo",
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/Echo",
            "LAMBDA_TASK_ROOT": str((tmp_path / "code").resolve()),
            "TZ": ":UTC",
            "WORD": "from the settings",
            "_HANDLER": "probe.echo",
        }
        assert expected.items() <= environment.items()
        assert not {"NOT_LAMBDAS", "HOME", "USER", "VIRTUAL_ENV"} & set(environment)

    try:
        run(tmp_path, test, runtime=runtime, settings={"WORD": "from the settings"})
    finally:
        del os.environ["NOT_LAMBDAS"]


@every_runtime
def test_requests_one_after_the_other_share_one_environment(tmp_path: Path, runtime: RuntimeName) -> None:
    async def test(stack: ProbeStack) -> None:
        answers = [(await stack.get("/echo/a")).data for _ in range(20)]
        assert len({answer["pid"] for answer in answers}) == 1
        assert len({answer["request_id"] for answer in answers}) == 20
        assert stack.emulator.counters.started == 1

    run(tmp_path, test, runtime=runtime)


def test_requests_at_the_same_time_get_an_environment_each_and_idle_ones_are_used_again(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        gate = tmp_path / "gate"
        tasks = [asyncio.create_task(stack.get(f"/wait?gate={gate}")) for _ in range(6)]
        await until(lambda: stack.emulator.counters.busy == 6)
        gate.touch()
        answers = await asyncio.gather(*tasks)
        assert len({answer.data["pid"] for answer in answers}) == 6
        again = await stack.get(f"/wait?gate={gate}")
        assert again.data["pid"] in {answer.data["pid"] for answer in answers}
        assert stack.emulator.counters.started == 6
        assert stack.emulator.counters.idle == 6

    run(tmp_path, test)


def test_an_idle_environment_is_stopped_and_the_next_request_gets_a_new_one(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        first = (await stack.get("/echo/a")).data["pid"]
        await until(lambda: stack.emulator.counters.idle == 0)
        await until(lambda: is_gone(first))
        assert (await stack.get("/echo/a")).data["pid"] != first
        assert stack.emulator.counters.started == 2

    run(tmp_path, test, idle_seconds=0.2)


def test_past_the_concurrency_limit_the_gateway_answers_503(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        gate = tmp_path / "gate"
        tasks = [asyncio.create_task(stack.get(f"/wait?gate={gate}")) for _ in range(2)]
        await until(lambda: stack.emulator.counters.busy == 2)
        refused = await stack.get("/echo/a")
        assert (refused.status, refused.data) == (503, {"message": "Service Unavailable"})
        gate.touch()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == [200, 200]
        # Two idle ones are all the processes there may be: the oldest makes room for another function's.
        assert (await stack.get("/echo/a")).status == 200
        assert stack.emulator.counters.idle == 2

    run(tmp_path, test, concurrency=2)


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

    run(tmp_path, test, runtime=runtime)


@every_runtime
@pytest.mark.parametrize("path", ["/crash", "/fail", "/broken", "/missing"])
def test_a_function_that_fails_gives_500_without_a_word_of_why(tmp_path: Path, runtime: RuntimeName, path: str) -> None:
    async def test(stack: ProbeStack) -> None:
        for _ in range(2):
            answer = await stack.get(path)
            assert (answer.status, answer.data) == (500, INTERNAL)
        # A raised exception leaves the environment usable, an ended process does not.
        assert stack.emulator.counters.started == (1 if path == "/fail" else 2)
        log = stack.log(path.strip("/").title())
        assert ("a secret of the function" in log) == (path == "/fail")
        assert ("cannot be imported" in log) == (path == "/broken")

    run(tmp_path, test, runtime=runtime)


@every_runtime
def test_a_response_over_six_megabytes_gives_500_and_one_below_passes(tmp_path: Path, runtime: RuntimeName) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.get("/sized?size=6291000")
        assert (answer.status, len(answer.body)) == (200, 6_291_000)
        answer = await stack.get("/sized?size=6291556")
        assert (answer.status, answer.data) == (500, INTERNAL)
        assert (await stack.get("/sized?size=1")).status == 200

    run(tmp_path, test, runtime=runtime)


def test_the_gateway_does_not_wait_for_ever_for_a_function(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        answer = await stack.get("/patient")
        assert (answer.status, answer.data) == (503, {"message": "Service Unavailable"})
        assert stack.emulator.counters.busy == 1, "the function runs on, as in Lambda"

    run(tmp_path, test, integration_seconds=0.5)


@every_runtime
def test_frozen_between_requests_and_thawed_for_the_next(tmp_path: Path, runtime: RuntimeName) -> None:
    async def test(stack: ProbeStack) -> None:
        pids = set()
        for _ in range(3):
            pid = (await stack.get("/shout")).data["pid"]
            pids.add(pid)
            await until(partial(is_stopped, pid))
        assert len(pids) == 1
        assert stack.emulator.environments("Shout")[0].frozen
        assert stack.log("Shout").count("x" * 3_000_000) == 3

    run(tmp_path, test, runtime=runtime, freeze=True)


def test_an_environment_killed_in_mid_request_gives_500_and_the_next_request_gets_another(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        task = asyncio.create_task(stack.get("/patient"))
        await until(lambda: "the endless one begins" in stack.log("Patient"))
        stack.emulator.environments("Patient")[0].kill()
        assert (await task).status == 500
        pid = (await stack.get("/echo/a")).data["pid"]
        stack.emulator.environments("Echo")[0].kill()
        assert (await stack.get("/echo/a")).data["pid"] != pid

    run(tmp_path, test)


def test_a_process_killed_from_outside_while_idle_costs_one_request_at_the_most(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        pid = (await stack.get("/echo/a")).data["pid"]
        os.kill(pid, signal.SIGKILL)
        await until(lambda: is_gone(pid))
        assert (await stack.get("/echo/a")).status in (200, 500)
        assert (await stack.get("/echo/a")).status == 200

    run(tmp_path, test)


def test_an_environment_frozen_in_mid_request_runs_on_when_thawed(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        gate = tmp_path / "gate"
        task = asyncio.create_task(stack.get(f"/wait?gate={gate}"))
        await until(lambda: any(each.requests for each in stack.emulator.environments("Wait")))
        environment = stack.emulator.environments("Wait")[0]
        environment.freeze()
        await until(lambda: is_stopped(environment.pid))
        gate.touch()
        environment.thaw()
        assert (await task).status == 200

    run(tmp_path, test)


def test_a_client_that_goes_away_does_not_disturb_the_environment(tmp_path: Path) -> None:
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

    run(tmp_path, test)


def test_leaving_the_emulator_ends_busy_frozen_and_idle_processes(tmp_path: Path) -> None:
    pids: list[int] = []

    async def test(stack: ProbeStack) -> None:
        task = asyncio.create_task(stack.get("/patient"))
        await until(lambda: any(each.requests for each in stack.emulator.environments("Patient")))
        pids.append(stack.emulator.environments("Patient")[0].pid)
        pids.append((await stack.get("/echo/a")).data["pid"])
        task.cancel()

    run(tmp_path, test, freeze=True)
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.e2e.probe_stack import probe_stack
from tests.support.neon.names import wrapper
from tests.support.waiting import until

async def main():
    async with probe_stack(Path(sys.argv[1]), runtime=sys.argv[2], freeze=True) as stack:
        asyncio.create_task(stack.get("/patient"))
        await until(lambda: any(each.requests for each in stack.emulator.environments("Patient")))
        idle = (await stack.get("/echo/a")).data["pid"]
        print(stack.emulator.environments("Patient")[0].pid, idle, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@every_runtime
def test_no_process_survives_a_parent_killed_at_once(tmp_path: Path, runtime: RuntimeName) -> None:
    """One is busy and one is frozen when the parent gets SIGKILL."""
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), runtime], cwd=root, stdout=subprocess.PIPE, text=True
    )
    try:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        assert not any(is_gone(pid) for pid in pids)
        wait_until(lambda: is_stopped(pids[1]))
    finally:
        parent.kill()
        parent.communicate()

    wait_until(lambda: all(is_gone(pid) for pid in pids))


@every_runtime
def test_a_process_resolves_names_by_the_stand_ins_file(tmp_path: Path, runtime: RuntimeName) -> None:
    names = tmp_path / "names.json"

    async def test(stack: ProbeStack) -> None:
        names.write_text('{"ep-stand-in.local.test": ["127.0.0.2", "127.0.0.3"]}')
        assert (await stack.get("/resolve?host=ep-stand-in.local.test")).data == ["127.0.0.2", "127.0.0.3"]
        assert (await stack.get("/resolve?host=127.0.0.1")).data == ["127.0.0.1"]
        names.write_text('{"ep-stand-in.local.test": "EAI_AGAIN"}')
        assert (await stack.get("/resolve?host=ep-stand-in.local.test")).status == 500
        assert "gaierror: [Errno -3]" in stack.log("Resolve") or "name service is away" in stack.log("Resolve")

    run(tmp_path, test, runtime=runtime, wrapper=wrapper(names))
