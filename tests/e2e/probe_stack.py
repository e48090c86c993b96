"""A small local stack for tests of the emulator and the front. Each of its handlers does one unusual thing."""

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

from local.authorizer import authorizers_of
from local.cors import Cors
from local.emulator import Emulator
from local.front import Front
from local.issuer import Issuer, load_key, make_token
from local.runtime import Launch, RuntimeName
from local.template import load_template

HANDLERS = """
import json, os, pathlib, socket, sys, time

def answer(body, status=200, **more):
    return {"statusCode": status, "headers": {"Content-Type": "application/json"}, "body": json.dumps(body), **more}

def echo(event, context):
    return answer({"event": event, "pid": os.getpid(), "environment": dict(os.environ), "request_id":
                   context.aws_request_id, "remaining": context.get_remaining_time_in_millis(),
                   "function": context.function_name, "memory": context.memory_limit_in_mb})

def resolve(event, context):
    found = socket.getaddrinfo(event["queryStringParameters"]["host"], 5432, type=socket.SOCK_STREAM)
    return answer([entry[4][0] for entry in found])

def wait(event, context):
    gate = pathlib.Path(event["queryStringParameters"]["gate"])
    while not gate.exists():
        time.sleep(0.01)
    return answer({"pid": os.getpid()})

def endless(event, context):
    print("the endless one begins", flush=True)
    time.sleep(3600)

def crash(event, context):
    os._exit(3)

def fail(event, context):
    raise RuntimeError("a secret of the function")

def shout(event, context):
    print("x" * 3_000_000)
    return answer({"pid": os.getpid()})

def sized(event, context):
    return {"statusCode": 200, "body": "x" * int(event["queryStringParameters"]["size"])}

def raw(event, context):
    return json.loads(event["body"])
"""
TEMPLATE = """
Parameters:
  Word: {Type: String, Default: from the template}
  JwtIssuer: {Type: String, Default: "http://127.0.0.1:1"}
Globals:
  Function:
    CodeUri: code/
    Timeout: 60
    Environment: {Variables: {WORD: !Ref Word}}
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers: {Jwt: {JwtConfiguration: {issuer: !Ref JwtIssuer, audience: [robot-brain]}}}
      CorsConfiguration:
        AllowOrigins: ["https://app.example.com"]
        AllowMethods: [GET, POST, PATCH]
        AllowHeaders: [authorization, content-type]
        ExposeHeaders: [etag]
        MaxAge: 3600
  Open: {Type: AWS::Serverless::Function, Properties: {Handler: probe.echo, Events: {
    Get: {Type: HttpApi, Properties: {Path: /open, Method: GET, Auth: {Authorizer: NONE}}}}}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: probe.echo
      MemorySize: 256
      Events:
        Post: {Type: HttpApi, Properties: {Path: '/echo/{name}', Method: post}}
        Get: {Type: HttpApi, Properties: {Path: '/echo/{name}', Method: GET}}
        Any: {Type: HttpApi, Properties: {Path: /any, Method: ANY}}
        Part: {Type: HttpApi, Properties: {Path: '/things/{name}/parts/{number}', Method: PUT}}
        Patch: {Type: HttpApi, Properties: {Path: '/things/{name}', Method: PATCH}}
  Resolve: {Type: AWS::Serverless::Function, Properties: {Handler: probe.resolve, Events: {
    Get: {Type: HttpApi, Properties: {Path: /resolve, Method: GET}}}}}
  Wait: {Type: AWS::Serverless::Function, Properties: {Handler: probe.wait, Events: {
    Get: {Type: HttpApi, Properties: {Path: /wait, Method: GET}}}}}
  Endless: {Type: AWS::Serverless::Function, Properties: {Handler: probe.endless, Timeout: 1, Events: {
    Get: {Type: HttpApi, Properties: {Path: /endless, Method: GET}}}}}
  Patient: {Type: AWS::Serverless::Function, Properties: {Handler: probe.endless, Timeout: 900, Events: {
    Get: {Type: HttpApi, Properties: {Path: /patient, Method: GET}}}}}
  Crash: {Type: AWS::Serverless::Function, Properties: {Handler: probe.crash, Events: {
    Get: {Type: HttpApi, Properties: {Path: /crash, Method: GET}}}}}
  Fail: {Type: AWS::Serverless::Function, Properties: {Handler: probe.fail, Events: {
    Get: {Type: HttpApi, Properties: {Path: /fail, Method: GET}}}}}
  Shout: {Type: AWS::Serverless::Function, Properties: {Handler: probe.shout, Events: {
    Get: {Type: HttpApi, Properties: {Path: /shout, Method: GET}}}}}
  Sized: {Type: AWS::Serverless::Function, Properties: {Handler: probe.sized, Events: {
    Get: {Type: HttpApi, Properties: {Path: /sized, Method: GET}}}}}
  Raw: {Type: AWS::Serverless::Function, Properties: {Handler: probe.raw, Events: {
    Any: {Type: HttpApi, Properties: {Path: /raw, Method: ANY}},
    Delete: {Type: HttpApi, Properties: {Path: '/things/{name}', Method: DELETE}}}}}
  Broken: {Type: AWS::Serverless::Function, Properties: {Handler: broken.handler, Events: {
    Get: {Type: HttpApi, Properties: {Path: /broken, Method: GET}}}}}
  Missing: {Type: AWS::Serverless::Function, Properties: {Handler: probe.no_such_function, Events: {
    Get: {Type: HttpApi, Properties: {Path: /missing, Method: GET}}}}}
"""


def write_stack(folder: Path) -> Path:
    """Write the template and its handlers into `folder` and return the template's path."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "logs").mkdir(exist_ok=True)
    (folder / "code" / "probe.py").write_text(HANDLERS)
    (folder / "code" / "broken.py").write_text("raise RuntimeError('this module cannot be imported')\n")
    (folder / "template.yaml").write_text(TEMPLATE)
    return folder / "template.yaml"


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
