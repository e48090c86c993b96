"""A stand-in for Neon: servers that sleep and wake, behind a relay that can fail, with a name and a certificate."""

import contextlib
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from local.compute import Clock, Compute, Server
from local.relay import target
from local.sleeper import in_transaction
from tests.support.neon.proxy import Certificates, ProxyAnswer
from tests.support.neon.relay import FaultRelay
from tests.support.neon.wall_clock import WallClock

# What some faults need and some stand-ins lack.
Need = Literal["pgbouncer", "tls", "names", "standbys", "wall_clock"]
HOST = "ep-stand-in.local.test"
_WELL_WITHIN_SECONDS = 60.0


class StandIn:
    """A stand-in for Neon that the functions connect to. At the end of its `with` block both servers stop.

    `url` is the functions' DATABASE_URL, through the relay. Tests use `relay` and `compute` directly, or the
    faults of faults.py.
    """

    def __init__(
        self,
        postgres: Server,
        pgbouncer: Server | None = None,
        *,
        app_url: str,
        direct_url: str,
        admin_url: str,
        console_url: str | None = None,
        certificates: Certificates | None = None,
        names: Path | None = None,
        wall_clock: WallClock | None = None,
        standbys: bool = False,
        clock: Clock | None = None,
        suspend_after: float | None = None,
        wake_seconds: float = 0.0,
        say: Callable[[str], None] = lambda line: None,
        revive: bool = False,
    ) -> None:
        """Take running servers, and URLs of them.

        `app_url` is for the functions' role, at PgBouncer if there is one. `direct_url` is for the owner at PostgreSQL,
        and `admin_url` for a superuser. `console_url` is PgBouncer's console. If `names` is given, the stand-in writes
        this file, and `url` has the host HOST, which only this file resolves. Otherwise it has 127.0.0.1.
        `wall_clock` is PostgreSQL's clock. `standbys` says that COMMIT can wait for a standby. `Compute` gets the rest.
        """
        self.postgres: Server = postgres
        self.pgbouncer = pgbouncer
        self.direct_url = direct_url
        self.admin_url: str = admin_url
        self.console_url = console_url
        self.certificates = certificates
        self.names = names
        self.wall_clock = wall_clock
        self.taken: list[psycopg.Connection[Any]] = []
        self.client_limit = 0
        self._app_url = app_url
        self._parameters = conninfo_to_dict(app_url)
        self.role = str(self._parameters["user"])
        self.compute: Compute = Compute(
            postgres,
            pgbouncer,
            clock=clock,
            suspend_after=suspend_after,
            wake_seconds=wake_seconds,
            busy=lambda: in_transaction(self.admin_url),
            # A pooled client sees the end of the stream and no message.
            on_suspend=lambda: self.relay.drop(),
            say=say,
            revive=revive,
        )
        self.relay: FaultRelay = FaultRelay(
            target(self._parameters),
            admit=self.compute.waking,
            on_traffic=self.compute.touch,
            unreachable=self.proxy("Couldn't connect to compute node"),
        )
        self._standbys = standbys
        self._ticks = clock is None
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        """Listen; the servers run already. If the caller gave a clock, the caller also calls the compute's `tick`."""
        self._open.callback(self.compute.close)
        self._open.enter_context(self.relay)
        if self._ticks:
            self._open.enter_context(self.compute.watched())
        self.resolve()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening, and stop both servers."""
        while self.taken:
            self.taken.pop().close()
        self._open.close()

    @property
    def url(self) -> str:
        """The functions' DATABASE_URL."""
        kept = {k: str(v) for k, v in self._parameters.items() if k not in ("host", "port", "user", "password")}
        login = quote(self.role, safe="")
        if self._parameters.get("password"):
            login += ":" + quote(str(self._parameters["password"]), safe="")
        host = HOST if self.names is not None else "127.0.0.1"
        database = quote(str(kept.pop("dbname")), safe="")
        return f"postgresql://{login}@{host}:{self.relay.port}/{database}?{urlencode(kept, safe='/')}".rstrip("?")

    @property
    def pooler_url(self) -> str:
        """The functions' URL past the relay, which no fault of the relay changes."""
        return self._app_url

    @property
    def has(self) -> frozenset[Need]:
        """What this stand-in has of the things that a fault may need."""
        have: dict[Need, object] = {
            "pgbouncer": self.pgbouncer,
            "tls": self.certificates,
            "names": self.names,
            "standbys": self._standbys or None,
            "wall_clock": self.wall_clock,
        }
        return frozenset(need for need, thing in have.items() if thing is not None)

    @contextlib.contextmanager
    def observer(self) -> Iterator[psycopg.Connection[Any]]:
        """Wake the compute and yield a superuser's autocommit connection, which does not use the relay."""
        self.compute.wake()
        with psycopg.connect(self.admin_url, autocommit=True) as connection:
            yield connection

    def resolve(self, *addresses: str) -> None:
        """Let the name service return `addresses` (127.0.0.1) for HOST, or fail with the error that is named there."""
        if self.names is None:
            return
        failing = len(addresses) == 1 and addresses[0].startswith("EAI_")
        known = {} if addresses == ("EAI_NONAME",) else {HOST: addresses[0] if failing else addresses or ["127.0.0.1"]}
        new = self.names.with_suffix(".new")
        new.write_text(json.dumps(known))
        new.replace(self.names)

    def proxy(self, text: str) -> ProxyAnswer:
        """Return the answer of Neon's proxy with `text`, over TLS if this stand-in has a certificate."""
        return ProxyAnswer(text, None if self.certificates is None else self.certificates.valid)

    def wait_until_well(self) -> None:
        """Wait until the functions' role can log in past the relay. PgBouncer remembers a failed log-in for a while."""
        deadline = time.monotonic() + _WELL_WITHIN_SECONDS
        while True:
            try:
                with psycopg.connect(self._app_url, autocommit=True, connect_timeout=10) as connection:
                    connection.execute("select 1")
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
