"""One API for the tests of the client itself, which run in the environment of all tests."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from robot_brain_client import AsyncRobotBrain, RobotBrain
from tests.e2e.local_stack import open_folder, running

Caller = Callable[..., Any]


@pytest.fixture(scope="package")
def api() -> Iterator[str]:
    """The address of an API as `make run` starts it."""
    with open_folder() as folder, running(folder / "state") as stack:
        yield stack.url


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest) -> Iterator[Caller]:
    """Call a method of either client: `call(url, "read", "first")`. A list is returned for an iterator."""
    if request.param == "sync":
        yield _synchronous
        return
    with asyncio.Runner() as runner:

        def asynchronous(url: str, method: str, *arguments: Any, options: Any = None, **named: Any) -> Any:
            return runner.run(_asynchronous(url, method, arguments, named, options or {}))

        yield asynchronous


def _synchronous(url: str, method: str, *arguments: Any, options: Any = None, **named: Any) -> Any:
    with RobotBrain(url, **(options or {})) as brain:
        found = getattr(brain, method)(*arguments, **named)
        return list(found) if inspect.isgenerator(found) else found


async def _asynchronous(url: str, method: str, arguments: Any, named: Any, options: Any) -> Any:
    async with AsyncRobotBrain(url, **options) as brain:
        found = getattr(brain, method)(*arguments, **named)
        return [each async for each in found] if inspect.isasyncgen(found) else await found
