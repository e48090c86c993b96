"""An API that refuses a number of requests before it answers, and that every page may call."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ANSWER = {
    "session": {"id": "a", "message_count": 1},
    "messages": [{"user_message": "Hello!", "robot_response": "You said: Hello!"}],
}


@dataclass
class StubbornApi:
    """Its URL, the statuses that it still answers with before it answers 200, and what it received."""

    url: str
    refusals: list[int] = field(default_factory=list)
    received: list[tuple[str, str | None, bytes]] = field(default_factory=list)  # method, Idempotency-Key, body


@contextmanager
def stubborn_api() -> Iterator[StubbornApi]:
    """Serve on 127.0.0.1. A refusal says Retry-After: 0."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            api.received.append((self.command, self.headers.get("idempotency-key"), body))
            self.answer(api.refusals.pop(0) if api.refusals else 200)

        do_GET = do_POST

        def do_OPTIONS(self) -> None:
            self.answer(204)

        def answer(self, status: int) -> None:
            body = b"" if status == 204 else json.dumps(ANSWER).encode()
            self.send_response(status)
            for name in ("origin", "methods", "headers"):
                self.send_header(f"access-control-allow-{name}", "GET, POST" if name == "methods" else "*")
            self.send_header("access-control-expose-headers", "retry-after")
            self.send_header("retry-after", "0")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api = StubbornApi(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
