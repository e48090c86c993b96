"""A migration counts the turns without an answer that exist, also those written while it runs. A recount agrees."""

import psycopg
import pytest

from ops.migrate import migrate
from ops.recount import recount
from tests.integration.migrations import finish, migrating
from tests.integration.months import WRITE, turns
from tests.integration.yoyo import migrate_with_yoyo
from tests.support.figures import compare
from tests.support.servers.gate import wait_for_pid

TENANTS = ("blue", "red")
REFRESH = "select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()"
HALF = {"robot_response": ""}
# The migration waits before it makes the first index. Then it has counted the turns that existed.
STOP = """
create schema stop;
create function stop.wait() returns event_trigger
language plpgsql security definer set search_path = pg_catalog set lock_timeout = 0
as $$
begin
  if current_query() like '%create index concurrently sessions_listed_idx%' then
    perform pg_advisory_xact_lock(3330, 1);
  end if;
end
$$;
create event trigger stop on ddl_command_start execute function stop.wait();
select pg_advisory_lock(3330, 1);
"""
STOPPED = "select pid from pg_locks where locktype = 'advisory' and classid = 3330 and not granted"


def write(admin: psycopg.Connection, session_id: str) -> None:
    """Write a whole turn and two half turns of two personalities to a session of each tenant."""
    for tenant in TENANTS:
        for count, fields in ((1, {}), (1, HALF), (1, {**HALF, "robot_personality": "waiter"})):
            admin.execute(WRITE, (tenant, session_id, turns(count, **fields)))


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
    admin.execute(STOP)
    with migrating(older) as process:
        wait_for_pid(admin, STOPPED, (), process)
        write(admin, "counted")
        write(admin, "new")
        admin.execute("select pg_advisory_unlock(3330, 1)")
        finish(process)
    admin.execute("drop event trigger stop")
    admin.execute("drop schema stop cascade")
    check(admin, older)
