"""One cold start of a process of awslambdaric, from its start to its first answer.

The Runtime API here is the minimum that awslambdaric needs. It has no event loop. So the clock stops at the answer's
last byte, and nothing else runs meanwhile.
"""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local.runtime import Launch, variables
from local.template import Function

_LONGEST_SECONDS = 30.0
_API = "/2018-06-01/runtime/invocation"


class ColdStartError(Exception):
    """A function did not answer. The message holds the output of its process."""


@dataclass(frozen=True)
class ColdStart:
    """Milliseconds of a start: `init` until the process asked for its first event, `total` until its answer."""

    init: float
    total: float
    answer: bytes


def cold_start(python: Path, function: Function, event: bytes, settings: Mapping[str, str], log: Path) -> ColdStart:
    """Start `function` in a process of `python`, give it `event`, wait for its answer, and end the process.

    Raises ColdStartError if the function does not answer within 30 seconds.
    """
    with socket.create_server(("127.0.0.1", 0)) as listener, log.open("wb") as output:
        listener.settimeout(_LONGEST_SECONDS)
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        environment = variables(function, Launch(settings=settings), address, "bench")
        started = time.perf_counter()
        process = subprocess.Popen(
            [python, "-m", "awslambdaric", function.handler],
            env=environment,
            cwd=function.code,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
        try:
            return _serve(listener, event, function, started)
        except OSError as error:
            raise ColdStartError(f"{function.name}: {error!r}\n{log.read_text(errors='replace')}") from error
        finally:
            process.kill()
            process.wait()


def _serve(listener: socket.socket, event: bytes, function: Function, started: float) -> ColdStart:
    head, _, client = _request(listener, None)
    if not head.startswith(f"GET {_API}/next".encode()):
        raise OSError(f"the function failed to start: {head.partition(b' HTTP')[0]!r}")
    init = (time.perf_counter() - started) * 1000
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        f"Content-Length: {len(event)}",
        "Lambda-Runtime-Aws-Request-Id: 00000000-0000-4000-8000-000000000000",
        f"Lambda-Runtime-Deadline-Ms: {int((time.time() + function.timeout) * 1000)}",
        f"Lambda-Runtime-Invoked-Function-Arn: arn:aws:lambda:us-east-1:123456789012:function:{function.name}",
        "Lambda-Runtime-Trace-Id: Root=1-00000000-000000000000000000000000;Sampled=0",
    )
    client.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + event)
    head, answer, client = _request(listener, client)
    total = (time.perf_counter() - started) * 1000
    client.close()
    if b"/response HTTP/" not in head.partition(b"\r\n")[0]:
        raise OSError(f"the function answered with an error: {answer.decode(errors='replace')}")
    return ColdStart(init, total, answer)


def _request(listener: socket.socket, client: socket.socket | None) -> tuple[bytes, bytes, socket.socket]:
    """Return head, body and connection of the next request, on the open connection or on a new one."""
    data = b""
    while True:
        if client is None:
            client, _ = listener.accept()
            client.settimeout(_LONGEST_SECONDS)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        part = client.recv(262_144)
        if not part:
            client.close()
            if data:
                raise OSError("the process closed its connection during a request")
            client = None
            continue
        data += part
        head, end, body = data.partition(b"\r\n\r\n")
        if not end:
            continue
        length = next(
            (
                int(line.partition(b":")[2])
                for line in head.split(b"\r\n")
                if line.lower().startswith(b"content-length:")
            ),
            0,
        )
        if b"transfer-encoding: chunked" in head.lower():
            if body.endswith(b"0\r\n\r\n"):
                return head, _unchunked(body), client
        elif len(body) >= length:
            return head, body, client


def _unchunked(body: bytes) -> bytes:
    whole = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        whole, body = whole + body[:length], body[length + 2 :]
    return whole
