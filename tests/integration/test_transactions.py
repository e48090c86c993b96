"""A transaction of the layer whose server process ends fails with the server's own error, and can be retried."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from robot_brain.database.connection import lazy_connection
from robot_brain.database.watchdog import WatchedConnection
from robot_brain.deadline import Deadline
from tests.integration.leaking import end_servers, leak, one_server_connection
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database
from tests.support.servers.pgbouncer import PgBouncer

pooled = pytest.mark.parametrize("database", ["pooled"], indirect=True)
# The first COMMIT of a change of the table ends its own server process, and PgBouncer adds an error of its own.
_END_AT_COMMIT = """
create sequence public.commits;
create function public.end_once() returns trigger language plpgsql security definer as $$
begin
  if nextval('public.commits') = 1 then
    perform pg_terminate_backend(pg_backend_pid());
  end if;
  return null;
end
$$;
create constraint trigger end_once after insert or update on robot_brain.{table}
deferrable initially deferred for each row execute function public.end_once();
"""


@pytest.fixture
def shared(database: Database, pooler: PgBouncer) -> Iterator[Bundle]:
    """The functions behind a pooler with one server connection."""
    with one_server_connection(pooler), deployed({"DATABASE_URL": database.app_url}) as bundle:
        yield bundle


def end_at_commit(database: Database, table: str) -> None:
    """Let the first commit of a change of `table` end its server process."""
    with database.admin() as admin:
        admin.execute(_END_AT_COMMIT.format(table=table).encode())


def commits(database: Database) -> int:
    """Return how many commits `end_at_commit` has seen."""
    with database.admin() as admin:
        row = admin.execute("select last_value from public.commits").fetchone()
    assert row is not None
    return int(row[0])


@contextmanager
def opened(database: Database) -> Iterator[WatchedConnection]:
    """Open a connection as a request does, and close it."""
    with deployed({"DATABASE_URL": database.app_url}):
        deadline = Deadline(60)
        connection = lazy_connection().get(deadline)
        connection.watch(deadline)
        yield connection
        lazy_connection().discard()


@pooled
def test_a_write_is_retried_if_the_commit_of_its_second_attempt_ends_the_server_process(
    database: Database, shared: Bundle
) -> None:
    """The second attempt is in a transaction, because the first one met settings that a former client left behind."""
    shared.write("other", turn())
    end_at_commit(database, "sessions")
    leak(database, "set default_transaction_read_only = on")
    assert shared.write("s", turn()).status == 201
    assert commits(database) == 2
    assert [message["seq"] for message in shared.read("s").json["messages"]] == [1]


@pooled
def test_a_refresh_is_retried_if_its_commit_ends_the_server_process(database: Database, shared: Bundle) -> None:
    shared.write("s", turn())
    end_at_commit(database, "tenant_stats")
    assert shared.refresh()["counted"] == 1
    assert commits(database) == 2
    assert shared.stats().json["totals"]["messages"] == 1


@pytest.mark.parametrize("ended", ["before the first statement", "before the commit"])
def test_a_transaction_whose_server_process_ends_fails_with_the_servers_error(database: Database, ended: str) -> None:
    def select(connection: WatchedConnection) -> None:
        with connection.begun():
            if ended == "before the first statement":
                end_servers(database)
            assert connection.execute("select 1").fetchone() == (1,)
            end_servers(database)

    with opened(database) as connection, pytest.raises(psycopg.errors.AdminShutdown):
        select(connection)


def test_a_failed_transaction_is_over_and_leaves_a_connection_that_works(database: Database) -> None:
    with opened(database) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero), connection.begun():
            connection.execute("select 1 / 0")
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_rollback_that_fails_closes_the_connection_and_does_not_hide_the_error_before_it(database: Database) -> None:
    def divide(connection: WatchedConnection) -> None:
        with connection.begun():
            try:
                connection.execute("select 1 / 0")
            finally:
                end_servers(database)

    with opened(database) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            divide(connection)
        assert connection.closed


def test_a_transaction_reads_committed_rows_whatever_the_default_is(database: Database) -> None:
    with opened(database) as connection:
        connection.execute("set default_transaction_isolation = 'serializable'")
        with connection.begun():
            assert connection.execute("show transaction_isolation").fetchone() == ("read committed",)
