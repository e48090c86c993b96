"""A server that checks signatures, as a deployed API does, in front of a local stack."""

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.examples.signature import Received, Secret, refusal
from tests.support.waiting import PATIENCE_SECONDS

REGION = "eu-central-1"
SERVICE = "execute-api"


@dataclass
class Gateway:
    """A running gateway: its URL, the requests that it received, and why it refused some of them."""

    url: str
    received: list[Received] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


@contextmanager
def gateway(api: str, secret: Secret) -> Iterator[Gateway]:
    """Serve `api` on 127.0.0.1. A request whose signature does not fit `secret` is 403."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Received(self.command, self.path, headers, body)
            running.received.append(request)
            reason = refusal(request, secret, REGION, SERVICE)
            if reason is not None:
                running.refused.append(reason)
            self.answer(*((403, b'{"message":"Forbidden"}') if reason else _forwarded(api, request)))

        do_GET = do_POST

        def answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    running = Gateway(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _forwarded(api: str, request: Received) -> tuple[int, bytes]:
    headers = {name: request.headers[name] for name in ("content-type", "idempotency-key") if name in request.headers}
    forwarded = urllib.request.Request(api + request.target, request.body or None, headers, method=request.method)
    try:
        with urllib.request.urlopen(forwarded, timeout=PATIENCE_SECONDS) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
