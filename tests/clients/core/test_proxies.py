"""HTTPS_PROXY and NO_PROXY, with a proxy that makes tunnels and an API with TLS."""

from __future__ import annotations

import base64
import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from robot_brain_client import NotSentError, RobotBrain
from tests.clients.core.conftest import Caller
from tests.clients.core.scripted_gateway import Scripted, ScriptedGateway, scripted
from tests.support.servers.authority import Authority
from tests.support.waiting import PATIENCE_SECONDS

HEALTH = {"status": "ok", "version": "0"}


class Tunnels(ThreadingHTTPServer):
    """A proxy. `asked` are the places to which clients wanted a tunnel, with their logins. It refuses some."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Tunnel)
        self.asked: list[tuple[str, str]] = []
        self.refuses = False

    def url(self, login: str = "") -> str:
        """Return the proxy's URL."""
        return f"http://{login}127.0.0.1:{self.server_address[1]}"


class _Tunnel(BaseHTTPRequestHandler):
    server: Tunnels

    def do_CONNECT(self) -> None:
        self.server.asked.append((self.path, self.headers.get("proxy-authorization", "")))
        if self.server.refuses:
            self.send_error(407)
            return
        host, _, port = self.path.rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE_SECONDS) as api:
            self.send_response(200)
            self.end_headers()
            ends = {self.connection: api, api: self.connection}
            while True:
                for end in select.select(list(ends), [], [], PATIENCE_SECONDS)[0]:
                    data = end.recv(65536)
                    if not data:
                        return
                    ends[end].sendall(data)

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@pytest.fixture
def tunnels(monkeypatch: pytest.MonkeyPatch, authority: Authority) -> Iterator[Tunnels]:
    """A proxy. Clients trust the certificate of the API, and no other variable names a proxy."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root_cert))
    server = Tunnels()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join(10)


@contextlib.contextmanager
def with_tls(authority: Authority, folder: Path) -> Iterator[ScriptedGateway]:
    """Run an API that is healthy, with TLS."""
    certificate = authority.certificates(folder).valid
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    with scripted(Scripted(200, HEALTH)) as gateway:
        gateway.socket = context.wrap_socket(gateway.socket, server_side=True)
        yield gateway


def https(gateway: ScriptedGateway) -> str:
    return gateway.url.replace("http:", "https:")


@pytest.mark.parametrize("login", ["", "ann:p%40ss@"])
def test_requests_go_through_the_proxy_with_its_login(
    call: Caller, tunnels: Tunnels, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, login: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", tunnels.url(login))
    with with_tls(authority, tmp_path) as gateway:
        assert call(https(gateway), "health").body == HEALTH
        wanted = f"Basic {base64.b64encode(b'ann:p@ss').decode()}" if login else ""
        assert tunnels.asked == [(https(gateway).removeprefix("https://"), wanted)]


def test_no_proxy_excludes_a_host(
    call: Caller, tunnels: Tunnels, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", tunnels.url())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with with_tls(authority, tmp_path) as gateway:
        assert call(https(gateway), "health").body == HEALTH
    assert tunnels.asked == []


def test_a_proxy_that_refuses_is_an_error_that_names_it(
    call: Caller, tunnels: Tunnels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", tunnels.url())
    tunnels.refuses = True
    with pytest.raises(NotSentError, match="407"):
        call("https://127.0.0.1:9", "health", options={"patience": 0.5})


def test_a_proxy_that_wants_tls_itself_is_refused_at_once(tunnels: Tunnels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", tunnels.url().replace("http:", "https:"))
    with pytest.raises(ValueError, match=r"HTTPS_PROXY has to be http://host:port, and has the scheme https"):
        RobotBrain("https://127.0.0.1:9")


def test_an_api_without_tls_needs_no_proxy(call: Caller, tunnels: Tunnels, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", tunnels.url())
    with scripted(Scripted(200, HEALTH)) as gateway:
        assert call(gateway.url, "health").body == HEALTH
    assert tunnels.asked == []
