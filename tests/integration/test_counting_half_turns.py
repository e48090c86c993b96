"""A migration counts the turns without an answer that exist, also those written while it runs. A recount agrees."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.migrate import migrate
from ops.recount import recount
from tests.integration.migrations import finish, migrating
from tests.integration.months import WRITE, turns
from tests.integration.yoyo import migrate_with_yoyo
from tests.support.figures import compare
from tests.support.servers.gate import wait_for_pid
from tests.support.servers.postgres import Postgres

TENANTS = ("blue", "red")
REFRESH = "select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()"
HALF = {"robot_response": ""}
# The migration waits at one of these statements: the last before it counts the turns that exist, or the first after it.
BEFORE = "comment on column robot_brain.idempotency_keys.session_id"
AFTER = "create index concurrently sessions_listed_idx"
STOP = """
create schema stop;
create function stop.wait() returns event_trigger
language plpgsql security definer set search_path = pg_catalog set lock_timeout = 0
as $$
begin
  if current_query() like '%{statement}%' then
    perform pg_advisory_xact_lock(3330, 1);
  end if;
end
$$;
create event trigger stop on ddl_command_start execute function stop.wait();
select pg_advisory_lock(3330, 1);
"""
STOPPED = "select pid from pg_locks where locktype = 'advisory' and classid = 3330 and not granted"
WAITS_FOR_WRITE = """
select pid from pg_stat_activity
where datname = current_database() and application_name = 'robot-brain-migrate' and wait_event = 'transactionid'
"""


def write(admin: psycopg.Connection, session_id: str) -> None:
    """Write a whole turn and two half turns of two personalities to a session of each tenant."""
    for tenant in TENANTS:
        for count, fields in ((1, {}), (1, HALF), (1, {**HALF, "robot_personality": "waiter"})):
            admin.execute(WRITE, (tenant, session_id, turns(count, **fields)))


@contextmanager
def stop_at(admin: psycopg.Connection, statement: str) -> Iterator[None]:
    """Make the migration wait at `statement` until the block releases the advisory lock."""
    admin.execute(STOP.format(statement=statement).encode())
    yield
    admin.execute("drop event trigger stop")
    admin.execute("drop schema stop cascade")


def check(admin: psycopg.Connection, direct_url: str) -> None:
    """Assert that all figures and counters are those of the rows, before and after a refresh."""
    for refreshed in (False, True):
        if refreshed:
            admin.execute(REFRESH)
        assert [found for tenant in recount(direct_url, dry_run=True) for found in tenant] == []
        for tenant in TENANTS:
            assert compare(admin, tenant, refreshed=refreshed).wrong == []


@pytest.fixture
def older(admin: psycopg.Connection, direct_url: str) -> str:
    """The migrating role's URL of a database of schema 2 with half turns, counted and uncounted."""
    migrate_with_yoyo(direct_url)
    write(admin, "counted")
    admin.execute(REFRESH)
    write(admin, "counted")
    write(admin, "uncounted")
    return direct_url


def test_half_turns_that_exist_are_counted_as_unanswered(admin: psycopg.Connection, older: str) -> None:
    migrate(older)
    for tenant in TENANTS:
        # The migration has made the view again, so the longest sessions and as_of are of its time.
        assert compare(admin, tenant, refreshed=True).wrong == []
    later = "select bool_and(r.refreshed_at > s.last_active) from robot_brain.refresh_state r, robot_brain.sessions s"
    assert admin.execute(later).fetchone() == (True,)
    check(admin, older)
    row = admin.execute(
        "select sum(unanswered) filter (where message_count = 6), sum(unanswered) from robot_brain.sessions"
    ).fetchone()
    assert row == (8, 12)


def test_half_turns_written_by_the_older_functions_during_the_migration_are_counted_as_unanswered(
    admin: psycopg.Connection, older: str
) -> None:
    with stop_at(admin, AFTER), migrating(older) as process:
        wait_for_pid(admin, STOPPED, (), process)
        write(admin, "counted")
        write(admin, "new")
        admin.execute("select pg_advisory_unlock(3330, 1)")
        finish(process)
    check(admin, older)


def test_the_server_survives_a_write_that_ends_while_the_migration_waits_to_count_its_half_turns(
    cluster: Postgres, admin: psycopg.Connection, older: str
) -> None:
    # With many turns a nested loop reads the months, and prunes them for each session. Then one statement that both
    # waits for the session and counts its turns crashes PostgreSQL 18.
    for join in ("hashjoin", "mergejoin"):
        admin.execute(f"alter database {admin.info.dbname} set enable_{join} = off".encode())
    for number in range(50):
        admin.execute(WRITE, (TENANTS[0], f"s{number % 5}", turns(100)))
    admin.execute("analyze robot_brain.conversations, robot_brain.sessions")
    with stop_at(admin, BEFORE), cluster.admin(admin.info.dbname) as writer, migrating(older) as process:
        wait_for_pid(admin, STOPPED, (), process)
        with writer.transaction():
            write(writer, "counted")
            admin.execute("select pg_advisory_unlock(3330, 1)")
            wait_for_pid(admin, WAITS_FOR_WRITE, (), process)
        finish(process)
    check(admin, older)
