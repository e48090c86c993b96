"""The HTTP API on this machine: routes a request to its function and answers as API Gateway does.

Tokens and CORS are checked if the caller gives authorizers and a Cors. Signatures (IAM) and rate limits are not
emulated. The gateway's own errors are `{"message": …}`.
"""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, cast

from aiohttp import ClientPayloadError, HttpVersion11, web
from aiohttp.web_protocol import RequestHandler

from local.cloudformation import TemplateError
from local.emulator import Emulator, ThrottledError
from local.gateway.authorizer import JwtAuthorizer, UnauthorizedError
from local.gateway.cors import Cors
from local.gateway.index import DOCUMENT_PATH, Index
from local.gateway.payload import (
    BadTargetError,
    HttpRequest,
    HttpResponse,
    MalformedResponseError,
    build_event,
    read_response,
    split_target,
)
from local.gateway.router import Router
from local.outcome import PAYLOAD_LIMIT
from local.template import Route, Template

BODY_LIMIT = 10_485_760  # bytes of a request's body: the HTTP API's 10 MB
HEADER_LIMIT = 10_240  # bytes of the request line, or of a header: the HTTP API's 10 KB for all together
BODY_SECONDS = 30.0  # the longest time in which a request's body must arrive
INTEGRATION_SECONDS = 30.0  # the longest time that an HTTP API waits for a function


class _Protocol(RequestHandler):
    """aiohttp's HTTP protocol, with the gateway's error answers in place of aiohttp's."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that is not HTTP, or that our own code failed on, without a reason. Log our failure."""
        if status >= 500:
            self.log_exception("the front failed on a request", exc_info=exc)
        answer = HttpResponse.of_gateway(status)
        response = web.Response(status=answer.status, body=answer.body, headers=dict(answer.headers))
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        """Make the protocol of one connection."""
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Front:
    """Serves a template's routes through an emulator on a bound socket. Use it as an async context manager."""

    def __init__(
        self,
        template: Template,
        emulator: Emulator,
        bound: socket.socket,
        *,
        access: Callable[[str], None],
        authorizers: Mapping[str, JwtAuthorizer] | None = None,
        cors: Cors | None = None,
        index: Index | None = None,
        integration_seconds: float = INTEGRATION_SECONDS,
    ) -> None:
        """Take the routes, the emulator that runs them, and a bound socket. `access` receives a line per request.

        `authorizers` has each authorizer of the routes by its name. Without it every route is open. Without `cors` no
        page of another origin may call the API. `index` answers GET / and GET /openapi.json if the template has no
        such route. Raises TemplateError if a route's authorizer is missing.
        """
        if authorizers is not None:
            for route in template.routes:
                if route.authorizer is not None and route.authorizer not in authorizers:
                    raise TemplateError(f"{route.path}: the local stack has no authorizer {route.authorizer}")
        self._authorizers = authorizers
        self._cors = cors
        self._index = index
        self._router = Router(template.routes)
        self._emulator = emulator
        self._socket = bound
        self._access = access
        self._integration_seconds = integration_seconds
        self._host = "{}:{}".format(*bound.getsockname()[:2])
        self._runner: web.ServerRunner | None = None

    async def __aenter__(self) -> Self:
        """Start to listen."""
        # A compressed body reaches the function as it was sent.
        server = _Server(
            self._handle,
            access_log=None,
            auto_decompress=False,
            max_line_size=HEADER_LIMIT,
            max_field_size=HEADER_LIMIT,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=2)
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop accepting connections, give running requests two seconds, and close."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        began = time.monotonic()
        answer, function = await self._answer(request)
        # The path as it was sent. If it is not ASCII, the request was refused, and the log gets the path escaped.
        target = request.raw_path.partition("?")[0].encode("ascii", "backslashreplace").decode()
        milliseconds = (time.monotonic() - began) * 1000
        self._access(f"{request.method} {target} {answer.status} {milliseconds:.0f} ms {function}".rstrip())
        return _to_aiohttp(answer)

    async def _answer(self, request: web.BaseRequest) -> tuple[HttpResponse, str]:
        """Return the response and the function that made it. The name is empty if the gateway answered itself."""
        try:
            path, query = split_target(request.raw_path)
        except BadTargetError:
            return HttpResponse.of_gateway(400), ""
        origins = request.headers.getall("Origin", [])
        matched = self._router.match(request.method, path)
        if matched is None:
            if self._cors is not None and _is_preflight(request) and self._router.knows(path):
                return self._cors.preflight(origins), ""
            if self._index is not None and path == "/" and request.method in ("GET", "HEAD"):
                return self._index.answer(request.headers.getall("Accept", [])), ""
            if self._index is not None and path == DOCUMENT_PATH and request.method in ("GET", "HEAD"):
                described = self._index.document(f"http://{self._host}")
                return described if self._cors is None else self._cors.answer(described, origins), ""
            return HttpResponse.of_gateway(404), ""
        route, parameters = matched
        try:
            claims = await self._authorize(route, request.headers.getall("Authorization", []))
        except UnauthorizedError as error:
            refusal = HttpResponse.of_gateway(401)
            return replace(refusal, headers=[*refusal.headers, ("www-authenticate", error.challenge)]), ""
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await _read_body(request)
        except TimeoutError:
            return HttpResponse.of_gateway(408), ""
        except (ConnectionError, ClientPayloadError):
            # The client has disconnected, or its body is not HTTP. A client that is still connected gets the 400.
            return HttpResponse.of_gateway(400), ""
        if body is None:
            return HttpResponse.of_gateway(413), ""
        peer = cast("tuple[Any, ...] | None", request.transport and request.transport.get_extra_info("peername"))
        http_request = HttpRequest(
            method=request.method,
            target=request.raw_path,
            protocol=f"HTTP/{request.version.major}.{request.version.minor}",
            headers=list(request.headers.items()),
            body=body,
            source_ip=str(peer[0]) if peer else "127.0.0.1",
            host=request.headers.get("Host", self._host),
            received=time.time(),
        )
        event = build_event(http_request, route, path, query, parameters, claims)
        if len(event) > PAYLOAD_LIMIT:
            return HttpResponse.of_gateway(413), ""
        return await self._invoke(route.function, event, origins), route.function

    async def _authorize(self, route: Route, authorization: Sequence[str]) -> dict[str, str] | None:
        """Return the claims of the request's token, or None if the route is open. Raises UnauthorizedError."""
        if self._authorizers is None or route.authorizer is None:
            return None
        return await self._authorizers[route.authorizer].claims(authorization)

    async def _invoke(self, function: str, event: bytes, origins: Sequence[str]) -> HttpResponse:
        try:
            async with asyncio.timeout(self._integration_seconds):
                outcome = await self._emulator.invoke(function, event)
        except (TimeoutError, ThrottledError):
            return HttpResponse.of_gateway(503)
        if outcome.error is not None:
            self._access(f"{function} failed: {outcome.described}. Its log says more.")
            return HttpResponse.of_gateway(500)
        try:
            response = read_response(outcome.payload)
        except MalformedResponseError as error:
            self._access(f"{function}: {error}")
            return HttpResponse.of_gateway(500)
        return response if self._cors is None else self._cors.answer(response, origins)


def _is_preflight(request: web.BaseRequest) -> bool:
    names = ("Origin", "Access-Control-Request-Method")
    return request.method == "OPTIONS" and all(name in request.headers for name in names)


async def _read_body(request: web.BaseRequest) -> bytes | None:
    """Return the whole body, or None if it is over the limit. Bytes over the limit stay unread."""
    if (request.content_length or 0) > BODY_LIMIT:
        return None
    if request.version == HttpVersion11 and request.headers.get("Expect", "").lower() == "100-continue":
        # curl waits a second for this before it sends a large body.
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    body = bytearray()
    async for chunk in request.content.iter_any():
        body += chunk
        if len(body) > BODY_LIMIT:
            return None
    return bytes(body)


def _to_aiohttp(answer: HttpResponse) -> web.Response:
    response = web.Response(status=answer.status, body=answer.body or None)
    if "content-type" in response.headers:
        del response.headers["content-type"]
    for name, value in answer.headers:
        response.headers.add(name, value)
    return response
