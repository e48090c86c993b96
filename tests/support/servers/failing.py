"""Servers that fail: no TCP handshake, no answer, or a refusal. They take any loopback address of Linux."""

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

# Loopback addresses of which no other server uses any.
HOSTS = tuple(f"127.0.0.{number}" for number in range(2, 8))
# More connection attempts than a backlog of this module can hold.
_MOST_CLIENTS = 16


@contextmanager
def never_connects(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yield a port whose TCP handshake never ends, because its queue of waiting connections is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((host, port), backlog=0))
        port = listener.getsockname()[1]
        for _ in range(_MOST_CLIENTS):
            client = stack.enter_context(socket.socket())
            client.settimeout(0.2)
            try:
                client.connect((host, port))
            except TimeoutError:
                yield port
                return
        raise AssertionError("the queue does not fill up")


@contextmanager
def never_answers(host: str = "127.0.0.1", port: int = 0) -> Iterator[int]:
    """Yield a port that accepts connections and acknowledges what clients send, but never answers."""
    with socket.create_server((host, port)) as listener:
        yield listener.getsockname()[1]


@contextmanager
def refuses_connections(host: str = "127.0.0.1") -> Iterator[int]:
    """Yield a port that no server listens on, and that no other process gets meanwhile."""
    with socket.socket() as bound:
        bound.bind((host, 0))
        yield bound.getsockname()[1]


@contextmanager
def refuses(text: str, sqlstate: str = "XX000", host: str = "127.0.0.1") -> Iterator[tuple[int, list[None]]]:
    """Yield a port that answers each startup packet with an error, and a list with one entry per connection.

    The port has no TLS. The error is like those of Neon's proxy.
    """
    fields = b"".join(
        kind + value.encode() + b"\0" for kind, value in ((b"S", "ERROR"), (b"C", sqlstate), (b"M", text))
    )
    packet = b"E" + (4 + len(fields) + 1).to_bytes(4, "big") + fields + b"\0"
    accepted: list[None] = []
    ended = threading.Event()

    def serve() -> None:
        while not ended.is_set():
            if select.select([listener], [], [], 0.02)[0]:
                with listener.accept()[0] as client:
                    accepted.append(None)
                    client.settimeout(10)
                    client.recv(4096)
                    client.sendall(packet)

    with socket.create_server((host, 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1], accepted
        finally:
            ended.set()
            thread.join(10)
