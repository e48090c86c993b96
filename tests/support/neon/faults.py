"""What can go wrong with Neon, by name, and how each fault begins and ends.

`FAULTS` has this order: servers, network, free connections, names and certificates, and Neon's proxy.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from tests.support.neon import commits, pressure
from tests.support.neon.proxy import ProxyAnswer
from tests.support.neon.stand_in import Need, StandIn

# Longer than the hour in which we detect the layer's own retries, shorter than the day that a key is valid.
_STEP_SECONDS = 2 * 3600
_LONG_ANSWER_SECONDS = 0.4  # a slow round trip around half of the world

# What Neon's proxy says, each with SQLSTATE XX000, by the name of its fault without `proxy_`.
TRANSIENT_TEXTS = MappingProxyType(
    {
        "connect": "Couldn't connect to compute node",
        "control_plane": "Control plane request failed",
        "permit": "Failed to acquire permit to connect to the database. Too many database connection attempts are "
        "currently ongoing.",
        "attempts": "Too many connections attempts",
        "endpoint_connections": "Too many connections to this endpoint",
        "no_more_connections": "no more connections allowed",
        "authentication_timeout": "Authentication timed out",
        "login_failing": "server login has been failing, try again later (server_login_retry)",
        "shutting_down": "pooler is shutting down",
    }
)
PERMANENT_TEXTS = MappingProxyType(
    {
        "disabled": "Control plane request failed: endpoint is disabled",
        "not_found": "Control plane request failed: endpoint cannot be found",
        "check_quotas": "Control plane request failed: endpoint is temporarily unavailable. Check your quotas and/or "
        "contact our support.",
        "compute_quota": "Your account or project has exceeded the compute time quota. Upgrade your plan to increase "
        "limits.",
        "quota": "Your project has exceeded the quota.",
        "password": "password authentication failed for user 'robot_brain_app'",
        "no_endpoint": "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for "
        "SNI support or pass the endpoint ID (first part of the domain name) as a parameter.",
        "ip_address": "This IP address 127.0.0.1 is not allowed to connect to this endpoint.",
        "startup_parameter": "unsupported startup parameter in options: statement_timeout",
    }
)


@dataclass(frozen=True)
class Fault:
    """A fault. `begin` returns once the fault is there, and `end` returns once everything works again.

    `title` says what happens. `drops`: the fault ends the connections that are open when it begins. `permanent`: the
    fault does not end by itself. `needs` names what a stand-in must have for it.
    """

    title: str
    begin: Callable[[StandIn], None]
    end: Callable[[StandIn], None] = lambda stand_in: stand_in.relay.restore()
    drops: bool = False
    permanent: bool = False
    needs: frozenset[Need] = field(default_factory=frozenset)


def _kill_postgres(stand_in: StandIn) -> None:
    stand_in.postgres.kill()


def _start_compute_again(stand_in: StandIn) -> None:
    # As in Neon, PgBouncer runs and ends together with its compute.
    if stand_in.pgbouncer is not None:
        stand_in.relay.drop()
        stand_in.pgbouncer.stop()
    stand_in.compute.repair()


def _kill_pgbouncer(stand_in: StandIn) -> None:
    if stand_in.pgbouncer is not None:
        stand_in.pgbouncer.kill()
        # A client's next request may come before the relay notices that its connections have ended.
        stand_in.relay.drop()


def _nothing(stand_in: StandIn) -> None:
    """Do nothing: the fault is over as soon as it has begun."""


def _stall_commits(stand_in: StandIn) -> None:
    stand_in.compute.wake()
    commits.stall(stand_in.admin_url)


def _step_clock(stand_in: StandIn) -> None:
    if stand_in.wall_clock is None:
        raise ValueError("the stand-in's PostgreSQL has no clock that can step")
    stand_in.wall_clock.set(_STEP_SECONDS)


def _step_clock_back(stand_in: StandIn) -> None:
    if stand_in.wall_clock is not None:
        stand_in.wall_clock.set(0)


def _proxy(title: str, text: str, permanent: bool) -> Fault:
    def begin(stand_in: StandIn) -> None:
        stand_in.relay.answer_with(stand_in.proxy(text))
        stand_in.relay.drop()

    return Fault(title, begin, drops=True, permanent=permanent)


def _certificate(title: str, which: Literal["expired", "wrong_name", "unknown_authority"]) -> Fault:
    def begin(stand_in: StandIn) -> None:
        if stand_in.certificates is None:
            raise ValueError("the stand-in has no certificates")
        certificate = getattr(stand_in.certificates, which)
        stand_in.relay.answer_with(ProxyAnswer("behind a certificate that no client should trust", certificate))

    return Fault(title, begin, permanent=True, needs=frozenset({"tls"}))


def _refuse(stand_in: StandIn) -> None:
    stand_in.relay.refuse()
    stand_in.relay.drop()


_SERVERS = {
    "kill_postgres": Fault("PostgreSQL is killed (SIGKILL)", _kill_postgres, _start_compute_again, drops=True),
    "kill_pgbouncer": Fault(
        "PgBouncer is killed (SIGKILL)",
        _kill_pgbouncer,
        lambda stand_in: stand_in.compute.repair(),
        drops=True,
        needs=frozenset({"pgbouncer"}),
    ),
    "fast_restart": Fault(
        "PostgreSQL restarts", lambda stand_in: stand_in.compute.restart(stand_in.postgres), _nothing, drops=True
    ),
    "read_only": Fault(
        "a failover to a server that is read-only", pressure.make_read_only, pressure.make_writable, drops=True
    ),
    "suspend": Fault(
        "the compute is suspended: the next connection wakes it",
        lambda stand_in: stand_in.compute.suspend(),
        _nothing,
        drops=True,
    ),
    "commit_stall": Fault(
        "COMMIT waits for a synchronous standby that is not there",
        _stall_commits,
        lambda stand_in: commits.release(stand_in.admin_url),
        needs=frozenset({"standbys"}),
    ),
    "clock_step": Fault(
        "PostgreSQL's clock steps two hours ahead, and back",
        _step_clock,
        _step_clock_back,
        needs=frozenset({"wall_clock"}),
    ),
}
_NETWORK = {
    "refused": Fault("connections are refused, open ones end", _refuse, drops=True),
    "accept_silence": Fault(
        "new connections are accepted and never answered", lambda stand_in: stand_in.relay.silence_new()
    ),
    "acknowledge_silence": Fault(
        "what is sent is acknowledged and never answered", lambda stand_in: stand_in.relay.silence_all()
    ),
    "reset_mid_answer": Fault(
        "the next answer breaks off in the middle (RST)", lambda stand_in: stand_in.relay.reset_answers()
    ),
    "answer_lost": Fault(
        "the next answer is lost after COMMIT, with its connection", lambda stand_in: stand_in.relay.lose_answers()
    ),
    "delay": Fault(
        f"each round trip takes {_LONG_ANSWER_SECONDS * 1000:.0f} ms longer",
        lambda stand_in: stand_in.relay.delay(_LONG_ANSWER_SECONDS),
    ),
}
_FREE_CONNECTIONS = {
    "connections_taken": Fault(
        "all of PostgreSQL's connections are taken", pressure.take_connections, pressure.give_connections, drops=True
    ),
    "client_limit": Fault(
        "PgBouncer takes no more clients",
        pressure.limit_clients,
        pressure.allow_clients,
        needs=frozenset({"pgbouncer"}),
    ),
}
_NAMES = {
    "name_lookup": Fault(
        "the name service does not answer (EAI_AGAIN)",
        lambda stand_in: stand_in.resolve("EAI_AGAIN"),
        lambda stand_in: stand_in.resolve(),
        needs=frozenset({"names"}),
    ),
    "name_unknown": Fault(
        "the name service does not know the host (EAI_NONAME)",
        lambda stand_in: stand_in.resolve("EAI_NONAME"),
        lambda stand_in: stand_in.resolve(),
        needs=frozenset({"names"}),
    ),
    "certificate_expired": _certificate("the certificate has expired", "expired"),
    "certificate_wrong_name": _certificate("the certificate is for another host", "wrong_name"),
    "certificate_unknown": _certificate("the certificate is by an unknown authority", "unknown_authority"),
}
_PROXY = {
    f"proxy_{name}": _proxy(f"Neon's proxy: {text}", text, permanent)
    for texts, permanent in ((TRANSIENT_TEXTS, False), (PERMANENT_TEXTS, True))
    for name, text in texts.items()
}

FAULTS: Mapping[str, Fault] = MappingProxyType(_SERVERS | _NETWORK | _FREE_CONNECTIONS | _NAMES | _PROXY)


def begin(stand_in: StandIn, name: str) -> None:
    """Begin a fault. Raises KeyError if FAULTS does not have the name."""
    FAULTS[name].begin(stand_in)


def end(stand_in: StandIn, name: str) -> None:
    """End a fault and return when everything works again. A suspended compute sleeps until a connection comes."""
    FAULTS[name].end(stand_in)
    if stand_in.compute.state == "active":
        stand_in.wait_until_well()


@contextlib.contextmanager
def fault(stand_in: StandIn, name: str) -> Iterator[None]:
    """Begin a fault, and end it with the block."""
    begin(stand_in, name)
    try:
        yield
    finally:
        end(stand_in, name)


def possible(stand_in: StandIn) -> list[str]:
    """Return the names of the faults that this stand-in can have, in the order of FAULTS."""
    return [name for name, each in FAULTS.items() if each.needs <= stand_in.has]
