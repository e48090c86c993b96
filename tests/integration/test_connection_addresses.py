"""Connecting has one deadline, also with several addresses, a failing resolver or unreadable parameters."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from robot_brain.database import connecting
from robot_brain.database.connection import lazy_connection
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import over_tcp
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import Database
from tests.support.servers.failing import HOSTS, never_answers, never_connects, refuses, refuses_connections

# Seconds: the limit of an attempt, and the most that it may take on a busy machine.
# Six addresses one after the other would take 12 seconds.
ATTEMPT = 2.0
AT_MOST = 9.0
# The time of each address for its TCP handshake, if one of them takes none. It is 3 s in production.
SOON = 1.0
ONE_ATTEMPT = {"DB_CONNECTION_TIMEOUT": str(int(ATTEMPT * 1000)), "DB_MAX_RETRIES": "1"}


@contextmanager
def resolved(monkeypatch: pytest.MonkeyPatch, *answers: list[str] | OSError | threading.Event) -> Iterator[None]:
    """Answer each look-up with the next of `answers`, and all further look-ups with the last one.

    An answer is a list of addresses, an error, or an event to wait for before an error.
    """
    left = list(answers)

    def getaddrinfo(host: str, port: str, *_: object, **__: object) -> list[Any]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, threading.Event):
            answer.wait(60)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if isinstance(answer, OSError):
            raise answer
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, int(port))) for address in answer]

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", getaddrinfo)
        yield


def timed(bundle: Bundle) -> tuple[Reply, float]:
    """Write a turn. Return the answer and its seconds."""
    started = time.monotonic()
    reply = bundle.write("demo", turn())
    return reply, time.monotonic() - started


def assert_tried(reasons: str, *, several: bool) -> None:
    """Assert that the hosts were tried in order: only the first one, or `several`."""
    tried = tuple(host for host in HOSTS if host in reasons)
    assert tried == HOSTS[: len(tried)]
    assert len(tried) > 1 if several else len(tried) == 1


def port_of(database: Database) -> int:
    """Return the port that the functions connect to."""
    return int(database.app_url.partition("@127.0.0.1:")[2].partition("/")[0])


def with_hosts(database: Database, hosts: str) -> str:
    """Return the functions' URL with other hosts."""
    return database.app_url.replace(f"@127.0.0.1:{port_of(database)}/", f"@{hosts}/")


@pytest.mark.parametrize(
    ("silent", "error"), [(never_connects, "DatabaseAwayError"), (never_answers, "DatabaseWakingError")]
)
def test_silent_hosts_together_take_the_time_of_one_attempt(silent: Any, error: str) -> None:
    with ExitStack() as stack:
        hosts = ",".join(f"{host}:{stack.enter_context(silent(host))}" for host in HOSTS)
        environment = {"DATABASE_URL": f"postgresql://u:p@{hosts}/d", **ONE_ATTEMPT}
        functions = stack.enter_context(deployed(environment))
        lines = stack.enter_context(logged())
        reply, seconds = timed(functions)
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert "retry-after" in reply.headers
        assert (lines()[-1]["error"], lines()[-1]["attempts"]) == (error, 1)
        assert ATTEMPT * 0.9 < seconds < AT_MOST
        assert_tried(lines()[-1]["database_error"], several=True)


def test_silent_addresses_of_one_name_together_take_the_time_of_one_attempt(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    bundle_file = tmp_path / "ca.pem"
    bundle_file.touch()
    with ExitStack() as stack:
        port = stack.enter_context(never_connects(HOSTS[0]))
        for host in HOSTS[1:]:
            stack.enter_context(never_connects(host, port))
        url = f"postgresql://u:p@db.example:{port}/d?sslrootcert={bundle_file}"
        functions = stack.enter_context(deployed({"DATABASE_URL": url, **ONE_ATTEMPT}))
        stack.enter_context(resolved(monkeypatch, list(HOSTS)))
        lines = stack.enter_context(logged())
        reply, seconds = timed(functions)
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert ATTEMPT * 0.9 < seconds < AT_MOST
        assert_tried(lines()[-1]["database_error"], several=True)


def test_a_deadline_before_the_end_of_an_attempt_ends_the_attempt() -> None:
    """No call was sent while the database woke up. So the client gets 503 with Retry-After, and not 504."""
    with (
        never_answers() as port,
        deployed({"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}) as functions,
        logged() as lines,
    ):
        functions.context.milliseconds = 1500
        reply, seconds = timed(functions)
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert (reply.json["title"], reply.headers["retry-after"]) == ("Database waking", "1")
        assert lines()[-1]["attempts"] == 1
        assert seconds < AT_MOST


@over_tcp
def test_a_live_address_after_dead_ones_is_found(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "_TCP_SECONDS", SOON)
    port = port_of(database)
    with refuses_connections(HOSTS[1]) as refused, never_connects(HOSTS[0]) as silent:
        url = with_hosts(database, f"{HOSTS[0]}:{silent},{HOSTS[1]}:{refused},127.0.0.1:{port}")
        with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
            assert functions.write("demo", turn()).status == 201
            assert functions.read("demo").status == 200
            assert "database_error" not in lines()[-1]
            assert (lazy_connection().opened, lazy_connection().reused) == (1, 1)


@over_tcp
def test_the_certificate_is_verified_against_the_host_name_at_every_address(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connecting, "_TCP_SECONDS", SOON)
    port = port_of(database)
    with never_connects(HOSTS[0], port), resolved(monkeypatch, [HOSTS[0], "127.0.0.1"]):
        with deployed({"DATABASE_URL": with_hosts(database, f"localhost:{port}")}) as functions:
            assert functions.database_health().json["tls"] is True
        url = with_hosts(database, f"db.example:{port}")
        with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
            assert functions.read("demo").status == 503
            assert lines()[-1]["error"] == "DatabaseRefusedError"
            assert 'server certificate for "127.0.0.1"' in lines()[-1]["database_error"]


@over_tcp
def test_after_a_refusal_the_next_address_is_not_tried(database: Database) -> None:
    port = port_of(database)
    with FaultRelay(("127.0.0.1", port)) as second:
        url = with_hosts(database, f"127.0.0.1:{port},127.0.0.1:{second.port}").replace("robot_brain_app_a:", "nobody:")
        with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
            assert functions.write("demo", turn()).status == 503
            assert (lines()[-1]["error"], lines()[-1]["attempts"]) == ("DatabaseRefusedError", 1)
        assert second.accepted == 0


@pytest.mark.parametrize(
    ("text", "error", "attempts", "connections"),
    [
        ("Couldn't connect to compute node", "DatabaseWakingError", 2, (2, 2)),
        ("Too many connections to this endpoint", "DatabaseOverloadedError", 2, (2, 0)),
        ("Control plane request failed: endpoint is disabled", "DatabaseRefusedError", 1, (1, 0)),
        ("an error that no list has", "DatabaseAwayError", 2, (2, 2)),
    ],
)
def test_the_error_text_of_the_proxy_decides_which_addresses_are_tried_again(
    text: str, error: str, attempts: int, connections: tuple[int, int]
) -> None:
    with refuses(text) as (first, at_first), refuses(text, host=HOSTS[0]) as (second, at_second):
        url = f"postgresql://u:p@127.0.0.1:{first},{HOSTS[0]}:{second}/d?sslmode=disable"
        environment = {"DATABASE_URL": url, "DB_MAX_RETRIES": "2"}
        with deployed(environment) as functions, logged() as lines:
            reply = functions.write("demo", turn())
            assert_problem(reply, 503, functions.context.aws_request_id)
            assert ("retry-after" in reply.headers) == (error != "DatabaseRefusedError")
            assert (lines()[-1]["error"], lines()[-1]["attempts"]) == (error, attempts)
            assert text in lines()[-1]["database_error"]
            assert text not in (reply.body or "")
        assert (len(at_first), len(at_second)) == connections


@over_tcp
def test_a_resolver_that_recovers_causes_no_error(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    again = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    url = with_hosts(database, f"localhost:{port_of(database)}")
    with (
        deployed({"DATABASE_URL": url}) as functions,
        resolved(monkeypatch, again, unknown, ["127.0.0.1"]),
    ):
        assert functions.write("demo", turn()).status == 201


def test_an_unknown_host_name_gives_database_away(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    bundle_file = tmp_path / "ca.pem"
    bundle_file.touch()
    environment = {"DATABASE_URL": f"postgresql://u:p@db.example/d?sslrootcert={bundle_file}"}
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    with resolved(monkeypatch, unknown), deployed(environment) as functions, logged() as lines:
        reply = functions.write("demo", turn())
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert (reply.json["title"], reply.headers["retry-after"]) == ("Database away", "5")
        assert lines()[-1]["attempts"] == 3


def test_a_resolver_that_hangs_takes_no_longer_than_an_attempt(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    bundle_file = tmp_path / "ca.pem"
    bundle_file.touch()
    environment = {"DATABASE_URL": f"postgresql://u:p@db.example/d?sslrootcert={bundle_file}", **ONE_ATTEMPT}
    hanging = threading.Event()
    with resolved(monkeypatch, hanging), deployed(environment) as functions, logged() as lines:
        try:
            reply, seconds = timed(functions)
        finally:
            hanging.set()
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert "look-up" in lines()[-1]["database_error"]
        assert ATTEMPT * 0.9 < seconds < AT_MOST


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("sslmode=hush4711", "sslmode"),
        ("channel_binding=hush4711", "channel_binding"),
        ("target_session_attrs=hush4711", "target_session_attrs"),
        ("keepalives_idle=hush4711", "keepalives_idle"),
        ("ssl_min_protocol_version=hush4711", "ssl_min_protocol_version"),
        ("sslmode=prefer&sslnegotiation=direct", "sslmode"),
        ("hostaddr=hush4711&sslmode=hush4711", "parameter|sslmode"),
        ("sslmode=verify-full&sslrootcert=/hush4711", "sslrootcert"),
    ],
)
def test_a_url_parameter_that_libpq_refuses_is_a_settings_error(query: str, names: str) -> None:
    with refuses_connections() as port:
        url = f"postgresql://u:p@127.0.0.1:{port}/d?{query}"
        with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
            reply = functions.write("demo", turn())
            assert_problem(reply, 500, functions.context.aws_request_id)
            assert lines()[-1]["error"] == "SettingsError"
            assert any(name in lines()[-1]["reason"] for name in names.split("|"))
            assert "hush4711" not in str(lines()) + str(reply.body)
