"""Lambda on one machine: start execution environments if all are busy, stop idle ones and limit their number."""

import asyncio
import secrets
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import BinaryIO, Self

from local.environment import ExecutionEnvironment
from local.outcome import Outcome
from local.runtime import Launch
from local.template import Function


class ThrottledError(Exception):
    """The concurrency limit is reached."""


@dataclass(frozen=True)
class Counters:
    """Numbers of execution environments: `started` and `stopped` so far, `busy` and `idle` now."""

    started: int
    stopped: int
    busy: int
    idle: int


class Emulator:
    """Runs events through the functions of a template, in real processes with one event at a time in each.

    Use the emulator as an async context manager: its exit kills every process. Use it only in the event loop in which
    it was entered.
    """

    def __init__(
        self,
        functions: Mapping[str, Function],
        *,
        launch: Launch,
        open_log: Callable[[str], BinaryIO],
        concurrency: int = 50,
        idle_seconds: float = 300,
        generation: Callable[[], int] = lambda: 0,
    ) -> None:
        """Take the functions by name and how to run them.

        `open_log(function name)` returns an unbuffered file, which the emulator closes. `concurrency` limits the
        concurrent requests and the processes of all functions together, as an account's limit does. An environment
        that was idle for `idle_seconds` is stopped. `generation` returns a number that changes with the functions'
        code. A request never runs in an environment that started with older code.
        """
        self._functions = functions
        self._launch = launch
        self._open_log = open_log
        self._concurrency = concurrency
        self._idle_seconds = idle_seconds
        self._look = generation
        self._generation = generation()
        self._logs: dict[str, BinaryIO] = {}
        # The generation of the code that each environment started with.
        self._code: dict[ExecutionEnvironment, int] = {}
        self._busy: set[ExecutionEnvironment] = set()
        # Oldest first. A request takes the newest, so that the others stay idle long enough to be stopped.
        self._idle: dict[ExecutionEnvironment, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[Outcome] | asyncio.Task[None]] = set()
        self._closed = False
        self._started = 0
        self._stopped = 0

    async def __aenter__(self) -> Self:
        """Return the emulator. It starts no process before the first event."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Kill every process and wait until all are gone."""
        self._closed = True
        while self._idle:
            self._retire(next(iter(self._idle)))
        while self._tasks:
            for environment in self._busy:
                environment.kill()
            # Repeat the kill, because an environment that is just starting has no process yet.
            await asyncio.wait(self._tasks, timeout=0.05)
        for log in self._logs.values():
            log.close()

    @property
    def counters(self) -> Counters:
        """The numbers of execution environments."""
        return Counters(self._started, self._stopped, len(self._busy), len(self._idle))

    def environments(self, function: str) -> list[ExecutionEnvironment]:
        """Return the function's environments, busy ones first. Tests kill, freeze or thaw them."""
        return [each for each in (*self._busy, *self._idle) if each.function.name == function]

    async def invoke(self, function: str, event: bytes) -> Outcome:
        """Run `event` (JSON) through the function of that name and return the outcome.

        An error of the function is an outcome too. Raises ThrottledError if the concurrency limit is reached, and
        KeyError if the template does not have the function.
        """
        self._renew()
        environment = self._take(self._functions[function])
        # The environment finishes the event even if the caller is cancelled, for example after a client disconnected.
        task = asyncio.get_running_loop().create_task(self._run(environment, event))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _run(self, environment: ExecutionEnvironment, event: bytes) -> Outcome:
        try:
            if environment.requests == 0 and not environment.alive:
                await environment.start()
            trace = f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Sampled=0"
            return await environment.invoke(event, str(uuid.uuid4()), trace)
        finally:
            self._give_back(environment)

    def _renew(self) -> None:
        """End the idle environments whose code is old. A busy one is ended after its request."""
        self._generation = self._look()
        for environment in list(self._idle):
            if self._code[environment] != self._generation:
                self._retire(environment)

    def _take(self, function: Function) -> ExecutionEnvironment:
        for environment in reversed(self._idle):
            if environment.function is function:
                self._idle.pop(environment).cancel()
                if not environment.alive:
                    # The process was killed while it was idle. As in Lambda, the request gets another environment.
                    self._end(environment)
                    return self._take(function)
                self._busy.add(environment)
                return environment
        if self._closed or len(self._busy) >= self._concurrency:
            raise ThrottledError(
                f"the limit of {self._concurrency} concurrent requests is reached, or the emulator stops"
            )
        if len(self._busy) + len(self._idle) >= self._concurrency:
            self._retire(next(iter(self._idle)))
        if function.name not in self._logs:
            self._logs[function.name] = self._open_log(function.name)
        environment = ExecutionEnvironment(function, self._launch, self._logs[function.name])
        self._started += 1
        self._code[environment] = self._generation
        self._busy.add(environment)
        return environment

    def _give_back(self, environment: ExecutionEnvironment) -> None:
        self._busy.discard(environment)
        if self._closed or not environment.alive or self._code[environment] != self._generation:
            self._end(environment)
            return
        timer = asyncio.get_running_loop().call_later(self._idle_seconds, self._retire, environment)
        self._idle[environment] = timer

    def _retire(self, environment: ExecutionEnvironment) -> None:
        self._idle.pop(environment).cancel()
        self._end(environment)

    def _end(self, environment: ExecutionEnvironment) -> None:
        self._stopped += 1
        del self._code[environment]
        task = asyncio.get_running_loop().create_task(environment.stop())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
