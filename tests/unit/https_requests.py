"""Requests to a test's own server through the function that the services use, and the parts of its answers."""

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

from robot_brain.deadline import Deadline
from robot_brain.services.https import request
from tests.support.servers.authority import make_authority

ENOUGH = 30.0
LARGEST = 65_536
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
EMPTY = OK + b"content-length: 0\r\n\r\n"
WHOLE = OK + b"content-length: 2\r\n\r\n{}"


def send(port: int, seconds: float = ENOUGH, scheme: str = "http", body: bytes | None = None) -> tuple[int, bytes]:
    """Send a request to the server on `port` of 127.0.0.1. Return the status and the body of its answer."""
    method = "GET" if body is None else "POST"
    return request(method, f"{scheme}://127.0.0.1:{port}/a?b=c", body, {"x-key": "hush"}, Deadline(seconds), LARGEST)


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Replace the resolver: every name has these addresses."""

    def getaddrinfo(host: str, port: int, *_: object, **__: object) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def server_contexts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ssl.SSLContext]:
    """Return a TLS context for each kind of server certificate.

    Clients of this test trust the authority that made the valid certificate.
    """
    authority = make_authority(folder)
    contexts = {}
    for name, files in vars(authority.certificates(folder)).items():
        contexts[name] = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        contexts[name].load_cert_chain(*map(str, vars(files).values()))
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_cert))
    return contexts
