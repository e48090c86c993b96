"""Interactions have months as turns have: no interaction is lost, and no request fails while a month is made."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from robot_brain.errors import UnexpectedDatabaseError
from tests.integration.held_locks import held, wait_for_waiter
from tests.integration.months import (
    INTERACTING,
    TABLES,
    drop_month,
    is_month,
    make_months,
    move_to,
    places,
    write,
)
from tests.support.bundle import Bundle, turn
from tests.support.log_lines import logged
from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid

MAKE = "select robot_brain.make_month((now() at time zone 'UTC')::date, 'robot_interactions')"
DEFAULT = "robot_interactions_default"
PATIENT = "alter function robot_brain.make_month set lock_timeout = '60s'"
# The locks with which a request could wait for this transaction.
_STRONG_LOCKS = """
select distinct case when c.relname like 'conversations%' then 'conversations' else 'robot_interactions' end
from pg_locks l join pg_class c on c.oid = l.relation
where l.pid = pg_backend_pid() and l.mode in ('AccessExclusiveLock', 'ShareUpdateExclusiveLock')
  and c.relnamespace = 'robot_brain'::regnamespace
"""
_ATTACH_THIS_MONTH = """
create table robot_brain.robot_interactions_made (like robot_brain.robot_interactions including all);
alter table robot_brain.robot_interactions attach partition robot_brain.robot_interactions_made
  for values from (date_trunc('month', now() at time zone 'UTC') at time zone 'UTC')
  to (date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + interval '1 month');
"""


def interactions(connection: psycopg.Connection, session: str) -> int:
    """Return how many interactions of a session the owner sees."""
    with connection.transaction():
        connection.execute("set local role robot_brain_owner")
        connection.execute("select set_config('robot_brain.tenant_id', 'local', true)")
        row = connection.execute(
            "select count(*) from robot_brain.robot_interactions where tenant_id = 'local' and session_id = %s",
            [session],
        ).fetchone()
    assert row is not None
    return int(row[0])


def lose_this_month(database: Database) -> str:
    """Drop this month of interactions, write five into the default partition, and return the month's name."""
    name = drop_month(database, table="robot_interactions")
    with database.app() as connection:
        write(connection, "a", 5, **INTERACTING)
    assert places(database, "robot_interactions") == {DEFAULT: 5}
    return name


def test_interactions_without_a_month_are_moved_for_every_tenant_into_months_near_and_far(database: Database) -> None:
    moments = {
        "past": "now() - interval '1 month'",
        "old": "timestamptz '1999-12-31 23:59:59.999999+00'",
        "new": "timestamptz '2000-01-01 00:00:00+00'",
        "future": "now() + interval '7 years'",
        "lost": "timestamptz 'infinity'",
    }
    with database.app() as connection:
        for session, moment in moments.items():
            for tenant in ("red", "blue"):
                write(connection, session, 2, tenant, **INTERACTING)
            move_to(database, session, moment)
        assert places(database, "robot_interactions") == {DEFAULT: 20}
        made, failed = make_months(connection)
    assert failed == []
    assert sorted(made) == sorted([*set(made)] * 2), "each month of turns is one of interactions too"
    assert {"1999-12", "2000-01"} < set(made)
    found = places(database, "robot_interactions")
    assert found.pop(DEFAULT) == 4, "a row at infinity has no month"
    assert found["robot_interactions_1999_12"] == found["robot_interactions_2000_01"] == 4
    assert len(found) == 4
    assert set(found.values()) == {4}


def test_a_refresh_makes_the_next_three_months_of_interactions(database: Database) -> None:
    names = [drop_month(database, ahead, "robot_interactions") for ahead in range(1, 6)]
    with database.app() as connection, database.admin() as admin:
        assert make_months(connection)[1] == []
        assert [is_month(admin, name) for name in names] == [True, True, True, False, False]


@pytest.mark.parametrize("busy", TABLES)
def test_a_busy_table_delays_only_its_own_months(database: Database, busy: str) -> None:
    names = {table: drop_month(database, table=table) for table in TABLES}
    with database.app() as connection, database.admin() as holder, database.admin() as admin:
        write(connection, "a", **INTERACTING)
        with holder.transaction():
            holder.execute(f"lock table only robot_brain.{busy}_default in access share mode".encode())
            made, failed = make_months(connection)
            assert (len(made), failed) == (1, [])
            assert {table: is_month(admin, name) for table, name in names.items()} == {
                table: table != busy for table in TABLES
            }
        make_months(connection)
        assert is_month(admin, names[busy])


def test_no_call_of_make_month_holds_strong_locks_on_both_tables(database: Database) -> None:
    for table in TABLES:
        drop_month(database, 0, table)
        drop_month(database, 2, table)
    with database.app() as connection:
        write(connection, "a", 3, **INTERACTING)
    locked = []
    with database.admin() as admin:
        while True:
            with admin.transaction():
                row = admin.execute("select robot_brain.make_next_month(3)").fetchone()
                assert row is not None
                if row[0]["made"] is None:
                    break
                tables = admin.execute(_STRONG_LOCKS).fetchall()
            locked.append([table for (table,) in tables])
    assert locked == [["conversations"]] * 2 + [["robot_interactions"]] * 2


def test_a_write_that_waits_for_the_months_of_both_tables_is_written_once(database: Database) -> None:
    """Without a lock_timeout a deadlock would be detected and fail the test."""
    for table in TABLES:
        drop_month(database, table=table)
    with (
        database.app() as writer,
        database.app() as maker,
        database.admin() as admin,
        database.admin() as holder,
        ThreadPoolExecutor(2) as threads,
    ):
        admin.execute(PATIENT)
        write(writer, "a", 2, **INTERACTING)
        # The write has its turn, and waits for the interactions with its locks on conversations.
        holder.execute("begin")
        holder.execute("lock table only robot_brain.robot_interactions in access exclusive mode")
        writing = threads.submit(lambda: write(writer, "a", **INTERACTING))
        wait_for_waiter(holder)
        making = threads.submit(make_months, maker)
        # make_month waits for the write, because there are turns to move.
        wait_for_pid(
            admin,
            "select 1 from pg_locks l join pg_stat_activity a using (pid)"
            " where not l.granted and a.datname = current_database() and a.usename like 'robot_brain_app%%'"
            " having count(*) = 2",
            (),
        )
        holder.execute("commit")
        assert writing.result(60)[0]["last_seq"] == 3
        assert making.result(60)[1] == []
        make_months(maker)
        assert interactions(admin, "a") == 3
    assert DEFAULT not in places(database, "robot_interactions")
    assert "conversations_default" not in places(database)


def test_a_read_while_the_month_is_made_lacks_no_interaction(database: Database) -> None:
    name = lose_this_month(database)
    with database.admin() as reader, database.admin() as maker, ThreadPoolExecutor(1) as threads:
        with maker.transaction():
            assert maker.execute(MAKE).fetchone() == (True,)
            reading = threads.submit(interactions, reader, "a")
            wait_for_waiter(maker)
        assert reading.result(60) == 5
    assert places(database, "robot_interactions") == {name: 5}


def test_a_write_while_the_month_is_made_writes_its_interaction_once(database: Database) -> None:
    name = lose_this_month(database)
    with database.app() as writer, database.admin() as maker, ThreadPoolExecutor(1) as threads:
        with maker.transaction():
            assert maker.execute(MAKE).fetchone() == (True,)
            writing = threads.submit(lambda: write(writer, "a", **INTERACTING))
            wait_for_waiter(maker)
        assert writing.result(60)[0]["last_seq"] == 6
    assert places(database, "robot_interactions") == {name: 6}


def test_a_write_does_not_wait_while_a_month_without_interactions_is_made(database: Database) -> None:
    drop_month(database, 2, "robot_interactions")
    with database.app() as connection, database.admin() as maker, maker.transaction():
        write(connection, "a", **INTERACTING)
        made = maker.execute("select robot_brain.make_month((now() + interval '2 months')::date, 'robot_interactions')")
        assert made.fetchone() == (True,)
        connection.execute("set lock_timeout = '1ms'")
        write(connection, "a", **INTERACTING)


def test_an_interaction_whose_month_is_attached_during_its_write_lands_in_that_month(
    bundle: Bundle, database: Database
) -> None:
    drop_month(database, table="robot_interactions")
    assert bundle.read("s").status == 404
    with logged() as lines:
        with held(database, _ATTACH_THIS_MONTH, 0):
            reply = bundle.write("s", turn(**INTERACTING))
        assert lines()[-1]["Retries"] == [1]
    assert (reply.status, reply.json["message_count"]) == (201, 1)
    assert places(database, "robot_interactions") == {"robot_interactions_made": 1}


def test_a_table_with_the_name_of_a_month_of_interactions_is_reported_and_stops_no_write(
    bundle: Bundle, database: Database
) -> None:
    name = drop_month(database, table="robot_interactions")
    turns = drop_month(database, 1)
    with database.admin() as admin:
        admin.execute(f"create table robot_brain.{name} (something text)".encode())
        bundle.write("a", turn(**INTERACTING))
        month = name.removeprefix("robot_interactions_").replace("_", "-")
        with pytest.raises(UnexpectedDatabaseError, match=f"no partition for {month}: "):
            bundle.refresh()
        assert is_month(admin, turns)
        assert bundle.write("a", turn(**INTERACTING)).status == 201
        admin.execute(f"drop table robot_brain.{name}".encode())
    assert bundle.refresh()["months_made"] == 1
    assert places(database, "robot_interactions") == {name: 2}
