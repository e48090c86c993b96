"""A server that gives the answers which a gateway or a busy service gives, in an order that the test chooses."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Scripted:
    """One answer. With the status 0 the connection is closed without an answer."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    closes: bool = False


@dataclass(frozen=True)
class Seen:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class ScriptedGateway(ThreadingHTTPServer):
    """Gives the answers in turn, and the last one again and again."""

    daemon_threads = True

    def __init__(self, answers: list[Scripted]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = answers
        self.seen: list[Seen] = []
        self.connections = 0
        self.closed = 0

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def shutdown_request(self, request: Any) -> None:
        """Close a connection, and count it when it is closed."""
        super().shutdown_request(request)
        self.closed += 1

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedGateway

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): text for name, text in self.headers.items()}
        answers = self.server.answers
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        self.server.seen.append(Seen(self.command, self.path, headers, body))
        if not answer.status:
            self.close_connection = True
            return
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        self.send_response(answer.status)
        for name, text in {"content-type": "application/json", **answer.headers}.items():
            self.send_header(name, text)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        # No header says that the connection ends.
        self.close_connection = answer.closes

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_CONNECT = _answer

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@contextmanager
def scripted(*answers: Scripted) -> Iterator[ScriptedGateway]:
    """Run a server with these answers."""
    gateway = ScriptedGateway(list(answers))
    thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield gateway
    finally:
        gateway.shutdown()
        gateway.server_close()
        thread.join(10)
