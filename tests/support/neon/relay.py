"""The relay of the fault laboratory. It passes bytes unchanged until a method makes it fail.

A fault begins before its method returns, and lasts until `restore`.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum, auto

from local.relay import CHUNK, Connection, Relay, Target, bound
from tests.support.neon.conversation import Conversation
from tests.support.neon.proxy import ProxyAnswer, answer

# An answer is complete once the server was silent for this long. A long one may begin before COMMIT.
_QUIET_SECONDS = 0.05
# `drip` passes this many bytes at a time, with this pause after each piece.
_DRIP_BYTES = 4
_DRIP_SECONDS = 0.2


class Fate(Enum):
    """What happens to the answer of one request."""

    RESET = auto()
    LOST = auto()


class Silence(Enum):
    """Which connections get no answer."""

    NONE = auto()
    NEW = auto()
    ALL = auto()


class _Connection(Connection):
    def __init__(self, client: socket.socket) -> None:
        super().__init__(client)
        self.conversation = Conversation()
        self.fate: Fate | None = None
        self.spoiled = False  # the relay discards bytes, so the connection cannot continue
        self.reads = True
        self.reading: asyncio.Task[bytes] | None = None
        self.passes_requests = False  # also if the connection is spoiled


class FaultRelay(Relay[_Connection]):
    """A relay on 127.0.0.1:`port` that can refuse, delay, drip, reset, lose and silence."""

    def __init__(
        self,
        target: Target,
        *,
        admit: Callable[[], "Future[None]"] | None = None,
        on_traffic: Callable[[], None] | None = None,
        unreachable: ProxyAnswer | None = None,
    ) -> None:
        """Take the server's address. If the server cannot be reached, clients get `unreachable`."""
        super().__init__(target, _Connection, admit=admit, on_traffic=on_traffic)
        self._away = unreachable
        self._silence = Silence.NONE
        self._proxy: ProxyAnswer | None = None
        self._fates: list[Fate] = []
        self._one_way = 0.0
        self._drips = False
        self.accepted = 0  # connections of clients since the start, the closed ones included

    @property
    def to_come(self) -> int:
        """How many answers `lose_answers` and `reset_answers` still wait to spoil."""
        return len(self._fates)

    def turn(self, target: Target) -> None:
        """Lead new connections to another server, as a name that moves. Open ones stay with the old server."""
        self._target = target

    def refuse(self) -> None:
        """Stop listening, so that new connections are refused. Open ones go on."""
        self._do(self._refuse())

    def silence_new(self) -> None:
        """Accept new connections and never answer them. Open ones go on."""
        self._silence = Silence.NEW

    def silence_open(self, *, reads: bool = True, answers_only: bool = False) -> None:
        """Pass nothing on over the connections that are open now. New connections work.

        If `reads` is false, the relay does not even read what the clients send, so that their send buffers fill up. If
        `answers_only` is true, the server still gets the requests, and the relay discards the answers.
        """
        self._do(self._silence_open(reads, answers_only))

    def silence_all(self) -> None:
        """Read what comes on new and open connections and pass nothing on. The client sees ACKs and no FIN."""
        self._silence = Silence.ALL

    def reset_answers(self, times: int = 1) -> None:
        """For the next `times` requests, on any connection, pass half of the answer's first bytes, then send RST."""
        self._fates = [Fate.RESET] * times

    def lose_answers(self, times: int = 1) -> None:
        """For the next `times` requests, let the server answer, discard the answer and close the connection."""
        self._fates = [Fate.LOST] * times

    def delay(self, seconds: float) -> None:
        """Add this to each round trip, half of it in each direction."""
        self._one_way = seconds / 2

    def drip(self) -> None:
        """Pass what servers send in small pieces with pauses. Requests pass at once."""
        self._drips = True

    def answer_with(self, proxy: ProxyAnswer) -> None:
        """Answer new connections with an error, as Neon's proxy does before authentication. Open ones go on."""
        self._proxy = proxy

    def restore(self) -> None:
        """End every fault. Reset each connection whose bytes were discarded, because it cannot continue."""
        self._silence, self._proxy, self._fates, self._one_way = Silence.NONE, None, [], 0.0
        self._drips = False
        self._do(self._restore())

    async def _refuse(self) -> None:
        if self._accepting is None or self._listener is None:
            return
        await self._stop_accepting()
        self._listener.close()
        # A bound socket that does not listen refuses connections, and no other process can take its port.
        self._listener = bound(self.port)

    async def _silence_open(self, reads: bool, answers_only: bool) -> None:
        for connection in self._open:
            connection.spoiled, connection.reads, connection.passes_requests = True, reads, answers_only
            if connection.reading is not None and not reads:
                connection.reading.cancel()

    async def _restore(self) -> None:
        await self._drop(lambda connection: connection.spoiled, reset=True)
        if self._accepting is None:
            await self._listen()

    async def _answer(self, connection: _Connection) -> None:
        self.accepted += 1
        if self._proxy is not None:
            await self._answer_as_proxy(connection, self._proxy)
        elif self._silence is not Silence.NONE:
            await self._swallow(connection)
        else:
            await super()._answer(connection)

    async def _unreachable(self, connection: _Connection) -> None:
        if self._away is not None:
            await self._answer_as_proxy(connection, self._away)

    async def _answer_as_proxy(self, connection: _Connection, proxy: ProxyAnswer) -> None:
        await self._loop.run_in_executor(None, answer, connection.client.dup(), proxy)

    async def _swallow(self, connection: _Connection) -> None:
        connection.spoiled = True
        while self._silence is Silence.NEW or await self._loop.sock_recv(connection.client, CHUNK):
            if self._silence is Silence.NEW:
                await asyncio.Event().wait()  # reads nothing at all

    async def _read(self, connection: _Connection) -> bytes:
        """Return what the client sends next. Never return if `silence_open` stops the reading."""
        connection.reading = self._loop.create_task(self._loop.sock_recv(connection.client, CHUNK))
        try:
            if connection.reads:
                await asyncio.wait((connection.reading,))
            if not connection.reads:
                await asyncio.Event().wait()
            return connection.reading.result()
        finally:
            connection.reading.cancel()

    async def _pass_up(self, connection: _Connection, server: socket.socket) -> None:
        while data := await self._read(connection):
            self._on_traffic()
            if self._silence is Silence.ALL:
                connection.spoiled = True
                continue
            if connection.spoiled and not connection.passes_requests:
                continue
            fates = self._fates  # another thread may replace the list
            if connection.conversation.sent(data) and fates and connection.fate is None:
                connection.fate = fates.pop()
            if self._one_way:
                await asyncio.sleep(self._one_way)
            await self._loop.sock_sendall(server, data)

    async def _pass_down(self, connection: _Connection, server: socket.socket) -> None:
        while data := await self._loop.sock_recv(server, CHUNK):
            self._on_traffic()
            connection.conversation.received(data)
            if self._silence is Silence.ALL or connection.spoiled:
                connection.spoiled = True
                continue
            if connection.fate is Fate.LOST:
                with contextlib.suppress(TimeoutError):
                    while await asyncio.wait_for(self._loop.sock_recv(server, CHUNK), _QUIET_SECONDS):
                        pass
                return
            if self._one_way:
                await asyncio.sleep(self._one_way)
            if connection.fate is Fate.RESET:
                await self._loop.sock_sendall(connection.client, data[: len(data) // 2])
                connection.reset = True
                return
            await self._send(connection.client, data)
        if self._silence is Silence.ALL:
            connection.spoiled = True
        if connection.spoiled:
            await asyncio.Event().wait()  # the client gets no FIN either

    async def _send(self, client: socket.socket, data: bytes) -> None:
        """Send `data` to the client, slowly if `drip` holds."""
        while self._drips and data:
            await self._loop.sock_sendall(client, data[:_DRIP_BYTES])
            data = data[_DRIP_BYTES:]
            await asyncio.sleep(_DRIP_SECONDS)
        await self._loop.sock_sendall(client, data)
