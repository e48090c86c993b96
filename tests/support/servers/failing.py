"""Servers that fail: no TCP handshake, no answer, none any more, or a refusal; on any loopback address of Linux."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# More connection attempts than any backlog of this module leaves room for.
_MOST_CLIENTS = 16


@contextmanager
def never_connects(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Give a port whose TCP handshake never ends: the queue of those who wait to be accepted is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(_MOST_CLIENTS):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.2)
            try:
                client.connect((host, port))
            except TimeoutError:
                yield port
                return
        raise AssertionError("the queue does not fill up")


@contextmanager
def never_answers(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Give a port that takes connections and acknowledges what is sent, and says nothing."""
    with socket.create_server((host, port)) as listener:
        yield listener.getsockname()[1]


class Relay:
    """Passes bytes between clients and one server, until it swallows those of the connections that it has then."""

    def __init__(self, target: tuple[str, int] | str, host: str, port: int) -> None:
        self._target = target
        self._listener = socket.create_server((host, port))
        self.port: int = self._listener.getsockname()[1]
        self._others: dict[socket.socket, socket.socket] = {}
        self._clients: set[socket.socket] = set()
        self._silent: set[socket.socket] = set()
        self._reads_nothing = False
        self._ended = threading.Event()
        self.connections = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def swallow(self, *, reads: bool = True, answers_only: bool = False) -> None:
        """Let no byte through on the connections of now.

        With `reads` false do not even take what the client sends; with `answers_only` the server gets it and does it.
        """
        self._reads_nothing = not reads
        self._silent = {end for end in set(self._others) if not (answers_only and end in self._clients)}

    def close(self) -> None:
        """End all connections and the relay."""
        self._ended.set()
        self._thread.join(10)
        for end in [self._listener, *self._others]:
            end.close()

    def _run(self) -> None:
        while not self._ended.is_set():
            mute = self._silent if self._reads_nothing else set()
            ends = [end for end in self._others if end not in mute]
            for end in select.select([self._listener, *ends], [], [], 0.02)[0]:
                if end is self._listener:
                    self._accept()
                elif end in self._others:
                    self._pass_on(end)

    def _accept(self) -> None:
        client = self._listener.accept()[0]
        server = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
        server.connect(self._target)
        self._clients.add(client)
        self._others |= {client: server, server: client}
        self.connections += 1

    def _pass_on(self, end: socket.socket) -> None:
        try:
            data = end.recv(65536)
            if end not in self._silent:
                self._others[end].sendall(data)
        except OSError:
            data = b""
        if not data:
            for each in (self._others.pop(end), end):
                self._others.pop(each, None)
                self._silent.discard(each)
                self._clients.discard(each)
                each.close()


@contextmanager
def relay_to(target: tuple[str, int] | str, host: str = "127.0.0.1", port: int = 0) -> Iterator[Relay]:
    """Start a relay to a TCP address or the path of a unix socket; it ends with the block."""
    relay = Relay(target, host, port)
    try:
        yield relay
    finally:
        relay.close()


@contextmanager
def refuses(text: str, sqlstate: str = "XX000", host: str = "127.0.0.1") -> Iterator[tuple[int, list[None]]]:
    """Give a port that answers a startup packet without TLS by an error, as Neon's proxy does, and who came so far."""
    fields = b"".join(
        kind + value.encode() + b"\0" for kind, value in ((b"S", "ERROR"), (b"C", sqlstate), (b"M", text))
    )
    packet = b"E" + (4 + len(fields) + 1).to_bytes(4, "big") + fields + b"\0"
    came: list[None] = []
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            if select.select([listener], [], [], 0.02)[0]:
                with listener.accept()[0] as client:
                    came.append(None)
                    client.settimeout(10)
                    client.recv(4096)
                    client.sendall(packet)

    with socket.create_server((host, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], came
        finally:
            ended.set()
            thread.join(10)
