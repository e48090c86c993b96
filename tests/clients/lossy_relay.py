"""A relay in front of the API that loses answers: the request is done, and the client gets no answer.

It uses the standard library alone, because the tests of each framework run in an environment of their own.
"""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class LossyRelay(ThreadingHTTPServer):
    """Passes requests on to `api`. Of the requests that change something it loses the answer to each `every`th."""

    daemon_threads = True

    def __init__(self, api: str, every: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.api = urlsplit(api)
        self.every = every
        self.changes = 0
        self.lost = 0
        self.requests: list[tuple[str, str]] = []
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        """The address for clients."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def loses(self, method: str, path: str) -> bool:
        """Count a request, and return whether its answer is lost."""
        with self._lock:
            self.requests.append((method, path))
            if method in ("GET", "HEAD"):
                return False
            self.changes += 1
            lost = self.every > 0 and self.changes % self.every == 0
            self.lost += lost
            return lost

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that left is no error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: LossyRelay

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        loses = self.server.loses(self.command, self.path)
        api = http.client.HTTPConnection(self.server.api.hostname or "", self.server.api.port, timeout=60)
        try:
            headers = {name: text for name, text in self.headers.items() if name.lower() not in ("host", "connection")}
            api.request(self.command, self.path, body or None, headers)
            answer = api.getresponse()
            content = answer.read()
        finally:
            api.close()
        if loses:
            self.close_connection = True
            return
        self.send_response(answer.status)
        for name, text in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, text)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Write no log."""


@contextmanager
def lossy_relay(api: str, every: int) -> Iterator[LossyRelay]:
    """Run a relay that loses each `every`th answer to a change; 0 loses none and only counts the requests."""
    relay = LossyRelay(api, every)
    thread = threading.Thread(target=relay.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield relay
    finally:
        relay.shutdown()
        relay.server_close()
        thread.join(10)
