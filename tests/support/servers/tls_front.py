"""TLS in front of a server without TLS, as Neon's proxy has it: clients may negotiate or begin with TLS at once."""

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.servers.address import Address

_SSL_REQUEST = bytes.fromhex("0000000804d2162f")
_TLS_HANDSHAKE = 0x16
_ALPN = "postgresql"


@contextmanager
def tls_front(behind: Address, certificate: Path, key: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield a port, and the list of how each client began TLS: `direct` or `negotiated`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols([_ALPN])
    began: list[str] = []
    ended = threading.Event()
    threads: list[threading.Thread] = []

    def serve(listener: socket.socket) -> None:
        while not ended.is_set():
            if select.select([listener], [], [], 0.02)[0]:
                client = listener.accept()[0]
                thread = threading.Thread(target=_serve_one, args=(client, context, behind, began, ended))
                thread.start()
                threads.append(thread)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=serve, args=(listener,))
        accepting.start()
        try:
            yield listener.getsockname()[1], began
        finally:
            ended.set()
            accepting.join()
            for thread in threads:
                thread.join()


def _serve_one(
    client: socket.socket, context: ssl.SSLContext, behind: Address, began: list[str], ended: threading.Event
) -> None:
    client.settimeout(10)
    with client, contextlib.suppress(OSError):
        direct = client.recv(1, socket.MSG_PEEK)[:1] == bytes([_TLS_HANDSHAKE])
        if not direct:
            if client.recv(len(_SSL_REQUEST)) != _SSL_REQUEST:
                return
            client.sendall(b"S")
        with context.wrap_socket(client, server_side=True) as encrypted:
            if direct and encrypted.selected_alpn_protocol() != _ALPN:
                return
            began.append("direct" if direct else "negotiated")
            with _connected(behind) as server:
                _pass_on(encrypted, server, ended)


def _connected(behind: Address) -> socket.socket:
    if not behind.host.startswith("/"):
        return socket.create_connection((behind.host, behind.port))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{behind.host}/.s.PGSQL.{behind.port}")
    return server


def _pass_on(client: ssl.SSLSocket, server: socket.socket, ended: threading.Event) -> None:
    while not ended.is_set():
        ready = [client] if client.pending() else select.select([client, server], [], [], 0.02)[0]
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            (server if source is client else client).sendall(data)
