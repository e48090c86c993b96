"""A server that is silent, fails over, is full or interrupts: each call ends in time, and writes at most once."""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
import pytest

from robot_brain.database import call
from robot_brain.database.connection import lazy_connection
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import every_kind, without_pooler
from tests.support.neon.relay import FaultRelay
from tests.support.servers.databases import APP, Database

# Seconds. A request that ends at its deadline takes about 1 second, and one that misses it takes 12.
AT_MOST = 10.0
# The layer gives up an answer after half a second. On a busy machine that may be too short for a good answer, so such
# tests allow many attempts and much time.
SOON = 0.5
PATIENT = {"DB_MAX_RETRIES": "10"}
PATIENT_MILLISECONDS = 60_000


@contextmanager
def relayed(database: Database, environment: Mapping[str, str] | None = None) -> Iterator[tuple[Bundle, FaultRelay]]:
    """Yield the functions and the relay through which they reach `database`."""
    if database.kind == "embedded":
        folder = database.postgres.address.host
        target: tuple[str, int] | str = f"{folder}/.s.PGSQL.5432"
    else:
        port = database.app_url.partition("@127.0.0.1:")[2].partition("/")[0]
        target = ("127.0.0.1", int(port))
    with FaultRelay(target) as relay:
        if isinstance(target, str):
            url = f"postgresql://{APP}@127.0.0.1:{relay.port}/{database.name}"
        else:
            url = database.app_url.replace(f":{target[1]}/", f":{relay.port}/")
        with deployed({"DATABASE_URL": url, **(environment or {})}) as functions:
            yield functions, relay


def turns(database: Database) -> int:
    """Return how many turns are stored."""
    with database.admin() as admin:
        row = admin.execute("select count(*) from robot_brain.conversations").fetchone()
        assert row is not None
        return int(row[0])


@every_kind
def test_a_call_to_a_silent_server_ends_at_the_deadline(database: Database) -> None:
    with relayed(database) as (functions, relay), logged() as lines:
        assert functions.write("demo", turn(1)).status == 201
        relay.silence_open()
        functions.context.milliseconds = 1500
        started = time.monotonic()
        reply = functions.write("demo", turn(2))
        assert 0.9 < time.monotonic() - started < AT_MOST
        assert_problem(reply, 504, functions.context.aws_request_id)
        assert "went silent" in lines()[-1]["database_error"]
        assert (lazy_connection().opened, lazy_connection().retired) == (1, 1)
        functions.context.milliseconds = 10_000
        assert functions.write("demo", turn(2)).json["message_count"] == 2
        assert (lazy_connection().opened, lazy_connection().retired) == (2, 1)


@every_kind
def test_a_call_to_a_server_that_reads_nothing_ends_at_the_deadline(database: Database) -> None:
    """The send buffer is full, so even the message that ends a connection could not be sent."""
    with relayed(database) as (functions, relay):
        assert functions.write("demo", turn()).status == 201
        relay.silence_open(reads=False)
        functions.context.milliseconds = 1500
        started = time.monotonic()
        large = {"messages": [turn(number, user_message="x" * 190_000) for number in range(20)]}
        assert functions.write("demo", large).status == 504
        assert time.monotonic() - started < AT_MOST
        functions.context.milliseconds = 10_000
        assert functions.read("demo").json["session"]["message_count"] == 1


@every_kind
def test_a_connection_that_died_during_a_freeze_causes_no_error(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection looks open, because no FIN came. Its call stays unanswered, and the retry opens another one."""
    monkeypatch.setattr(call, "_LONGEST_ANSWER", SOON)
    with relayed(database, PATIENT) as (functions, relay), logged() as lines:
        functions.context.milliseconds = PATIENT_MILLISECONDS
        assert functions.write("demo", turn(1)).status == 201
        for route in ("write", "read", "stats"):
            relay.silence_open()
            if route == "write":
                assert functions.write("demo", turn(2)).json["message_count"] == 2
            else:
                assert (functions.read("demo") if route == "read" else functions.stats()).status == 200
            assert "database_error" not in lines()[-1]
        assert lazy_connection().retired >= 3
        assert lazy_connection().opened == lazy_connection().retired + 1
        assert turns(database) == 2


@every_kind
def test_a_write_whose_answer_was_lost_is_not_written_twice(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "_LONGEST_ANSWER", SOON)
    with relayed(database, PATIENT) as (functions, relay):
        functions.context.milliseconds = PATIENT_MILLISECONDS
        assert functions.write("demo", turn(1)).status == 201
        relay.silence_open(answers_only=True)
        reply = functions.write("demo", turn(2))
        assert (reply.status, reply.json["message_count"]) == (201, 2)
        assert "idempotent-replayed" not in reply.headers
        assert lazy_connection().retired >= 1
        assert turns(database) == 2


@without_pooler
def test_a_refresh_may_wait_longer_than_other_calls(
    bundle: Bundle, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh sets a longer statement_timeout, so the layer also waits longer for its answer."""
    assert bundle.write("demo", turn()).status == 201
    monkeypatch.setattr(call, "_LONGEST_ANSWER", 0.2)
    with database.admin() as admin:
        admin.execute("begin")
        admin.execute("lock table robot_brain.conversations in access exclusive mode")
        release = threading.Timer(1.0, admin.rollback)
        release.start()
        assert bundle.refresh()["as_of"]
        release.join()
    assert lazy_connection().retired == 0


@pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
def test_a_connection_has_a_tcp_user_timeout_of_five_seconds(bundle: Bundle) -> None:
    assert bundle.write("demo", turn()).status == 201
    connection = lazy_connection()._connection
    assert connection is not None
    with socket.socket(fileno=connection.fileno()) as own:
        assert own.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 5000
        own.detach()


@pytest.mark.parametrize(
    ("forbid", "allow", "title", "attempts"),
    [
        ("role {role} connection limit 0", "role {role} connection limit -1", "Database overloaded", 3),
        ("database {name} allow_connections false", "database {name} allow_connections true", "Database refused", 1),
    ],
)
@without_pooler
def test_the_error_of_postgresql_to_a_new_connection_decides_about_a_retry(
    database: Database, forbid: str, allow: str, title: str, attempts: int
) -> None:
    names = {"role": APP, "name": database.name}
    with (
        database.postgres.admin() as admin,
        deployed({"DATABASE_URL": database.app_url}) as functions,
        logged() as lines,
    ):
        admin.execute(f"alter {forbid.format(**names)}".encode())
        try:
            reply = functions.write("demo", turn())
        finally:
            admin.execute(f"alter {allow.format(**names)}".encode())
        assert_problem(reply, 503, functions.context.aws_request_id)
        assert (reply.json["title"], lines()[-1]["attempts"]) == (title, attempts)
        assert reply.headers.get("retry-after") == ("5" if attempts > 1 else None)
        assert functions.write("demo", turn()).status == 201


def read_only(admin: psycopg.Connection, database: Database, value: str) -> None:
    """Set whether new connections of the functions are read-only, as on a standby."""
    admin.execute(f"alter role {APP} in database {database.name} set default_transaction_read_only = {value}".encode())


@without_pooler
def test_a_failover_to_a_writable_server_causes_no_error(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        read_only(admin, database, "on")
        assert bundle.stats().status == 200
        read_only(admin, database, "off")
    assert bundle.write("demo", turn()).status == 201
    assert (lazy_connection().opened, lazy_connection().retired) == (2, 1)


@without_pooler
def test_a_server_that_stays_read_only_gives_database_away(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin, logged() as lines:
        read_only(admin, database, "on")
        reply = bundle.write("demo", turn())
        assert_problem(reply, 503, bundle.context.aws_request_id)
        assert (reply.json["title"], reply.headers["retry-after"]) == ("Database away", "5")
        assert "takes no writes" in reply.json["detail"]
        assert lines()[-1]["attempts"] == 3
        assert lines()[-1]["database_error"].startswith("25006 ")
        read_only(admin, database, "off")
    assert bundle.write("demo", turn()).status == 201


@every_kind
@pytest.mark.parametrize(("sqlstate", "last_status"), [("40001", 409), ("40P01", 409), ("23514", 409), ("XX000", 500)])
@pytest.mark.parametrize("times", [2, 3])
def test_a_call_that_postgresql_aborted_is_retried_as_a_whole(
    bundle: Bundle, database: Database, sqlstate: str, last_status: int, times: int
) -> None:
    with database.admin() as admin:
        admin.execute("create sequence public.calls")
        admin.execute("grant usage on sequence public.calls to public")
        # A rollback does not undo nextval, so the sequence counts every attempt.
        admin.execute(
            f"""
            create function public.interrupt() returns trigger language plpgsql as $$
            begin
              if nextval('public.calls') <= {times} then
                raise exception using errcode = '{sqlstate}', message = 'interrupted';
              end if;
              return new;
            end
            $$
            """.encode()
        )
        admin.execute(
            "create trigger interrupt before insert on robot_brain.sessions "
            "for each row execute function public.interrupt()"
        )
    with logged() as lines:
        reply = bundle.write("demo", turn())
        assert reply.status == (201 if times < 3 else last_status)
        assert lines()[-1].get("attempts", 3) == 3
    assert turns(database) == (1 if times < 3 else 0)
    assert lazy_connection().retired == 0
