"""A relay between clients and one server that simulates a network. It delays, counts and holds.

It is a process of its own, so that it shares no GIL with the measured process and takes no time from it. It is one loop
over `select`, whose timeouts are exact to some 20 microseconds once the kernel's timer slack is off. It ends when its
standard input is closed: by `close`, or because the process that started it has ended.

    with relay_to(("127.0.0.1", 5432)) as relay:
        relay.delay(0.001)             # a round trip takes 1 ms more, half of it in each direction
        relay.hold(0.5)                # the first bytes of a new connection wait 0.5 s, as during Neon's wake
        relay.counted().round_trips    # how often a client sent after the server had, over all connections
        added = calibrate(relay, 0.001, direct, through)  # sets the delay to 1 ms in total; returns the real value
"""

from __future__ import annotations

import ctypes
import heapq
import json
import select
import socket
import statistics
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from local.settings import ROOT

_CHUNK = 256 * 1024
_PR_SET_TIMERSLACK = 29

# A TCP host and port, or the path of a unix socket.
Target = tuple[str, int] | str


@dataclass(frozen=True)
class Counted:
    """The counters of a relay since its start."""

    connections: int
    round_trips: int
    bytes_up: int
    bytes_down: int


class Relay:
    """A running relay on 127.0.0.1:`port`. A setting applies to bytes and connections that arrive after it."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port = port
        self._process = process

    def delay(self, round_trip_seconds: float) -> None:
        """Add this to each round trip, half of it in each direction. The relay's own time is added to that."""
        self._ask("delay", round_trip_seconds)

    def hold(self, seconds: float) -> None:
        """Hold the first bytes of each new connection for so long before they reach the server."""
        self._ask("hold", seconds)

    def counted(self) -> Counted:
        """Return the counters."""
        return self._ask("count", 0)

    def close(self) -> None:
        """End the relay and all its connections."""
        self._process.communicate(timeout=60)

    def _ask(self, command: str, value: float) -> Counted:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the relay was started without pipes")
        stdin.write(json.dumps([command, value]) + "\n")
        stdin.flush()
        return Counted(*json.loads(stdout.readline()))


@contextmanager
def relay_to(target: Target) -> Iterator[Relay]:
    """Start a relay to `target`. It ends with the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.relay", json.dumps(target)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if process.stdout is None:
            raise RuntimeError("the relay was started without pipes")
        relay = Relay(process, int(process.stdout.readline()))
        yield relay
    finally:
        process.communicate(timeout=60)


def calibrate(relay: Relay, wanted: float, direct: Callable[[], object], through: Callable[[], object]) -> float:
    """Set the delay so that `through`, one round trip over the relay, takes `wanted` seconds longer than `direct`.

    This subtracts the relay's own time (some 0.1 ms) from the delay. Other work of the machine can make that look
    longer, so at most half of the delay is subtracted. Return what the relay adds, measured again at the end.
    """
    delay = wanted
    for _ in range(2):
        relay.delay(delay)
        delay = min(wanted, max(wanted / 2, delay + wanted - added(direct, through)))
    relay.delay(delay)
    return added(direct, through)


def added(direct: Callable[[], object], through: Callable[[], object], rounds: int = 200) -> float:
    """Return how many seconds longer `through` takes than `direct`. Lower quartiles suffer least from noise."""
    near, far = [], []
    for _ in range(rounds):
        near.append(_seconds(direct))
        far.append(_seconds(through))
    return statistics.quantiles(far, n=4)[0] - statistics.quantiles(near, n=4)[0]


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


class _End:
    """One side of a connection: its socket, the bytes that wait to be sent there, and the other side."""

    def __init__(self, sock: socket.socket, is_client: bool) -> None:
        sock.setblocking(False)
        if sock.family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = sock
        self.is_client = is_client
        self.outgoing: deque[bytes] = deque()
        self.other: _End
        self.spoke_last = False  # of a client: it sent after the server had
        self.open_at = 0.0  # of a client: its bytes are held until then


class _Loop:
    def __init__(self, target: Target, listener: socket.socket) -> None:
        self._target = target
        self._listener = listener
        self._one_way = 0.0
        self._held = 0.0
        self._ends: dict[int, _End] = {}
        self._late: list[tuple[float, int, _End, bytes]] = []  # due, order, receiver, bytes (b"" for the end)
        self._order = count()
        self._counts = [0, 0, 0, 0]  # in the order of the fields of Counted

    def run(self) -> None:
        """Pass bytes until standard input ends."""
        commands, listener = sys.stdin.fileno(), self._listener.fileno()
        while True:
            pause = max(0.0, self._late[0][0] - time.monotonic()) if self._late else None
            full = [fd for fd, end in self._ends.items() if end.outgoing]
            ready, writable, _ = select.select([commands, listener, *self._ends], full, [], pause)
            for fd in writable:
                self._flush(self._ends[fd])
            for fd in ready:
                if fd == commands:
                    line = sys.stdin.readline()
                    if not line:
                        return
                    self._obey(*json.loads(line))
                elif fd == listener:
                    self._accept()
                elif fd in self._ends:
                    self._receive(self._ends[fd])
            now = time.monotonic()
            while self._late and self._late[0][0] <= now:
                _, _, end, data = heapq.heappop(self._late)
                self._send(end, data)

    def _obey(self, command: str, value: float) -> None:
        if command == "delay":
            self._one_way = value / 2
        elif command == "hold":
            self._held = value
        print(json.dumps(self._counts), flush=True)

    def _accept(self) -> None:
        client = _End(self._listener.accept()[0], True)
        upstream = socket.socket(socket.AF_UNIX) if isinstance(self._target, str) else socket.socket()
        upstream.settimeout(10)
        try:
            upstream.connect(self._target if isinstance(self._target, str) else tuple(self._target))
        except OSError:
            upstream.close()
            client.socket.close()
            return
        server = _End(upstream, False)
        client.other, server.other = server, client
        client.open_at = time.monotonic() + self._held
        self._ends[client.socket.fileno()] = client
        self._ends[upstream.fileno()] = server
        self._counts[0] += 1

    def _receive(self, end: _End) -> None:
        try:
            data = end.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        client = end if end.is_client else end.other
        if end.is_client and data and not client.spoke_last:
            self._counts[1] += 1
        client.spoke_last = end.is_client
        self._counts[2 if end.is_client else 3] += len(data)
        due = time.monotonic() + self._one_way
        if end.is_client:
            due = max(due, client.open_at + self._one_way)
        if not data:
            del self._ends[end.socket.fileno()]
        if due <= time.monotonic():
            self._send(end.other, data)
        else:
            heapq.heappush(self._late, (due, next(self._order), end.other, data))

    def _send(self, end: _End, data: bytes) -> None:
        """Send now, or after bytes that already wait. Empty data closes the connection."""
        end.outgoing.append(data)
        self._flush(end)

    def _flush(self, end: _End) -> None:
        while end.outgoing:
            data = end.outgoing[0]
            if not data:
                self._end(end)
                return
            try:
                sent = end.socket.send(data)
            except BlockingIOError:
                return
            except OSError:
                self._end(end)
                return
            if sent < len(data):
                end.outgoing[0] = data[sent:]
                return
            end.outgoing.popleft()

    def _end(self, end: _End) -> None:
        for side in (end, end.other):
            self._ends.pop(side.socket.fileno(), None)
            side.outgoing.clear()
            side.socket.close()


def _main() -> None:
    if sys.platform == "linux":
        # Otherwise a sleep may end 50 microseconds late.
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    target = json.loads(sys.argv[1])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        _Loop(target if isinstance(target, str) else (target[0], target[1]), listener).run()


if __name__ == "__main__":
    _main()
