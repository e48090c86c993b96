"""A server that runs a script per connection. A script may drip, flood or hold its answer, with or without TLS."""

import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.support.waiting import PATIENCE_SECONDS

# Seconds between two pieces of a dripped answer. Shorter than every deadline of a test that drips.
_PAUSE = 0.2


class _ClientLeftError(Exception):
    """The client closed its connection while the script still used it."""


@dataclass
class Stubborn:
    """What clients of the server did. `left` is set once a client closes its connection before the script is done."""

    port: int
    connections: int = 0
    left: threading.Event = field(default_factory=threading.Event)
    requests: list[bytes] = field(default_factory=list)

    def assert_left(self) -> None:
        """Assert that the client closed its connection before the script was done."""
        assert self.left.wait(PATIENCE_SECONDS)


class Client:
    """One connection of a script. Each method ends the script if the client has left or the test is over."""

    def __init__(self, connection: socket.socket, server: Stubborn, ended: threading.Event) -> None:
        self.connection = connection
        self._server = server
        self._ended = ended

    def read_request(self) -> None:
        """Read one request, its body included, and keep it in `requests`."""
        text = b""
        while b"\r\n\r\n" not in text:
            text += self.receive()
        head, _, body = text.partition(b"\r\n\r\n")
        lines = [line.lower() for line in head.split(b"\r\n")]
        sizes = [int(line.partition(b":")[2]) for line in lines if line.startswith(b"content-length:")]
        while sizes and len(body) < sizes[0]:
            body += self.receive()
        self._server.requests.append(head + b"\r\n\r\n" + body)

    def send(self, data: bytes) -> None:
        """Send `data` at once."""
        try:
            self.connection.sendall(data)
        except OSError as error:
            raise _ClientLeftError from error

    def drip(self, data: bytes, size: int = 1) -> None:
        """Send `data` in pieces of `size` bytes with a pause after each."""
        for start in range(0, len(data), size):
            self.send(data[start : start + size])
            self.pause()

    def flood(self, data: bytes) -> None:
        """Send `data` again and again, as fast as the client takes it."""
        while not self._ended.is_set():
            self.send(data)
        raise _ClientLeftError

    def hold(self) -> None:
        """Send nothing until the client leaves."""
        while True:
            self.pause()

    def pause(self) -> None:
        """Wait a moment, in which the client may leave."""
        if self._ended.is_set():
            raise _ClientLeftError
        if select.select([self.connection], [], [], _PAUSE)[0]:
            self.receive()

    def receive(self) -> bytes:
        """Return some bytes that the client sent."""
        try:
            data = self.connection.recv(65_536)
        except OSError as error:
            raise _ClientLeftError from error
        if not data:
            raise _ClientLeftError
        return data


Script = Callable[[Client], None]


@contextmanager
def stubborn(script: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Stubborn]:
    """Run `script` for each connection, one after the other. If `context` is given, the TLS handshake comes first."""
    ended = threading.Event()

    def serve(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(PATIENCE_SECONDS)
            script(Client(connection, server, ended))

    def run() -> None:
        while not ended.is_set():
            if not select.select([listener], [], [], 0.02)[0]:
                continue
            plain = listener.accept()[0]
            server.connections += 1
            with plain:
                try:
                    plain.settimeout(PATIENCE_SECONDS)
                    serve(plain if context is None else context.wrap_socket(plain, server_side=True))
                except (_ClientLeftError, OSError):
                    server.left.set()

    with socket.create_server((host, 0)) as listener:
        server = Stubborn(listener.getsockname()[1])
        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield server
        finally:
            ended.set()
            thread.join()


def answers(head: bytes, dripped: bytes = b"", tail: bytes = b"") -> Script:
    """Return a script that reads a request and sends `head` at once, `dripped` slowly and `tail` at once."""

    def script(client: Client) -> None:
        client.read_request()
        client.send(head)
        client.drip(dripped)
        client.send(tail)

    return script
