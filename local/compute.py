"""The compute: PostgreSQL and PgBouncer, which stop after a time without traffic and start for a new connection."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, Protocol

_TICK_SECONDS = 0.25

State = Literal["active", "idle"]


class Clock(Protocol):
    """A monotonic clock."""

    def now(self) -> float:
        """Return the seconds since a fixed moment."""


class SystemClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Return the seconds since a fixed moment."""
        return time.monotonic()


class Server(Protocol):
    """A server that can be stopped and started again, with the same data at the same address."""

    @property
    def alive(self) -> bool:
        """Whether the server's process runs."""

    def start(self) -> None:
        """Start the server and return when it answers."""

    def stop(self) -> None:
        """Shut the server down in order, even if clients are connected. Do nothing if it does not run."""

    def kill(self) -> None:
        """Kill the server with SIGKILL and return when its process is gone."""


class Compute:
    """Both servers as Neon runs them. The caller has started them already.

    One thread starts and stops the servers, one step after the other. So ten connections to a compute that is asleep
    wake it once.
    """

    def __init__(
        self,
        postgres: Server,
        pgbouncer: Server | None = None,
        *,
        clock: Clock | None = None,
        suspend_after: float | None = None,
        wake_seconds: float = 0.0,
        busy: Callable[[], bool] = lambda: False,
        on_suspend: Callable[[], None] = lambda: None,
        say: Callable[[str], None] = lambda line: None,
        revive: bool = False,
    ) -> None:
        """Take the servers.

        After `suspend_after` seconds of `clock` without traffic the compute calls `on_suspend` and stops both servers.
        It does not if `busy` returns that a transaction is open, or if `suspend_after` is `None`. A wake takes at least
        `wake_seconds` of real time. With `revive`, the next `tick` restarts a server that died.
        """
        self._servers = [server for server in (postgres, pgbouncer) if server is not None]
        self._clock = clock or SystemClock()
        self._suspend_after = suspend_after
        self.wake_seconds = wake_seconds
        self._busy = busy
        self._on_suspend = on_suspend
        self._say = say
        self._revive = revive
        # The thread lives as long as the compute, because the kernel kills a server when its starting thread ends.
        self._worker = ThreadPoolExecutor(1, "compute")
        self._used_at = self._awake_since = self._clock.now()
        self._awake_before = 0.0
        self.state: State = "active"
        self.wakes = 0

    @property
    def awake_seconds(self) -> float:
        """The total seconds awake, by the compute's clock."""
        return self._awake_before + (self._clock.now() - self._awake_since if self.state == "active" else 0.0)

    def touch(self) -> None:
        """Record that there was traffic now."""
        self._used_at = self._clock.now()

    def waking(self) -> "Future[None]":
        """Wake the compute if it is asleep, and return a future that is done when the compute is awake.

        The future raises the error if a server cannot start.
        """
        self.touch()
        return self._worker.submit(self._wake)

    def wake(self) -> None:
        """Wake the compute if it is asleep, and return when it is awake."""
        self.waking().result()

    def suspend(self) -> None:
        """Put the compute to sleep now."""
        self._worker.submit(self._suspend, self._clock.now()).result()

    def repair(self) -> None:
        """Start every server that does not run, if the compute is awake."""
        self._worker.submit(self._repair).result()

    def restart(self, server: Server) -> None:
        """Shut `server` down in order and start it again at once, if the compute is awake."""

        def work() -> None:
            if self.state == "active":
                server.stop()
                server.start()

        self._worker.submit(work).result()

    def tick(self) -> None:
        """Suspend the compute if it is due, or restart a server that died. Returns when that is done."""
        self._worker.submit(self._tick).result()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Call `tick` a few times a second, as long as the context lasts."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(_TICK_SECONDS):
                with contextlib.suppress(Exception):  # a server that does not start was reported, and is tried again
                    self.tick()

        watcher = threading.Thread(target=watch, name="compute-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def close(self) -> None:
        """Stop both servers. Afterwards the compute cannot be woken again."""

        def work() -> None:
            for server in reversed(self._servers):
                server.stop()

        self._worker.submit(work).result()
        self._worker.shutdown()

    def _wake(self) -> None:
        if self.state == "active":
            return
        self._say("The database wakes …")
        began = time.monotonic()
        self._start_dead()
        time.sleep(max(0.0, began + self.wake_seconds - time.monotonic()))
        self.state = "active"
        self.wakes += 1
        self._awake_since = self._clock.now()
        self.touch()
        self._say(f"The database is awake after {time.monotonic() - began:.1f} s.")

    def _suspend(self, since: float) -> None:
        if self.state == "idle":
            return
        self._awake_before += since - self._awake_since
        self.state = "idle"
        self._on_suspend()
        for server in reversed(self._servers):
            server.stop()
        self._say("The database is asleep; the next request wakes it.")

    def _tick(self) -> None:
        if self.state == "idle":
            return
        if self._revive and not all(server.alive for server in self._servers):
            self._say("The database has died and is started again …")
            began = time.monotonic()
            self._repair()
            self.touch()  # clients that waited for the restart have sent no traffic yet
            self._say(f"The database is back after {time.monotonic() - began:.1f} s.")
        if self._suspend_after is None:
            return
        due = self._used_at + self._suspend_after
        if self._clock.now() >= due:
            busy = True
            with contextlib.suppress(Exception):  # if the server cannot be asked, stay awake
                busy = self._busy()
            if busy:
                self.touch()
            else:
                self._suspend(due)

    def _repair(self) -> None:
        if self.state == "active":
            self._start_dead()

    def _start_dead(self) -> None:
        for server in self._servers:
            try:
                if not server.alive:
                    server.start()
            except Exception as error:
                self._say(f"The database does not start: {error}")
                raise
