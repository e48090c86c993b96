"""The relay of the fault laboratory: it passes bytes unchanged until a method makes it fail.

Each fault holds from the method's return until `restore`.
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

# An answer is complete after the server was silent for this long. The first bytes of a long one may come before COMMIT.
_QUIET_SECONDS = 0.05


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
        self.spoiled = False  # the relay discarded bytes, so the connection cannot continue


class FaultRelay(Relay[_Connection]):
    """A relay on 127.0.0.1:`port` that can refuse, delay, reset, lose and silence."""

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

    @property
    def to_come(self) -> int:
        """How many answers `lose_answers` and `reset_answers` still wait to spoil."""
        return len(self._fates)

    def refuse(self) -> None:
        """Stop listening, so that new connections are refused. Open ones go on."""
        self._do(self._refuse())

    def silence_new(self) -> None:
        """Accept new connections and never answer them. Open ones go on."""
        self._silence = Silence.NEW

    def silence_all(self) -> None:
        """Read what comes on new and open connections and pass nothing on. The client sees ACKs and no FIN."""
        self._silence = Silence.ALL

    def reset_answers(self, times: int = 1) -> None:
        """For the next `times` requests, on any connection: pass half of the answer's first bytes on, then send RST."""
        self._fates = [Fate.RESET] * times

    def lose_answers(self, times: int = 1) -> None:
        """For the next `times` requests: let the server answer, discard the answer and close the connection."""
        self._fates = [Fate.LOST] * times

    def delay(self, seconds: float) -> None:
        """Add this to each round trip, half of it in each direction."""
        self._one_way = seconds / 2

    def answer_with(self, proxy: ProxyAnswer) -> None:
        """Answer new connections with an error, as Neon's proxy does before it authenticates. Open ones go on."""
        self._proxy = proxy

    def restore(self) -> None:
        """End every fault. Reset each connection of which bytes were discarded, because it cannot continue."""
        self._silence, self._proxy, self._fates, self._one_way = Silence.NONE, None, [], 0.0
        self._do(self._restore())

    async def _refuse(self) -> None:
        if self._accepting is None or self._listener is None:
            return
        await self._stop_accepting()
        self._listener.close()
        # A bound socket that does not listen refuses connections, and no other process can take its port.
        self._listener = bound(self.port)

    async def _restore(self) -> None:
        await self._drop(lambda connection: connection.spoiled, reset=True)
        if self._accepting is None:
            await self._listen()

    async def _answer(self, connection: _Connection) -> None:
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

    async def _pass_up(self, connection: _Connection, server: socket.socket) -> None:
        while data := await self._loop.sock_recv(connection.client, CHUNK):
            self._on_traffic()
            if self._silence is Silence.ALL:
                connection.spoiled = True
                continue
            if connection.spoiled:
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
            await self._loop.sock_sendall(connection.client, data)
        if self._silence is Silence.ALL:
            connection.spoiled = True
            await asyncio.Event().wait()  # the client gets no FIN either
