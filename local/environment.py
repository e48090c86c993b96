"""One execution environment: a process of the function, and the Runtime API that it polls for requests.

    start ──> initialising ──> idle ──> busy ──> idle … ──> stopped
                 │ (first `next`)  (event handed out)  (`response` or `error`, then the following `next`)
                 └> failed (init error, exit, too slow)

The caller gets the answer only after the process has asked for its next event. Only then is the process certainly idle
and may be frozen. So requests that are sent one after the other never need a second environment.
"""

import asyncio
import os
import signal
import time
import uuid
from dataclasses import dataclass
from typing import BinaryIO

from aiohttp import web

from local.cloudformation import function_arn
from local.outcome import PAYLOAD_LIMIT, Outcome, failure, reported_error
from local.runtime import Launch, command, die_with_parent, variables
from local.template import Function

API = "/2018-06-01/runtime"


@dataclass
class _Invocation:
    request_id: str
    event: bytes
    trace_id: str
    deadline: float  # time.time()
    settled: asyncio.Future[None]
    outcome: Outcome | None = None


class ExecutionEnvironment:
    """A process of `function` with its own Runtime API, from its start to its end.

    Its only timer is the function's timeout. The owner decides how long the environment stays idle.
    """

    def __init__(self, function: Function, launch: Launch, log: BinaryIO) -> None:
        """Take the function and an unbuffered file for all that it prints. Nothing is started yet."""
        self.function = function
        self.frozen = False
        self.requests = 0
        self._killed = False
        self._launch = launch
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._runner: web.ServerRunner | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._initialised: asyncio.Future[None] | None = None
        self._init_error: Outcome | None = None
        self._work: asyncio.Future[_Invocation | None] | None = None
        self._current: _Invocation | None = None
        self._init_milliseconds: float | None = None

    @property
    def pid(self) -> int:
        """The process's id. Raises RuntimeError before the start."""
        if self._process is None:
            raise RuntimeError("the execution environment is not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process has been started, has not ended and has not been killed."""
        return self._runs and not self._killed

    @property
    def busy(self) -> bool:
        """Whether it handles a request now."""
        return self._current is not None

    @property
    def _runs(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start the Runtime API and the process. Return when the process asks for an event, or has failed to start."""
        loop = asyncio.get_running_loop()
        self._initialised = loop.create_future()
        self._runner = web.ServerRunner(web.Server(self._serve, access_log=None), shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        stream = f"{time.strftime('%Y/%m/%d', time.gmtime())}/[$LATEST]{uuid.uuid4().hex}"
        began = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *command(self.function, self._launch),
            env=variables(self.function, self._launch, f"{host}:{port}", stream),
            cwd=self.function.code,
            stdin=asyncio.subprocess.DEVNULL,
            # Write directly to a file: a pipe needs a reader, and blocks a process that prints much.
            stdout=self._log,
            stderr=self._log,
            # In its own group the process does not receive Ctrl-C from the terminal. A signal to the group also
            # reaches the processes that a handler starts.
            process_group=0,
            preexec_fn=die_with_parent(),
        )
        self._watcher = loop.create_task(self._watch(self._process))
        try:
            async with asyncio.timeout(self._launch.init_seconds):
                await self._initialised
        except TimeoutError:
            self._init_error = failure("Sandbox.Timedout", f"Init took over {self._launch.init_seconds:.0f} seconds")
            self.kill()
        self._init_milliseconds = (time.monotonic() - began) * 1000

    async def invoke(self, event: bytes, request_id: str, trace_id: str) -> Outcome:
        """Run one event and return its outcome, also if the function fails.

        The function's timeout starts now, and at its end the process is killed. Afterwards `alive` says whether this
        environment can take another event. Raises RuntimeError if it is busy.
        """
        if self._current is not None:
            raise RuntimeError("an execution environment takes one request at a time")
        if self._init_error is not None:
            self.kill()
            return self._init_error
        if not self.alive or self._work is None:
            return failure("Runtime.ExitError", f"RequestId: {request_id} Error: Runtime exited before the request")
        self.requests += 1
        settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        deadline = time.time() + self.function.timeout
        invocation = self._current = _Invocation(request_id, event, trace_id, deadline, settled)
        self._print(f"START RequestId: {request_id} Version: $LATEST")
        began = time.monotonic()
        self.thaw()
        self._work.set_result(invocation)
        try:
            async with asyncio.timeout(self.function.timeout):
                await settled
        except TimeoutError:
            self.kill()
            if invocation.outcome is None:
                text = f"Task timed out after {self.function.timeout:.2f} seconds"
                self._print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {request_id} {text}")
                invocation.outcome = failure("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}")
        self._current = None
        self._report(request_id, (time.monotonic() - began) * 1000)
        if self._launch.freeze:
            self.freeze()
        if invocation.outcome is None:
            raise RuntimeError("an invocation was settled without an outcome")
        return invocation.outcome

    def freeze(self) -> None:
        """Stop the process and its children (SIGSTOP), as Lambda freezes an environment between requests."""
        self.frozen = self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the process and its children continue (SIGCONT). `invoke` does that by itself."""
        if self.frozen:
            self._signal(signal.SIGCONT)
            self.frozen = False

    def kill(self) -> None:
        """Kill the process and its children (SIGKILL). A request that runs gets an error as its outcome."""
        self._killed = True
        self._signal(signal.SIGKILL)

    async def stop(self) -> None:
        """Kill the process, wait until it is gone, and close the Runtime API."""
        self.kill()
        if self._watcher is not None:
            await self._watcher
        if self._runner is not None:
            await self._runner.cleanup()

    def _signal(self, number: int) -> bool:
        if not self._runs:
            return False
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            # The process has ended, and the event loop has not noticed it yet.
            return False
        return True

    async def _watch(self, process: asyncio.subprocess.Process) -> None:
        code = await process.wait()
        text = f"signal: {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
        if self._initialised is not None and not self._initialised.done():
            self._init_error = self._init_error or failure("Runtime.ExitError", f"Runtime exited with error: {text}")
            self._initialised.set_result(None)
        if self._current is not None:
            if self._current.outcome is None:
                prefix = f"RequestId: {self._current.request_id} Error: "
                self._current.outcome = failure("Runtime.ExitError", f"{prefix}Runtime exited with error: {text}")
            self._settle(self._current)
        if self._work is not None and not self._work.done():
            self._work.set_result(None)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer the process as Lambda's Runtime API does."""
        if request.method == "GET" and request.path == f"{API}/invocation/next":
            return await self._next()
        if request.method == "POST" and request.path == f"{API}/init/error":
            body = await _body(request)
            self._init_error = reported_error(body, "Runtime.Unknown")
            return web.json_response({"status": "OK"}, status=202)
        current = self._current
        if request.method == "POST" and current is not None and current.outcome is None:
            base = f"{API}/invocation/{current.request_id}/"
            if request.path == f"{base}error":
                current.outcome = reported_error(await _body(request), "Unhandled")
                return web.json_response({"status": "OK"}, status=202)
            if request.path == f"{base}response":
                payload = await _body(request)
                if payload is None:
                    text = f"Response payload size exceeded maximum allowed size ({PAYLOAD_LIMIT} bytes)."
                    current.outcome = failure("Function.ResponseSizeTooLarge", text)
                    return _refusal(413, "RequestEntityTooLarge", text)
                current.outcome = Outcome(payload)
                return web.json_response({"status": "OK"}, status=202)
        return _refusal(403, "InvalidStateTransition", "The Runtime API does not expect this request now.")

    async def _next(self) -> web.StreamResponse:
        if self._work is not None and not self._work.done():
            return _refusal(403, "InvalidStateTransition", "The runtime is already waiting for an event.")
        current = self._current
        if current is not None and current.outcome is None:
            return _refusal(403, "InvalidStateTransition", "The runtime has not answered its event.")
        self._work = asyncio.get_running_loop().create_future()
        if self._initialised is not None and not self._initialised.done():
            self._initialised.set_result(None)
        if current is not None:
            self._settle(current)
        invocation = await self._work
        if invocation is None:
            return _refusal(410, "Gone", "The execution environment has ended.")
        headers = {
            "Content-Type": "application/json",
            "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
            "Lambda-Runtime-Deadline-Ms": str(int(invocation.deadline * 1000)),
            "Lambda-Runtime-Invoked-Function-Arn": function_arn(self.function.name),
            "Lambda-Runtime-Trace-Id": invocation.trace_id,
        }
        return web.Response(body=invocation.event, headers=headers)

    @staticmethod
    def _settle(invocation: _Invocation) -> None:
        if not invocation.settled.done():
            invocation.settled.set_result(None)

    def _report(self, request_id: str, milliseconds: float) -> None:
        init = ""
        if self.requests == 1 and self._init_milliseconds is not None:
            init = f"\tInit Duration: {self._init_milliseconds:.2f} ms"
        self._print(f"END RequestId: {request_id}")
        memory = f"Memory Size: {self.function.memory} MB"
        self._print(f"REPORT RequestId: {request_id}\tDuration: {milliseconds:.2f} ms\t{memory}{init}")

    def _print(self, line: str) -> None:
        self._log.write(line.encode() + b"\n")


async def _body(request: web.BaseRequest) -> bytes | None:
    """Read the whole body and return it, or None if it is too long for a payload."""
    body = bytearray()
    length = 0
    async for chunk in request.content.iter_any():
        length += len(chunk)
        if length <= PAYLOAD_LIMIT:
            body += chunk
    return bytes(body) if length <= PAYLOAD_LIMIT else None


def _refusal(status: int, kind: str, message: str) -> web.Response:
    return web.json_response({"errorType": kind, "errorMessage": message}, status=status)
