"""The Lambda emulator with real runtime processes: their environment, their number, freezing, and their end."""

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from local.runtime import RuntimeName
from local.settings import ROOT
from tests.e2e.probe_stack import ProbeStack, run_probe
from tests.e2e.processes import every_runtime, is_gone, is_stopped
from tests.support.neon.names import wrapper
from tests.support.waiting import until, wait_until

PARENT = """
import asyncio, sys
from pathlib import Path
from tests.e2e.probe_stack import probe_stack
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
        run_probe(tmp_path, test, runtime=runtime, settings={"WORD": "from the settings"})
    finally:
        del os.environ["NOT_LAMBDAS"]


@every_runtime
def test_consecutive_requests_share_one_environment(tmp_path: Path, runtime: RuntimeName) -> None:
    async def test(stack: ProbeStack) -> None:
        answers = [(await stack.get("/echo/a")).data for _ in range(20)]
        assert len({answer["pid"] for answer in answers}) == 1
        assert len({answer["request_id"] for answer in answers}) == 20
        assert stack.emulator.counters.started == 1

    run_probe(tmp_path, test, runtime=runtime)


def test_concurrent_requests_get_an_environment_each_and_idle_environments_are_reused(tmp_path: Path) -> None:
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

    run_probe(tmp_path, test)


def test_an_idle_environment_is_stopped_and_the_next_request_gets_a_new_one(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        first = (await stack.get("/echo/a")).data["pid"]
        await until(lambda: stack.emulator.counters.idle == 0)
        await until(lambda: is_gone(first))
        assert (await stack.get("/echo/a")).data["pid"] != first
        assert stack.emulator.counters.started == 2

    run_probe(tmp_path, test, idle_seconds=0.2)


def test_past_the_concurrency_limit_the_gateway_answers_503(tmp_path: Path) -> None:
    async def test(stack: ProbeStack) -> None:
        gate = tmp_path / "gate"
        tasks = [asyncio.create_task(stack.get(f"/wait?gate={gate}")) for _ in range(2)]
        await until(lambda: stack.emulator.counters.busy == 2)
        refused = await stack.get("/echo/a")
        assert (refused.status, refused.data) == (503, {"message": "Service Unavailable"})
        gate.touch()
        assert [answer.status for answer in await asyncio.gather(*tasks)] == [200, 200]
        # Two idle environments reach the limit, so the oldest one ends to make room for another function.
        assert (await stack.get("/echo/a")).status == 200
        assert stack.emulator.counters.idle == 2

    run_probe(tmp_path, test, concurrency=2)


@every_runtime
def test_an_environment_is_frozen_between_requests_and_thawed_for_the_next(
    tmp_path: Path, runtime: RuntimeName
) -> None:
    async def test(stack: ProbeStack) -> None:
        pids = set()
        for _ in range(3):
            pid = (await stack.get("/shout")).data["pid"]
            pids.add(pid)
            await until(partial(is_stopped, pid))
        assert len(pids) == 1
        assert stack.emulator.environments("Shout")[0].frozen
        assert stack.log("Shout").count("x" * 3_000_000) == 3

    run_probe(tmp_path, test, runtime=runtime, freeze=True)


def test_an_environment_frozen_during_a_request_finishes_it_when_thawed(tmp_path: Path) -> None:
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

    run_probe(tmp_path, test)


@every_runtime
def test_a_function_resolves_host_names_from_the_file_of_the_stand_in(tmp_path: Path, runtime: RuntimeName) -> None:
    names = tmp_path / "names.json"

    async def test(stack: ProbeStack) -> None:
        names.write_text('{"ep-stand-in.local.test": ["127.0.0.2", "127.0.0.3"]}')
        assert (await stack.get("/resolve?host=ep-stand-in.local.test")).data == ["127.0.0.2", "127.0.0.3"]
        assert (await stack.get("/resolve?host=127.0.0.1")).data == ["127.0.0.1"]
        names.write_text('{"ep-stand-in.local.test": "EAI_AGAIN"}')
        assert (await stack.get("/resolve?host=ep-stand-in.local.test")).status == 500
        assert "gaierror: [Errno -3]" in stack.log("Resolve") or "name service is away" in stack.log("Resolve")

    run_probe(tmp_path, test, runtime=runtime, wrapper=wrapper(names))


def test_leaving_the_emulator_ends_busy_frozen_and_idle_processes(tmp_path: Path) -> None:
    pids: list[int] = []

    async def test(stack: ProbeStack) -> None:
        task = asyncio.create_task(stack.get("/patient"))
        await until(lambda: any(each.requests for each in stack.emulator.environments("Patient")))
        pids.append(stack.emulator.environments("Patient")[0].pid)
        pids.append((await stack.get("/echo/a")).data["pid"])
        task.cancel()

    run_probe(tmp_path, test, freeze=True)
    assert len(pids) == 2
    assert all(is_gone(pid) for pid in pids)


@every_runtime
def test_no_function_process_survives_the_sudden_end_of_its_parent(tmp_path: Path, runtime: RuntimeName) -> None:
    """One process is busy and one is frozen when the parent gets SIGKILL."""
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path), runtime], cwd=ROOT, stdout=subprocess.PIPE, text=True
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
