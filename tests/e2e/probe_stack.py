"""A small local stack for tests of the emulator and the front, with the functions of probe_functions.py."""

import asyncio
import contextlib
import io
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import aiohttp
import yarl

from local.emulator import Emulator
from local.gateway.authorizer import authorizers_of
from local.gateway.cors import Cors
from local.gateway.front import Front
from local.issuer import Issuer, load_key, make_token
from local.runtime import Launch, RuntimeName
from local.template import load_template
from tests.e2e.probe_functions import write_stack


@dataclass
class Answer:
    """A response of the front. `data` is its body, parsed as JSON."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> Any:
        """Return the body, parsed as JSON."""
        return json.loads(self.body)


@dataclass
class ProbeStack:
    """A running stack: its emulator, its port, the lines of its access log, an HTTP client, and its folder."""

    emulator: Emulator
    port: int
    access: list[str]
    session: aiohttp.ClientSession
    folder: Path
    issuer: Issuer | None

    def token(self, sub: str = "ann", **claims: Any) -> str:
        """Return a token of the stack's issuer."""
        assert self.issuer is not None
        return make_token(load_key(self.folder), self.issuer.url, sub, claims, 3600)

    async def request(self, method: str, target: str, **more: Any) -> Answer:
        """Send a request without changing its target. Return the answer."""
        if isinstance(more.get("data"), bytes):
            more["data"] = io.BytesIO(more["data"])  # aiohttp warns about large bodies of type bytes
        url = yarl.URL(f"http://127.0.0.1:{self.port}{target}", encoded=True)
        async with self.session.request(method, url, **more) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def get(self, target: str, **more: Any) -> Answer:
        """Send a GET request."""
        return await self.request("GET", target, **more)

    async def send(self, octets: bytes) -> bytes:
        """Send octets, which need not be HTTP. Return all that the front sends until it closes the connection."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(octets)
        await writer.drain()
        try:
            return await reader.read()
        finally:
            writer.close()

    def log(self, function: str) -> str:
        """Return the function's log, which is empty before its first request."""
        path = self.folder / "logs" / f"{function}.log"
        return path.read_text(errors="replace") if path.exists() else ""


@contextlib.asynccontextmanager
async def probe_stack(
    folder: Path,
    *,
    template: Path | None = None,
    runtime: RuntimeName = "awslambdaric",
    settings: dict[str, str] | None = None,
    wrapper: tuple[str, ...] = (),
    freeze: bool = False,
    concurrency: int = 50,
    idle_seconds: float = 300,
    integration_seconds: float = 300,
    auth: bool = False,
) -> AsyncIterator[ProbeStack]:
    """Run the stack in `folder`, with the functions of this module or with those of another `template`.

    The gateway waits longer than that of AWS, because no test may depend on speed. With `auth` it has an issuer, and
    checks tokens and CORS.
    """
    probes = write_stack(folder)
    bound, of_issuer = _bound(), _bound()
    issuer = Issuer(load_key(folder), of_issuer) if auth else None
    served = load_template(template or probes, {"JwtIssuer": issuer.url} if issuer else {})
    access: list[str] = []

    def open_log(name: str) -> BinaryIO:
        return open(folder / "logs" / f"{name}.log", "ab", buffering=0)

    async with contextlib.AsyncExitStack() as stack:
        emulator = await stack.enter_async_context(
            Emulator(
                served.functions,
                launch=Launch(runtime, settings or {}, wrapper, freeze, init_seconds=300),
                open_log=open_log,
                concurrency=concurrency,
                idle_seconds=idle_seconds,
            )
        )
        stack.callback(of_issuer.close)
        if issuer is not None:
            await stack.enter_async_context(issuer)
        front = Front(
            served,
            emulator,
            bound,
            access=access.append,
            authorizers=authorizers_of(served.api) if auth else None,
            cors=Cors(served.api.cors) if auth and served.api.cors else None,
            integration_seconds=integration_seconds,
        )
        await stack.enter_async_context(front)
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        yield ProbeStack(emulator, bound.getsockname()[1], access, session, folder, issuer)


def _bound() -> socket.socket:
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


def run_probe(folder: Path, test: Callable[[ProbeStack], Awaitable[None]], **options: object) -> None:
    """Run `test` with a probe stack in `folder`. The options are those of `probe_stack`."""

    async def body() -> None:
        async with probe_stack(folder, **options) as stack:  # type: ignore[arg-type]  # passed on unchanged
            await test(stack)

    asyncio.run(body())
