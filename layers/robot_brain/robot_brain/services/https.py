"""One request to another service, answered in full or not at all, within one deadline.

http.client counts its timeout anew for each address and for each part of an answer, and never for the look-up of a
name: a server that sent four bytes each half second held a deadline of 2 s for 9.5 s. So we connect ourselves, and give
the socket the time that is left before each call. Python bounds such a call as a whole, also a TLS handshake or a TLS
record. Only a look-up needs a thread. The caller's thread alone has the socket, and closes it at the deadline.
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
# Seconds that an address gets for its TCP handshake if others follow. A lost SYN is sent again after one second.
_TCP_SECONDS = 3.0


class NoAnswerError(Exception):
    """The service gave no whole answer. The text names its host and the kind of error, and quotes nothing."""


class TooLargeError(HTTPException):
    """The answer has more bytes than the caller allows."""


def split(url: str) -> SplitResult:
    """Return the parts of a service's URL. Raise SettingsError, which does not quote it, if no request can go there."""
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
    """Send one request; return the status and the body of its answer, which has up to `largest` bytes with its headers.

    TLS verifies the certificate and the name. No redirect is followed, no proxy is used, and nothing is sent twice.
    Raise NoAnswerError if no whole answer came by `deadline`; DeadlineExceededError, before anything is sent, if
    no time is left at the start; SettingsError if `url` is wrong.
    """
    parts = split(url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    deadline.remaining()
    try:
        # Before anything waits: it reads a hundred certificates, which takes tens of milliseconds.
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
        # Not from its cause: the cause's text may quote a header with a key.
        raise NoAnswerError(f"{parts.netloc} did not answer: {type(error).__name__}") from None


def _left(deadline: Deadline) -> float:
    """Return the seconds left. Raise TimeoutError, as a socket does, if there are none."""
    seconds = deadline.left()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def _addresses(host: str, port: int, deadline: Deadline) -> list[tuple[Any, ...]]:
    """Return what getaddrinfo returns.

    Nothing can end a look-up, and a resolver may take many seconds. So a thread does it, and we leave that thread alone
    at the deadline. It has no socket of ours, and ends once the resolver gives up.
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
    """Return a socket connected to the first address that accepts. Raise the last OSError if none does."""
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
        # http.client sends headers and body apart. Without this the body waits until the headers are acknowledged.
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
    # http.client calls no other methods of a socket than _Wire has.
    connected = cast(socket.socket, wire)
    connection = HTTPConnection(headers["host"])
    connection.sock = connected
    connection.request(method, target, body, headers)
    response = HTTPResponse(connected, method=method)
    response.begin()
    # Without a size http.client would allocate as much as the answer announces.
    text = response.read(largest)
    if response.length:
        raise IncompleteRead(text, response.length)
    return response.status, text


class _Wire(RawIOBase):
    """A socket for http.client that keeps a deadline, and a bound on what it receives. It does not close the socket."""

    def __init__(self, connection: socket.socket, deadline: Deadline, largest: int) -> None:
        self._connection = connection
        self._deadline = deadline
        self._room = largest

    def sendall(self, data: bytes) -> None:
        """Send all of `data`. Raise TimeoutError at the deadline."""
        left = memoryview(data)
        while left:
            self._connection.settimeout(_left(self._deadline))
            left = left[self._connection.send(left) :]

    def makefile(self, _: str) -> BufferedReader:
        """Return the file that an answer is read from."""
        return BufferedReader(self)

    def readable(self) -> bool:
        """Return True, for BufferedReader."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Receive some bytes. Raise TimeoutError at the deadline, TooLargeError beyond the bound."""
        self._connection.settimeout(_left(self._deadline))
        count = self._connection.recv_into(buffer)
        self._room -= count
        if self._room < 0:
            raise TooLargeError
        return count
