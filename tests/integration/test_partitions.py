"""A missing month loses no turn, and the refresh that makes it moves its turns out of the default partition."""

import psycopg
import pytest

from tests.integration.held_locks import held
from tests.integration.months import drop_month, month_name, places
from tests.support.bundle import Bundle, turn
from tests.support.log_lines import logged
from tests.support.servers.databases import Database


def test_a_turn_without_a_month_lands_in_the_default_partition_and_is_read(bundle: Bundle, database: Database) -> None:
    drop_month(database)
    assert bundle.write("s", turn(1)).status == 201
    assert places(database) == {"conversations_default": 1}
    assert [message["user_message"] for message in bundle.read("s").json["messages"]] == ["question 1"]


def test_a_refresh_makes_a_missing_month_and_moves_the_turns_of_every_tenant(
    bundle: Bundle, database: Database
) -> None:
    drop_month(database)
    bundle.write("s", {"messages": [turn(number) for number in range(1, 4)]})
    with psycopg.connect(database.app_url, autocommit=True) as other:
        other.execute(
            "select robot_brain_api.write_message('other', 's', %s, null, null, null, null, false)",
            ['[{"robot_personality":"p","user_message":"","robot_response":"","metadata":{}}]'],
        )
    before = bundle.read("s").body
    assert bundle.refresh()["months_made"] == 1
    with database.admin() as admin:
        assert places(database) == {month_name(admin): 4}
        unforced = admin.execute(
            "select relname from pg_class where relnamespace = 'robot_brain'::regnamespace and relkind in ('r', 'p')"
            " and not (relrowsecurity and relforcerowsecurity)"
        ).fetchall()
    assert unforced == []
    assert bundle.read("s").body == before
    assert bundle.write("s", turn(4)).json["message_count"] == 4
    assert bundle.stats().json["totals"]["messages"] == 4


def test_a_refresh_keeps_three_months_ahead(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        for ahead in (2, 3, 4):
            row = admin.execute(
                "select to_char((now() at time zone 'UTC') + make_interval(months => %s), 'YYYY_MM')", [ahead]
            ).fetchone()
            assert row is not None
            admin.execute(f"drop table robot_brain.conversations_{row[0]}".encode())
    assert bundle.refresh()["months_made"] == 2
    assert bundle.refresh()["months_made"] == 0


def test_a_busy_table_delays_the_month_and_the_refresh_succeeds(bundle: Bundle, database: Database) -> None:
    drop_month(database)
    bundle.write("s", turn())
    with database.admin() as admin, admin.transaction():
        admin.execute("select * from robot_brain.conversations_default")
        assert bundle.refresh()["months_made"] == 0
    assert bundle.refresh()["months_made"] == 1
    assert bundle.stats().json["totals"]["messages"] == 1


_ATTACH_THIS_MONTH = """
create table robot_brain.conversations_made (like robot_brain.conversations including all);
alter table robot_brain.conversations attach partition robot_brain.conversations_made
  for values from (date_trunc('month', now() at time zone 'UTC') at time zone 'UTC')
  to (date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + interval '1 month');
"""


def test_a_turn_whose_month_is_attached_during_its_write_lands_in_that_month(
    bundle: Bundle, database: Database
) -> None:
    """PostgreSQL chose the default partition before the month existed, so it raises 23514 without a constraint name."""
    drop_month(database)
    assert bundle.read("s").status == 404
    with logged() as lines:
        with held(database, _ATTACH_THIS_MONTH, 0):
            reply = bundle.write("s", turn())
        assert lines()[-1]["Retries"] == [1]
    assert (reply.status, reply.json["message_count"]) == (201, 1)
    assert places(database) == {"conversations_made": 1}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/Los_Angeles"])
def test_months_and_times_are_utc_in_any_time_zone_of_the_server(bundle: Bundle, database: Database, zone: str) -> None:
    with database.admin() as admin:
        admin.execute(f"alter database {database.name} set timezone = '{zone}'".encode())
        bounds = admin.execute(
            "select c.relname, pg_get_expr(c.relpartbound, c.oid) from pg_class c"
            " where c.relname = 'conversations_' || to_char(now() at time zone 'UTC', 'YYYY_MM')"
        ).fetchall()
    assert len(bounds) == 1
    written = bundle.write("s", turn()).json
    page = bundle.read("s").json
    assert page["messages"][0]["created_at"] == written["messages"][0]["created_at"]
    with database.admin() as admin:
        row = admin.execute(
            "select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
            " from robot_brain.conversations"
        ).fetchone()
    assert row == (page["messages"][0]["created_at"],)
