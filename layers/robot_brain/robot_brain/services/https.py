"""Send one request to another service within one deadline. It returns the whole answer, or raises.

http.client applies its timeout to each address and to each part of an answer again, and never to the look-up of a name.
A server that sent four bytes each half second made a request with a deadline of 2 s last 9.5 s.
So we connect ourselves, and set the socket's timeout to the time that is left before each call. Python applies that
timeout to the whole call, also to a TLS handshake or a TLS record. Only a look-up needs a thread. Only the caller's
thread uses the socket, and it closes the socket at the deadline.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPResponse, IncompleteRead
from io import BufferedReader, RawIOBase
from threading import Thread
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import SplitResult, urlsplit

from robot_brain.deadline import Deadline
from robot_brain.errors import SettingsError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PORTS = {"http": 80, "https": 443}
# The seconds that an address gets for its TCP handshake if others follow. A lost SYN is sent again after one second.
_TCP_SECONDS = 3.0


class NoAnswerError(Exception):
    """The service did not give a whole answer. The text has only its host and the kind of error, and no quotes."""


class TooLargeError(HTTPException):
    """The answer has more bytes than the caller allows."""


def split(url: str) -> SplitResult:
    """Return the parts of a service's URL. Raises SettingsError, which does not quote it, if the URL is unusable."""
    try:
        parts = urlsplit(url)
        # Reading the port checks it.
        usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        raise SettingsError("the URL of a service is not http(s)://host:port/path; see AWS_ENDPOINT_URL, NEON_API_URL")
    return parts


def request(
    method: str, url: str, body: bytes | None, headers: Mapping[str, str], deadline: Deadline, largest: int
) -> tuple[int, bytes]:
    """Send one request and return the status and body of its answer. Headers and body have up to `largest` bytes.

    TLS verifies the certificate and the name. The request follows no redirect, uses no proxy and is never sent twice.
    Raises NoAnswerError if no whole answer came by `deadline`.
    Raises DeadlineExceededError and sends nothing if no time is left at the start.
    Raises SettingsError if `url` is wrong.
    """
    parts = split(url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline.remaining()
    try:
        # Made before we connect, because reading a hundred certificates takes tens of milliseconds.
        context = _verifying() if parts.scheme == "https" else None
        with (
            _connected(_addresses(host, port, deadline), deadline) as plain,
            _encrypted(plain, context, host, deadline) if context else plain as connection,
        ):
            wire = _Wire(connection, deadline, largest)
            return _exchange(wire, method, target, body, {"host": parts.netloc, **headers}, largest)
    except (OSError, HTTPException) as error:
        raise NoAnswerError(f"{parts.netloc} did not answer: {type(error).__name__}") from error
    except ValueError as error:
        # `from None`, because the cause's text may quote a header with a key.
        raise NoAnswerError(f"{parts.netloc} did not answer: {type(error).__name__}") from None


def _left(deadline: Deadline) -> float:
    """Return the seconds left. Raises TimeoutError, as a socket does, after the deadline."""
    seconds = deadline.left()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _addresses(host: str, port: int, deadline: Deadline) -> list[tuple[Any, ...]]:
    """Return the addresses from getaddrinfo. Raises its error, or TimeoutError at the deadline.

    A look-up cannot be cancelled, and a resolver may take many seconds. So a thread does it, and we abandon that thread
    at the deadline. The thread holds none of our sockets, and ends when the resolver gives up.
    """
    found: list[tuple[Any, ...]] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            found.extend(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, ValueError) as error:
            failed.append(error)

    thread = Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if failed:
        raise failed[0]
    if not found:
        raise TimeoutError
    return found


def _connected(addresses: list[tuple[Any, ...]], deadline: Deadline) -> socket.socket:
    """Return a socket connected to the first address that accepts. Raises the last OSError if every address fails."""
    failed: OSError = TimeoutError()
    for number, (family, kind, protocol, _, address) in enumerate(addresses, start=1):
        left = _left(deadline)
        others = len(addresses) - number
        try:
            return _connect(family, kind, protocol, address, min(_TCP_SECONDS, left / (others + 1)) if others else left)
        except OSError as error:
            failed = error
    raise failed


def _connect(family: int, kind: int, protocol: int, address: Any, seconds: float) -> socket.socket:
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(seconds)
        connection.connect(address)
        # http.client sends headers and body separately. Without this option the body waits for the headers' ACK.
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except BaseException:
        connection.close()
        raise
    return connection


def _verifying() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context


def _encrypted(plain: socket.socket, context: ssl.SSLContext, host: str, deadline: Deadline) -> socket.socket:
    plain.settimeout(_left(deadline))
    return context.wrap_socket(plain, server_hostname=host)


def _exchange(
    wire: _Wire, method: str, target: str, body: bytes | None, headers: dict[str, str], largest: int
) -> tuple[int, bytes]:
    # _Wire has every method of a socket that http.client calls.
    connected = cast(socket.socket, wire)
    connection = HTTPConnection(headers["host"])
    connection.sock = connected
    connection.request(method, target, body, headers)
    response = HTTPResponse(connected, method=method)
    response.begin()
    # Without a size http.client would allocate the length that the answer announces.
    text = response.read(largest)
    if response.length:
        raise IncompleteRead(text, response.length)
    return response.status, text


class _Wire(RawIOBase):
    """A socket for http.client with a deadline and a limit on received bytes. It does not close the socket."""

    def __init__(self, connection: socket.socket, deadline: Deadline, largest: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._room = largest

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raises TimeoutError at the deadline."""
        left = memoryview(data)
        while left:
            self._connection.settimeout(_left(self._deadline))
            left = left[self._connection.send(left) :]

    def makefile(self, _: str) -> BufferedReader:
        """Return the file from which http.client reads the answer."""
        return BufferedReader(self)

    def readable(self) -> bool:
        """Return True, for BufferedReader."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Receive some bytes. Raises TimeoutError at the deadline, and TooLargeError if the answer is too large."""
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(buffer)
        self._room -= count
        if self._room < 0:
            raise TooLargeError
        return count
