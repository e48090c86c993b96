"""A refresh makes every month with turns in the default partition. A month that fails does not stop the others."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from robot_brain.errors import UnexpectedDatabaseError
from tests.integration.held_locks import wait_for_waiter
from tests.integration.months import (
    check_page,
    drop_month,
    is_month,
    make_months,
    month_name,
    move_to,
    places,
    write,
)
from tests.integration.refresh_state import uncounted
from tests.support.bundle import Bundle, turn
from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid

NO_LOCK_TIMEOUT = "alter function robot_brain.make_month set lock_timeout = 0"


def dashed(name: str) -> str:
    """Return a partition's month in the form of an answer: YYYY-MM."""
    return name.removeprefix("conversations_").replace("_", "-")


def test_every_month_with_turns_in_the_default_partition_is_made_near_or_far(
    bundle: Bundle, database: Database
) -> None:
    moments = {
        "past 1": "now() - interval '1 month'",
        "past 2": "now() - interval '14 months'",
        "old": "timestamptz '1999-12-31 23:59:59.999999+00'",
        "new": "timestamptz '2000-01-01 00:00:00+00'",
        "future": "now() + interval '7 years'",
        "far": "timestamptz '12026-02-28 23:30:00+00'",
    }
    for session, moment in moments.items():
        bundle.write(session, {"messages": [turn()] * 3})
        move_to(database, session, moment)
    pages = {session: bundle.read(session).body for session in moments}
    assert places(database) == {"conversations_default": 18}

    assert bundle.refresh()["months_made"] == 6

    assert "conversations_default" not in places(database)
    assert places(database)["conversations_1999_12"] == places(database)["conversations_2000_01"] == 3
    assert {session: bundle.read(session).body for session in moments} == pages
    assert bundle.refresh()["months_made"] == 0


def test_a_new_month_gets_the_turns_of_every_tenant_and_of_no_other_month(database: Database) -> None:
    with database.app() as connection:
        for tenant in ("red", "blue"):
            write(connection, "s", 2, tenant)
    move_to(database, "s", "timestamptz '2001-02-01 00:00:00+00'")
    with database.app() as connection:
        write(connection, "t", 5)
    move_to(database, "t", "timestamptz '2001-03-01 00:00:00+00'")
    with database.app() as connection:
        row = connection.execute("select body::json from robot_brain_api.make_month()").fetchone()
    assert row == ({"made": "2001-02", "failed": []},)
    assert places(database) == {"conversations_2001_02": 4, "conversations_default": 5}


def test_a_table_with_the_name_of_a_month_stops_neither_other_months_nor_counting(
    bundle: Bundle, database: Database
) -> None:
    name, later = drop_month(database, 0), drop_month(database, 2)
    with database.admin() as admin:
        admin.execute(f"create table robot_brain.{name} (something text)".encode())
        bundle.write("a", turn(), {"idempotency-key": "old"})
        admin.execute("update robot_brain.idempotency_keys set expires_at = now() - interval '1 hour'")

        with pytest.raises(UnexpectedDatabaseError, match=dashed(name)):
            bundle.refresh()

        assert is_month(admin, later)
        assert uncounted(database) == 0
        assert admin.execute("select count(*) from robot_brain.session_stats").fetchone() == (1,)
        assert admin.execute("select count(*) from robot_brain.idempotency_keys").fetchone() == (0,)
    # Requests still work, and so does the counting of the next refresh.
    assert bundle.write("a", turn()).status == 201
    assert len(bundle.read("a").json["messages"]) == 2
    assert bundle.stats().json["totals"]["messages"] == 2
    with pytest.raises(UnexpectedDatabaseError, match=dashed(name)):
        bundle.refresh()
    assert uncounted(database) == 0
    with database.admin() as admin:
        admin.execute(f"drop table robot_brain.{name}".encode())
    assert bundle.refresh()["months_made"] == 1
    assert places(database) == {name: 2}


def test_a_detached_month_is_reported_until_it_is_attached_again(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        name = month_name(admin, 1)
        row = admin.execute("select pg_get_expr(relpartbound, oid) from pg_class where relname = %s", [name]).fetchone()
        assert row is not None
        admin.execute(f"alter table robot_brain.conversations detach partition robot_brain.{name}".encode())
        with pytest.raises(UnexpectedDatabaseError, match=dashed(name)):
            bundle.refresh()
        admin.execute(f"alter table robot_brain.conversations attach partition robot_brain.{name} {row[0]}".encode())
    assert bundle.refresh()["months_made"] == 0


def test_a_turn_at_infinity_stays_in_the_default_partition_and_fails_no_refresh(
    bundle: Bundle, database: Database
) -> None:
    """Our writes never store such a turn, but a restore of other rows may."""
    bundle.write("lost", turn())
    move_to(database, "lost", "timestamptz '-infinity'")
    bundle.write("past", turn())
    move_to(database, "past", "now() - interval '1 month'")
    assert bundle.refresh()["months_made"] == 1
    with database.admin() as admin:
        assert places(database) == {"conversations_default": 1, month_name(admin, -1): 1}
    assert bundle.stats().json["totals"]["messages"] == 2


def test_turns_in_the_last_and_the_first_microsecond_of_two_months_get_their_own_month(
    database: Database,
) -> None:
    with database.app() as connection:
        for session, moment in (("last", "2001-02-28 23:59:59.999999+00"), ("first", "2001-03-01 00:00:00+00")):
            write(connection, session)
            move_to(database, session, f"timestamptz '{moment}'")
        assert make_months(connection) == (["2001-02", "2001-03"], [])
    with database.admin() as admin:
        rows = admin.execute(
            "select session_id, tableoid::regclass::text from robot_brain.conversations order by 1"
        ).fetchall()
    assert rows == [("first", "robot_brain.conversations_2001_03"), ("last", "robot_brain.conversations_2001_02")]


def test_two_refreshes_at_once_make_each_month_once_without_a_deadlock(database: Database) -> None:
    names = [drop_month(database, 0), drop_month(database, 1)]
    with database.app() as connection:
        write(connection, "a", 10)
    move_to(database, "a", "now() - interval '1 month'")
    with (
        database.admin() as admin,
        database.admin() as holder,
        database.app() as one,
        database.app() as other,
        ThreadPoolExecutor(2) as threads,
    ):
        # Without lock_timeout a deadlock would be detected and fail the test.
        admin.execute(NO_LOCK_TIMEOUT)
        holder.execute("begin")
        holder.execute("lock table only robot_brain.conversations in share update exclusive mode")
        both = [threads.submit(make_months, connection) for connection in (one, other)]
        # By now each one has read the default partition, or has nothing to do.
        wait_for_waiter(holder)
        wait_for_pid(
            admin,
            "select 1 from pg_stat_activity where datname = current_database() and usename like 'robot_brain_app%%'"
            " and (wait_event_type = 'Lock' or state = 'idle') having count(*) = 2",
            (),
        )
        holder.execute("rollback")
        done = [each.result(60) for each in both]
        assert [failed for _, failed in done] == [[], []]
        made = [month for months, _ in done for month in months]
        assert sorted(made) == [dashed(name) for name in (month_name(admin, -1), *names)]
        assert check_page(one, "a") == 10


def test_a_refresh_makes_the_next_three_months(database: Database) -> None:
    with database.admin() as admin:
        names = [month_name(admin, ahead) for ahead in range(1, 6)]
        for name in names:
            admin.execute(f"drop table robot_brain.{name}".encode())
        with database.app() as connection:
            assert make_months(connection) == ([dashed(name) for name in names[:3]], [])
