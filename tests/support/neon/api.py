"""A server for the one call of Neon's API that the functions make: GET /projects/{id}/endpoints/{id}.

https://api-docs.neon.tech/reference/getprojectendpoint
"""

import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

_PATH = "/api/v2"


class NeonApi:
    """A server on 127.0.0.1 that returns `current_state` of one endpoint to clients that send its key.

    The server calls `current_state` for each answer, which returns "active", "idle", "init" and so on. `certificate` is
    a chain and its key as PEM files; without them the server speaks plain http. `fail`, `answer` and `hang` make it
    misbehave until `mend`. Close it, or use it as a context.
    """

    project_id = "quiet-forest-12345678"
    endpoint_id = "ep-quiet-forest-a1b2c3d4"

    def __init__(
        self,
        current_state: Callable[[], str],
        key: str = "napi_local",
        certificate: tuple[str, str] | None = None,
    ) -> None:
        self._current_state = current_state
        self._key = key
        self._misbehaves: Callable[[BaseHTTPRequestHandler], None] | None = None
        self._released = threading.Event()
        self.calls = 0
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            # So each connection does its handshake at its first read, in a thread of its own.
            self._server.socket = context.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}{_PATH}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that make the functions call this server."""
        return {
            "NEON_API_KEY": self._key,
            "NEON_PROJECT_ID": self.project_id,
            "NEON_ENDPOINT_ID": self.endpoint_id,
            "NEON_API_URL": self.url,
        }

    def fail(self, status: int, location: str | None = None) -> None:
        """Answer every call with `status`, and with the header Location if `location` is given."""
        headers = {} if location is None else {"location": location}
        self._misbehaves = lambda handler: _send(handler, status, b'{"code": "", "message": "no"}', headers)

    def answer(self, body: bytes) -> None:
        """Answer every call with 200 and these bytes."""
        self._misbehaves = lambda handler: _send(handler, 200, body)

    def hang(self) -> None:
        """Accept every call and never answer it."""
        self._released.clear()
        self._misbehaves = lambda _: self._hold()

    def mend(self) -> None:
        """Answer as Neon does again. Calls that hang end without an answer."""
        self._misbehaves = None
        self._released.set()

    def close(self) -> None:
        """Stop the server."""
        self.mend()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _hold(self) -> None:
        self._released.wait()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        self.calls += 1
        if self._misbehaves is not None:
            self._misbehaves(handler)
        elif handler.headers.get("authorization") != f"Bearer {self._key}":
            _send(handler, 401, b'{"code": "", "message": "supplied credentials do not pass authentication"}')
        elif handler.path != f"{_PATH}/projects/{self.project_id}/endpoints/{self.endpoint_id}":
            _send(handler, 404, b'{"code": "", "message": "not found"}')
        else:
            endpoint = {
                "id": self.endpoint_id,
                "project_id": self.project_id,
                "type": "read_write",
                "current_state": self._current_state(),
                "pooler_enabled": True,
                "suspend_timeout_seconds": 0,
            }
            _send(handler, 200, json.dumps({"endpoint": endpoint}).encode())

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api._answer(self)

            def log_message(self, *_: object) -> None:
                """Log nothing."""

        return Handler


def _send(handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    handler.send_response(status)
    for name, value in {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **(headers or {}),
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)
