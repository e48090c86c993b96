"""A TCP relay to one server. It passes bytes unchanged, so TLS stays between client and server.

The relay runs an event loop in a thread of its own. Every method may be called from any thread.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

# A TCP host and port, or the path of a unix socket.
Target = tuple[str, int] | str

CHUNK = 256 * 1024
_BACKLOG = 128
_DIAL_SECONDS = 10.0


class Connection:
    """A client's connection, and its connection to the server, which is missing until the relay has opened it."""

    def __init__(self, client: socket.socket) -> None:
        """Take the client's socket, which must be non-blocking."""
        self.client = client
        self.server: socket.socket | None = None
        self.reset = False  # ends with RST instead of FIN
        self.task: asyncio.Task[None] | None = None


AnyConnection = TypeVar("AnyConnection", bound=Connection)


class Relay(Generic[AnyConnection]):
    """A relay on 127.0.0.1:`port` to `target`, from `with` to the end of its block."""

    def __init__(
        self,
        target: Target,
        connection: Callable[[socket.socket], AnyConnection],
        *,
        admit: Callable[[], "Future[None]"] | None = None,
        on_traffic: Callable[[], None] | None = None,
    ) -> None:
        """Take the server's address and the class of the connections.

        A new connection waits until the future that `admit` returns is done. The relay calls `on_traffic` in its own
        thread for each piece of data. If the server cannot be reached, the relay closes the client's connection.
        """
        self._target = target
        self._connection = connection
        self._admit = admit
        self._on_traffic = on_traffic or (lambda: None)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._open: set[AnyConnection] = set()
        self.port = 0

    def __enter__(self) -> Self:
        """Listen on a free port."""
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all connections and the thread."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many client connections are open."""
        return len(self._open)

    def drop(self, *, reset: bool = False) -> None:
        """Close the connections that reached the server, without a TLS close message; with `reset` send RST.

        Connections that still wait for the server stay open.
        """
        self._do(self._drop(lambda connection: connection.server is not None, reset))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = bound(0)
            self.port = self._listener.getsockname()[1]
        self._listener.listen(_BACKLOG)
        self._accepting = self._loop.create_task(self._accept(self._listener))

    async def _stop_accepting(self) -> None:
        if self._accepting is not None:
            await _cancelled(self._accepting)
            self._accepting = None

    async def _drop(self, which: Callable[[AnyConnection], bool], reset: bool) -> None:
        for connection in [each for each in self._open if which(each)]:
            connection.reset = reset
            if connection.task is not None:
                await _cancelled(connection.task)

    async def _end(self) -> None:
        await self._stop_accepting()
        await self._drop(lambda _: True, reset=False)
        if self._listener is not None:
            self._listener.close()
        await self._loop.shutdown_default_executor()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = await self._loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.01)  # the client left before it was accepted, or too many files are open
                continue
            client.setblocking(False)
            connection = self._connection(client)
            self._open.add(connection)
            connection.task = self._loop.create_task(self._serve(connection))

    async def _serve(self, connection: AnyConnection) -> None:
        try:
            await self._answer(connection)
        except OSError:
            pass  # the client or the server closed the connection
        finally:
            self._open.discard(connection)
            if connection.reset:
                connection.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.client.close()
            if connection.server is not None:
                connection.server.close()

    async def _answer(self, connection: AnyConnection) -> None:
        """Serve one client until its connection ends."""
        try:
            await self._dial(connection)
        except Exception:  # the server did not start; `admit` has reported why
            return await self._unreachable(connection)
        return await self._relay(connection)

    async def _unreachable(self, connection: AnyConnection) -> None:
        """Serve a client although the server cannot be reached: close the connection."""

    async def _dial(self, connection: AnyConnection) -> None:
        if self._admit is not None:
            await asyncio.wrap_future(self._admit())
        server = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
        connection.server = server
        server.setblocking(False)
        async with asyncio.timeout(_DIAL_SECONDS):
            await self._loop.sock_connect(server, self._target)
        for side in (connection.client, server):
            if side.family == socket.AF_INET:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    async def _relay(self, connection: AnyConnection) -> None:
        assert connection.server is not None
        up = self._loop.create_task(self._pass_up(connection, connection.server))
        down = self._loop.create_task(self._pass_down(connection, connection.server))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                await _cancelled(task)

    async def _pass_up(self, connection: AnyConnection, server: socket.socket) -> None:
        """Send the client's data to the server until the client closes its side."""
        while data := await self._loop.sock_recv(connection.client, CHUNK):
            self._on_traffic()
            await self._loop.sock_sendall(server, data)

    async def _pass_down(self, connection: AnyConnection, server: socket.socket) -> None:
        """Send the server's data to the client until the server closes its side."""
        while data := await self._loop.sock_recv(server, CHUNK):
            self._on_traffic()
            await self._loop.sock_sendall(connection.client, data)


def target(parameters: Mapping[str, object]) -> Target:
    """Return the address of the server that the parameters of a connection string name."""
    host, port = str(parameters["host"]), int(str(parameters.get("port") or 5432))
    return f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)


def bound(port: int) -> socket.socket:
    """Return a socket that is bound to 127.0.0.1:`port` and does not listen yet."""
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("127.0.0.1", port))
    made.setblocking(False)
    return made


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await task
