"""If an attempt of a write was not answered, the answer is a success or 504, and never a refusal."""

import os
import secrets
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from robot_brain.database import call
from robot_brain.database.patterns import patterns
from tests.integration.edge import assert_problem
from tests.integration.test_connection_silence import turns
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.log_lines import logged
from tests.support.neon import commits
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.crash import crash
from tests.support.servers.databases import APP, Database, Template, make_template
from tests.support.servers.gate import wait_for_pid
from tests.support.servers.pgbouncer import PgBouncer, start_pgbouncer
from tests.support.servers.postgres import Postgres, start_tls
from tests.support.servers.stalled_commits import SETTINGS, stalled_commits, wait_for_hanging_commit

# How many seconds the layer waits for an answer. The server's lock_timeout is shorter, as in production.
LONGEST_ANSWER = 1.0
LOCK_TIMEOUT = "200ms"

HEADERS = {"no header": {}, "key": {"idempotency-key": "k"}, "if-match": {"if-match": '"0"'}}


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Postgres]:
    """A PostgreSQL server for this module, whose commits a test can stall."""
    skip_without(debian_postgres)
    started = start_tls(authority, SETTINGS)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def own_pooler(server: Postgres, authority: Authority) -> Iterator[PgBouncer]:
    """PgBouncer before `server`."""
    skip_without(debian_pgbouncer)
    started = start_pgbouncer(server, authority)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def template(server: Postgres) -> Template:
    """The migrated template database of `server`."""
    return make_template(server)


@pytest.fixture(params=["direct", "pooled"])
def database(request: pytest.FixtureRequest, template: Template, own_pooler: PgBouncer) -> Iterator[Database]:
    """A migrated, empty database on `server`, with a short lock_timeout."""
    through = own_pooler.address if request.param == "pooled" else None
    with template.clone("pooled" if through else "tls", through) as cloned:
        with cloned.admin() as admin:
            admin.execute(f"alter role {APP} in database {cloned.name} set lock_timeout = '{LOCK_TIMEOUT}'".encode())
        yield cloned


@pytest.fixture(autouse=True)
def short_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the layer wait only briefly for an answer."""
    monkeypatch.setattr(call, "_LONGEST_ANSWER", LONGEST_ANSWER)


@pytest.fixture
def attempts() -> str:
    """The value of DB_MAX_RETRIES for `bundle`."""
    return "3"


@pytest.fixture
def bundle(database: Database, attempts: str) -> Iterator[Bundle]:
    """The functions on `database`."""
    with deployed({"DATABASE_URL": database.app_url, "DB_MAX_RETRIES": attempts}) as functions:
        yield functions


@contextmanager
def stalled_until(postgres: Postgres, event: Callable[[psycopg.Connection, int], object]) -> Iterator[None]:
    """Stall commits during the block, and call `event` with the first server process whose commit hangs."""
    failures: list[BaseException] = []

    def play(admin: psycopg.Connection) -> None:
        try:
            event(admin, wait_for_hanging_commit(admin))
        except BaseException as error:
            failures.append(error)

    with stalled_commits(postgres) as admin:
        thread = threading.Thread(target=play, args=[admin])
        thread.start()
        try:
            yield
        finally:
            thread.join(60)
            wait_until_back(postgres)
    assert failures == []


def wait_until_back(postgres: Postgres) -> None:
    """Wait until the server answers again. Start it if it has ended."""
    if not postgres.process.alive:
        postgres.process.start()
    postgres.process.wait_until_ready(lambda: _answers(postgres))


def _answers(postgres: Postgres) -> bool:
    try:
        postgres.admin().close()
    except psycopg.OperationalError:
        return False
    return True


def terminate(_: psycopg.Connection, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)


def assert_unknown(functions: Bundle, reply: Reply, line: Mapping[str, Any], last_error: str) -> None:
    """Assert a 504 whose log line has the unanswered attempt and the error of the last attempt."""
    assert_problem(reply, 504, functions.context.aws_request_id)
    assert reply.json["title"] == "Deadline exceeded"
    assert "retry-after" not in reply.headers
    assert line["error"] == "DeadlineExceededError"
    assert line["unanswered"]
    assert last_error in line["database_error"]
    assert (patterns().failures, line["Failures"]) == (1, [1])


@pytest.mark.parametrize("headers", HEADERS)
def test_a_write_whose_commit_hangs_is_504_and_stored_once_after_the_commit(
    bundle: Bundle, database: Database, headers: str
) -> None:
    with logged() as lines:
        with stalled_commits(database.postgres):
            reply = bundle.write("s", turn(), HEADERS[headers])
        assert_unknown(bundle, reply, lines()[-1], "55P03")
    assert turns(database) == 1
    again = bundle.write("s", turn(), HEADERS[headers])
    assert again.status == (412 if headers == "if-match" else 201)
    assert turns(database) == (2 if headers == "no header" else 1)


def test_a_write_whose_commit_hangs_is_504_if_the_server_is_full_afterwards(bundle: Bundle, database: Database) -> None:
    def fill(admin: psycopg.Connection, _: int) -> None:
        admin.execute(f"alter role {APP} connection limit 0".encode())

    with logged() as lines:
        with stalled_until(database.postgres, fill):
            reply = bundle.write("s", turn())
        with database.admin() as admin:
            admin.execute(f"alter role {APP} connection limit -1".encode())
        assert_unknown(
            bundle, reply, lines()[-1], "server login" if database.kind == "pooled" else "too many connections"
        )
    assert turns(database) == 1


def test_a_write_whose_commit_hangs_is_504_if_the_password_changes_afterwards(
    bundle: Bundle, database: Database, template: Template
) -> None:
    def rotate(admin: psycopg.Connection, _: int) -> None:
        admin.execute(f"alter role {APP} password '{secrets.token_hex(16)}'".encode())

    with logged() as lines:
        with stalled_until(database.postgres, rotate):
            reply = bundle.write("s", turn())
        with database.admin() as admin:
            admin.execute(f"alter role {APP} password '{template.app_password}'".encode())
        assert_unknown(bundle, reply, lines()[-1], "authentication failed")
    assert turns(database) == 1


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_write_whose_commit_hangs_is_504_if_the_server_is_gone_afterwards(
    bundle: Bundle, database: Database, end: str
) -> None:
    def go_away(_: psycopg.Connection, __: int) -> None:
        getattr(database.postgres.process, end)()

    bundle.context.milliseconds = 4000
    with logged() as lines:
        with stalled_until(database.postgres, go_away):
            reply = bundle.write("s", turn())
        assert_unknown(bundle, reply, lines()[-1], "")
    assert turns(database) == 1


@pytest.mark.parametrize("attempts", ["1"])
@pytest.mark.parametrize("end", [terminate, crash], ids=["terminated", "crashed"])
def test_a_write_whose_server_process_ends_while_its_commit_hangs_is_504(
    bundle: Bundle, database: Database, end: Callable[[psycopg.Connection, int], None]
) -> None:
    """PostgreSQL then sends no error, and PgBouncer sends one without an SQLSTATE of its own."""
    with logged() as lines:
        with stalled_until(database.postgres, end):
            reply = bundle.write("s", turn())
        assert_unknown(bundle, reply, lines()[-1], "")
    assert turns(database) == 1


def test_a_write_whose_hanging_commit_ends_with_its_server_is_found_once_no_commit_waits_any_more(
    bundle: Bundle, database: Database
) -> None:
    def terminate_and_release(admin: psycopg.Connection, pid: int) -> None:
        terminate(admin, pid)
        commits.release(database.postgres.admin_url())

    with stalled_until(database.postgres, terminate_and_release):
        reply = bundle.write("s", turn())
    assert (reply.status, reply.json["message_count"]) == (201, 1)
    assert turns(database) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["terminated", "cancelled"])
def test_a_write_whose_wait_for_a_missing_standby_is_ended_is_504(
    bundle: Bundle, database: Database, number: signal.Signals
) -> None:
    """The turn is there. PostgreSQL reports a cancelled wait as a success with a warning."""
    with logged() as lines:
        with stalled_until(database.postgres, lambda _, pid: os.kill(pid, number)):
            reply = bundle.write("s", turn())
        assert_unknown(bundle, reply, lines()[-1], "")
    assert turns(database) == 1


@pytest.mark.parametrize("attempts", ["1"])
def test_a_write_at_whose_commit_the_server_panics_is_504(bundle: Bundle, database: Database) -> None:
    """A PANIC has an SQLSTATE as any error has, but the commit may be on the disk already."""
    postgres = database.postgres
    assert bundle.read("s").status == 404
    with database.admin() as admin:
        admin.execute("alter system set restart_after_crash = off")
        admin.execute("select pg_reload_conf()")
        wait_for_pid(admin, "select 1 where current_setting('restart_after_crash') = 'off'", ())
        row = admin.execute("select pg_walfile_name(pg_current_wal_lsn())").fetchone()
        assert row is not None
    # A server process opens its write-ahead log at its first commit. In place of the file it finds a folder.
    log = postgres.folder / "data" / "pg_wal" / row[0]
    log.rename(log.with_name("away"))
    log.mkdir()
    with logged() as lines:
        reply = bundle.write("s", turn())
        postgres.process.popen.wait(30)
        log.rmdir()
        log.with_name("away").rename(log)
        wait_until_back(postgres)
        assert_unknown(bundle, reply, lines()[-1], "")
    with database.admin() as admin:
        admin.execute("alter system reset restart_after_crash")
        admin.execute("select pg_reload_conf()")
    assert turns(database) == 0
