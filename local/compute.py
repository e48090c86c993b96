"""The compute: PostgreSQL and PgBouncer together, which sleep when nobody talks and wake for a connection."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Literal, Protocol

_TICK_SECONDS = 0.25

State = Literal["active", "idle"]


class Clock(Protocol):
    """Seconds that only grow."""

    def now(self) -> float:
        """Return the seconds since some moment."""


class SystemClock:
    """The machine's own."""

    def now(self) -> float:
        """Return the machine's monotonic seconds."""
        return time.monotonic()


class Server(Protocol):
    """A server that can be ended and started again, with the same data at the same address."""

    @property
    def alive(self) -> bool:
        """Whether its process runs."""

    def start(self) -> None:
        """Start it and return when it answers."""

    def stop(self) -> None:
        """End it orderly, whoever is connected; nothing happens where it does not run."""

    def kill(self) -> None:
        """End it with SIGKILL and return when its process is gone."""


class Compute:
    """Both servers, started already, as Neon runs them.

    All that starts or ends a server is done by one thread, one after the other; so ten connections that come while it
    sleeps wake it once.
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
        """Take the servers, PostgreSQL first.

        `suspend_after` seconds of `clock` without traffic end them (None: never), unless `busy` says that a
        transaction is open; `on_suspend` is called just before. `wake_seconds` (of the wall) is the least a wake takes.
        With `revive` a server that died is started again at the next `tick`.
        """
        self._servers = [server for server in (postgres, pgbouncer) if server is not None]
        self._clock = clock or SystemClock()
        self._suspend_after = suspend_after
        self.wake_seconds = wake_seconds
        self._busy = busy
        self._on_suspend = on_suspend
        self._say = say
        self._revive = revive
        # One that lives as long as the compute: the kernel ends a server whose starter's thread has ended.
        self._worker = ThreadPoolExecutor(1, "compute")
        self._used_at = self._awake_since = self._clock.now()
        self._awake_before = 0.0
        self.state: State = "active"
        self.wakes = 0

    @property
    def awake_seconds(self) -> float:
        """How long it was awake so far, by its clock."""
        return self._awake_before + (self._clock.now() - self._awake_since if self.state == "active" else 0.0)

    def touch(self) -> None:
        """Note that there was traffic."""
        self._used_at = self._clock.now()

    def waking(self) -> "Future[None]":
        """Wake it if it sleeps; the future is done when it is awake, and raises what kept it from starting."""
        self.touch()
        return self._worker.submit(self._wake)

    def wake(self) -> None:
        """Wake it if it sleeps, and return when it is awake."""
        self.waking().result()

    def suspend(self) -> None:
        """Put it to sleep now."""
        self._worker.submit(self._suspend, self._clock.now()).result()

    def repair(self) -> None:
        """Start what does not run, if it is awake."""
        self._worker.submit(self._repair).result()

    def restart(self, server: Server) -> None:
        """End `server` orderly and start it again at once, if the compute is awake."""

        def work() -> None:
            if self.state == "active":
                server.stop()
                server.start()

        self._worker.submit(work).result()

    def tick(self) -> None:
        """Look if it is time to sleep, or if something died; returns when what follows from it is done."""
        self._worker.submit(self._tick).result()

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Call `tick` a few times a second, as long as the context lasts."""
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(_TICK_SECONDS):
                with contextlib.suppress(Exception):  # a server that does not start: told, and tried again
                    self.tick()

        watcher = threading.Thread(target=watch, name="compute-watch", daemon=True)
        watcher.start()
        try:
            yield
        finally:
            stop.set()
            watcher.join()

    def close(self) -> None:
        """End both servers; it cannot be woken any more."""

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
            self.touch()  # who waits for it now has had no traffic yet
            self._say(f"The database is back after {time.monotonic() - began:.1f} s.")
        if self._suspend_after is None:
            return
        due = self._used_at + self._suspend_after
        if self._clock.now() >= due:
            busy = True
            with contextlib.suppress(Exception):  # it cannot be asked: nobody knows, so it stays awake
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
