"""A relay to one server that passes bytes untouched, TLS end to end, until it is told to misbehave.

It runs an event loop in a thread of its own; every command may be given from any thread, holds from its return, and is
taken back by `restore`.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from enum import Enum, auto
from types import TracebackType
from typing import Any, Self

from local.neon.conversation import Conversation
from local.neon.proxy import ProxyAnswer, answer

# A TCP host and port, or the path of a unix socket.
Target = tuple[str, int] | str

_CHUNK = 256 * 1024
_BACKLOG = 128
# An answer is over when the server has been silent for so long after its first bytes (a long one's first bytes may
# come before COMMIT).
_QUIET_SECONDS = 0.05
_DIAL_SECONDS = 10.0


class Fate(Enum):
    """What becomes of one request's answer."""

    RESET = auto()
    LOST = auto()


class Silence(Enum):
    """Whose bytes are taken and never answered."""

    NOBODY = auto()
    NEW = auto()
    ALL = auto()


class _Connection:
    def __init__(self, client: socket.socket) -> None:
        self.client = client
        self.server: socket.socket | None = None
        self.conversation = Conversation()
        self.fate: Fate | None = None
        self.spoiled = False  # something of it was thrown away: it cannot go on
        self.reset = False  # ends with RST and not with FIN
        self.task: asyncio.Task[None] | None = None


class Relay:
    """A relay on 127.0.0.1:`port` to `target`, from `with` to the end of its block."""

    def __init__(
        self,
        target: Target,
        *,
        admit: Callable[[], "Future[None]"] | None = None,
        on_traffic: Callable[[], None] | None = None,
        unreachable: ProxyAnswer | None = None,
    ) -> None:
        """Take where to connect to.

        A new connection is held until the future that `admit` returns is done. `on_traffic` is called, on the relay's
        thread, for all that passes. Where the target cannot be reached the client gets `unreachable`, or is hung up on.
        """
        self._target = target
        self._admit = admit
        self._on_traffic = on_traffic or (lambda: None)
        self._unreachable = unreachable
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="relay", daemon=True)
        self._listener: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._open: set[_Connection] = set()
        self._silence = Silence.NOBODY
        self._proxy: ProxyAnswer | None = None
        self._fates: list[Fate] = []
        self._one_way = 0.0
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
        """How many connections of clients are open."""
        return len(self._open)

    @property
    def to_come(self) -> int:
        """How many of the fates that `lose_answers` and `reset_answers` gave out are still to be met."""
        return len(self._fates)

    def refuse(self) -> None:
        """Stop listening, so that a new connection is refused; open ones go on."""
        self._do(self._refuse())

    def drop(self, *, reset: bool = False) -> None:
        """End what is connected to the target with a raw EOF (no TLS goodbye), or with RST; who waits, waits on."""
        self._do(self._drop(lambda connection: connection.server is not None, reset))

    def silence_new(self) -> None:
        """Accept new connections and never answer them; open ones go on."""
        self._silence = Silence.NEW

    def silence_all(self) -> None:
        """Take what comes on new and open connections and pass nothing on: acknowledged, never answered, no FIN."""
        self._silence = Silence.ALL

    def reset_answers(self, times: int = 1) -> None:
        """Let a part of the answers to the next `times` requests through, on any connections, then RST."""
        self._fates = [Fate.RESET] * times

    def lose_answers(self, times: int = 1) -> None:
        """Pass the next `times` requests on, wait for each answer, throw it away and close the connection."""
        self._fates = [Fate.LOST] * times

    def delay(self, seconds: float) -> None:
        """Add so much to each round trip, half of it in each direction."""
        self._one_way = seconds / 2

    def answer_with(self, proxy: ProxyAnswer) -> None:
        """Answer new connections here, as Neon's proxy does before it authenticates; open ones go on."""
        self._proxy = proxy

    def restore(self) -> None:
        """Take every command back. A connection of which something was thrown away is reset: it cannot go on."""
        self._silence, self._proxy, self._fates, self._one_way = Silence.NOBODY, None, [], 0.0
        self._do(self._restore())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = _bound(0)
            self.port = self._listener.getsockname()[1]
        self._listener.listen(_BACKLOG)
        self._accepting = self._loop.create_task(self._accept(self._listener))

    async def _refuse(self) -> None:
        if self._accepting is None or self._listener is None:
            return
        await _cancelled(self._accepting)
        self._accepting = None
        self._listener.close()
        # Bound and not listening: it refuses, and nobody else can take the port meanwhile.
        self._listener = _bound(self.port)

    async def _restore(self) -> None:
        await self._drop(lambda connection: connection.spoiled, reset=True)
        if self._accepting is None:
            await self._listen()

    async def _drop(self, which: Callable[[_Connection], bool], reset: bool) -> None:
        for connection in [each for each in self._open if which(each)]:
            connection.reset = reset
            if connection.task is not None:
                await _cancelled(connection.task)

    async def _end(self) -> None:
        await self._refuse()
        await self._drop(lambda _: True, reset=False)
        if self._listener is not None:
            self._listener.close()
        await self._loop.shutdown_default_executor()

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = await self._loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(0.01)  # it left before it was accepted, or there are too many open files
                continue
            client.setblocking(False)
            connection = _Connection(client)
            self._open.add(connection)
            connection.task = self._loop.create_task(self._serve(connection))

    async def _serve(self, connection: _Connection) -> None:
        try:
            if self._proxy is not None:
                await self._answer(connection, self._proxy)
            elif self._silence is not Silence.NOBODY:
                await self._swallow(connection)
            elif await self._dial(connection):
                await self._relay(connection)
        except OSError:
            pass  # one of both sides is gone; so is the connection then
        finally:
            self._open.discard(connection)
            _close(connection.client, connection.reset)
            if connection.server is not None:
                connection.server.close()

    async def _answer(self, connection: _Connection, proxy: ProxyAnswer) -> None:
        await self._loop.run_in_executor(None, answer, connection.client.dup(), proxy)

    async def _swallow(self, connection: _Connection) -> None:
        connection.spoiled = True
        while self._silence is Silence.NEW or await self._loop.sock_recv(connection.client, _CHUNK):
            if self._silence is Silence.NEW:
                await asyncio.Event().wait()  # not even read

    async def _dial(self, connection: _Connection) -> bool:
        try:
            if self._admit is not None:
                await asyncio.wrap_future(self._admit())
            connection.server = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
            connection.server.setblocking(False)
            async with asyncio.timeout(_DIAL_SECONDS):
                await self._loop.sock_connect(connection.server, self._target)
        except Exception:  # whatever keeps the servers from starting (the compute says it), Neon's client is told this
            if self._unreachable is not None:
                await self._answer(connection, self._unreachable)
            return False
        for side in (connection.client, connection.server):
            if side.family == socket.AF_INET:
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return True

    async def _relay(self, connection: _Connection) -> None:
        assert connection.server is not None
        up = self._loop.create_task(self._pass_up(connection, connection.server))
        down = self._loop.create_task(self._pass_down(connection, connection.server))
        try:
            await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (up, down):
                await _cancelled(task)

    async def _pass_up(self, connection: _Connection, server: socket.socket) -> None:
        while data := await self._loop.sock_recv(connection.client, _CHUNK):
            self._on_traffic()
            if self._silence is Silence.ALL:
                connection.spoiled = True
                continue
            if connection.spoiled:
                continue
            fates = self._fates  # another thread may put a new list there
            if connection.conversation.sent(data) and fates and connection.fate is None:
                connection.fate = fates.pop()
            if self._one_way:
                await asyncio.sleep(self._one_way)
            await self._loop.sock_sendall(server, data)

    async def _pass_down(self, connection: _Connection, server: socket.socket) -> None:
        while data := await self._loop.sock_recv(server, _CHUNK):
            self._on_traffic()
            connection.conversation.received(data)
            if self._silence is Silence.ALL or connection.spoiled:
                connection.spoiled = True
                continue
            if connection.fate is Fate.LOST:
                with contextlib.suppress(TimeoutError):
                    while await asyncio.wait_for(self._loop.sock_recv(server, _CHUNK), _QUIET_SECONDS):
                        pass
                return
            if self._one_way:
                await asyncio.sleep(self._one_way)
            if connection.fate is Fate.RESET:
                await self._loop.sock_sendall(connection.client, data[: len(data) // 2])
                connection.reset = True
                return
            await self._loop.sock_sendall(connection.client, data)
        if self._silence is Silence.ALL:
            connection.spoiled = True
            await asyncio.Event().wait()  # no FIN either


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind(("127.0.0.1", port))
    bound.setblocking(False)
    return bound


def _close(client: socket.socket, reset: bool) -> None:
    if reset:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, OSError):
        await task
