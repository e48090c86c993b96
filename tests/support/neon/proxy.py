"""The errors of Neon's proxy itself, which come before authentication, over TLS with the proxy's certificate."""

import contextlib
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from tests.support.neon.conversation import HANDSHAKE, SSL_REQUEST

SQLSTATE = "XX000"  # of every error that the proxy sends
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True)
class Certificate:
    """A certificate chain and its private key, as PEM files."""

    chain: Path
    key: Path


@dataclass(frozen=True)
class Certificates:
    """The certificates that the stand-in can show: a valid one, and those that clients must refuse."""

    valid: Certificate
    expired: Certificate
    wrong_name: Certificate
    unknown_authority: Certificate


@dataclass(frozen=True)
class ProxyAnswer:
    """An error with `text`, over TLS with `certificate`. Without a certificate it is sent in plain text."""

    text: str
    certificate: Certificate | None = None


def answer(client: socket.socket, reply: ProxyAnswer) -> None:
    """Answer a new connection and close it. If the client leaves early or sends nonsense, close it at once."""
    client.settimeout(_PATIENCE_SECONDS)
    with contextlib.closing(client) as plain, contextlib.suppress(OSError):  # includes ssl.SSLError
        context = None if reply.certificate is None else _context(reply.certificate)
        first = plain.recv(1, socket.MSG_PEEK)
        if first and first[0] == HANDSHAKE and context is not None:
            _refuse(context.wrap_socket(plain, server_side=True), reply.text)
            return
        startup = _packet(plain)
        if startup == SSL_REQUEST:
            plain.sendall(b"N" if context is None else b"S")
            if context is not None:
                _refuse(context.wrap_socket(plain, server_side=True), reply.text)
                return
            startup = _packet(plain)
        plain.sendall(_error(reply.text))


def _refuse(client: socket.socket, text: str) -> None:
    with contextlib.closing(client):
        _packet(client)
        client.sendall(_error(text))


def _context(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["postgresql"])
    context.load_cert_chain(certificate.chain, certificate.key)
    return context


def _packet(client: socket.socket) -> bytes:
    """Read one packet without a type. Clients send such packets before they are logged in."""
    length = client.recv(4, socket.MSG_WAITALL) if not isinstance(client, ssl.SSLSocket) else client.recv(4)
    if len(length) < 4:
        raise ConnectionError("the client has left")
    packet = length
    while len(packet) < min(int.from_bytes(length, "big"), 10_000):
        more = client.recv(int.from_bytes(length, "big") - len(packet))
        if not more:
            raise ConnectionError("the client has left")
        packet += more
    return packet


def _error(text: str) -> bytes:
    fields = {"S": "FATAL", "V": "FATAL", "C": SQLSTATE, "M": text}
    body = b"".join(name.encode() + value.encode() + b"\0" for name, value in fields.items()) + b"\0"
    return b"E" + (len(body) + 4).to_bytes(4, "big") + body
