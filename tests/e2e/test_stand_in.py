"""The functions in processes like Lambda's, with the stand-in for Neon: its name, its sleep, a failed name lookup."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from local.emulator import Emulator
from local.runtime import Launch, RuntimeName
from local.settings import ROOT
from local.template import load_template
from tests.e2e.processes import every_runtime
from tests.support.bundle import event
from tests.support.neon.faults import fault
from tests.support.neon.names import wrapper
from tests.support.neon.stand_in import HOST, StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.stand_in import neon_stand_in


@pytest.fixture(scope="module")
def stand_in(authority: Authority) -> Iterator[StandIn]:
    """Give a stand-in for Neon whose host name is only in the stand-in's own file."""
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    with neon_stand_in(authority, names=True) as made:
        yield made


@every_runtime
def test_the_functions_find_an_awake_and_a_sleeping_database_by_its_host_name(
    stand_in: StandIn, tmp_path: Path, runtime: RuntimeName
) -> None:
    assert HOST in stand_in.url

    def open_log(name: str) -> BinaryIO:
        return open(tmp_path / f"{name}.log", "ab", buffering=0)

    async def live() -> list[int]:
        assert stand_in.names is not None
        settings = {"DATABASE_URL": stand_in.url}
        launch = Launch(
            runtime=runtime, settings=settings, wrapper=wrapper(stand_in.names), freeze=True, init_seconds=300
        )
        functions = load_template(ROOT / "template.yaml").functions
        async with Emulator(functions, launch=launch, open_log=open_log) as emulator:

            async def write() -> int:
                outcome = await emulator.invoke("WriteMessageFunction", json.dumps(event("write_message")).encode())
                answer: dict[str, Any] = json.loads(outcome.payload)
                status: int = answer["statusCode"]
                return status

            statuses = []
            await asyncio.to_thread(stand_in.compute.suspend)
            statuses.append(await write())  # neither the compute nor a function process runs
            await asyncio.to_thread(stand_in.compute.suspend)
            statuses.append(await write())  # the frozen process finds its connection closed
            await asyncio.to_thread(stand_in.relay.drop)
            with fault(stand_in, "name_lookup"):
                statuses.append(await write())
            statuses.append(await write())
            return statuses

    assert asyncio.run(live()) == [201, 201, 503, 201]
