"""A step of a refresh that fails undoes no other step, and health reports figures that cannot be made."""

from collections.abc import Callable

import psycopg
import pytest

from robot_brain.errors import RobotBrainError
from tests.integration.recounting import INTERACTION
from tests.support.bundle import Bundle, turn
from tests.support.servers.databases import Database

DROP_KEY = "drop index robot_brain.session_stats_key"
MAKE_KEY = "create unique index session_stats_key on robot_brain.session_stats (tenant_id, session_id)"
EMPTY = "refresh materialized view robot_brain.session_stats with no data"
AGE = "update robot_brain.refresh_state set refreshed_at = refreshed_at - interval '3 days'"


def state(admin: psycopg.Connection) -> tuple[int, int, bool]:
    """Return the counted turns, the number of uncounted rows, and whether the view is due."""
    row = admin.execute(
        "select (select coalesce(sum(messages), 0)::int from robot_brain.tenant_stats),"
        " (select count(*)::int from robot_brain.uncounted), view_due from robot_brain.refresh_state"
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


def top(bundle: Bundle) -> list[tuple[str, int]]:
    """Return the longest sessions with their lengths."""
    return [(one["session_id"], one["message_count"]) for one in bundle.stats().json["top_sessions"]]


def test_a_failed_refresh_of_the_view_keeps_the_counts_and_the_next_refresh_repairs_the_view(
    bundle: Bundle, database: Database
) -> None:
    bundle.write("a", {"messages": [turn(interaction=INTERACTION)] * 2})
    assert bundle.refresh()["counted"] == 1
    bundle.write("b", turn())
    with database.admin() as admin:
        admin.execute(DROP_KEY)
        for number in (1, 2):
            with pytest.raises(RobotBrainError):
                bundle.refresh()
            assert state(admin) == (2 + number, 0, True)
            assert bundle.stats().json["totals"] == {"sessions": 2, "messages": 2 + number, "interactions": 2}
            assert top(bundle) == [("a", 2)]
            bundle.write("b", turn())
        admin.execute(MAKE_KEY)
        assert bundle.refresh()["counted"] == 1
        assert state(admin) == (5, 0, False)
    assert top(bundle) == [("b", 3), ("a", 2)]


def test_a_refresh_without_new_turns_repairs_a_view_that_failed(bundle: Bundle, database: Database) -> None:
    bundle.write("a", turn())
    with database.admin() as admin:
        admin.execute(DROP_KEY)
        with pytest.raises(RobotBrainError):
            bundle.refresh()
        admin.execute(MAKE_KEY)
        assert bundle.refresh()["counted"] == 0
        assert state(admin) == (1, 0, False)
    assert top(bundle) == [("a", 1)]


def test_a_view_that_was_never_filled_is_filled_by_the_next_refresh(bundle: Bundle, database: Database) -> None:
    bundle.write("a", turn())
    with database.admin() as admin:
        admin.execute(EMPTY)
        assert "statistics" in bundle.database_health().json["reasons"]
        assert bundle.refresh()["counted"] == 1
        assert state(admin) == (1, 0, False)
    assert top(bundle) == [("a", 1)]
    assert bundle.database_health().json["reasons"] == []


def test_a_reader_of_a_view_that_was_never_filled_gets_figures(bundle: Bundle, database: Database) -> None:
    """A restored dump has no rows of the view, and the schedule does not refresh while the compute sleeps."""
    bundle.write("a", turn())
    bundle.refresh()
    bundle.write("a", turn())
    with database.admin() as admin:
        admin.execute(EMPTY)
    assert bundle.stats(session_id="a").json["message_count"] == 2
    reply = bundle.stats()
    assert reply.status == 200, reply.body
    assert reply.json["totals"]["messages"] == 2
    assert top(bundle) == [("a", 2)]


@pytest.mark.parametrize("fault", [DROP_KEY, "alter function robot_brain.count_uncounted(integer) rename to gone"])
def test_health_reports_statistics_if_figures_cannot_be_made(bundle: Bundle, database: Database, fault: str) -> None:
    bundle.write("a", turn())
    bundle.refresh()
    bundle.write("a", turn())
    with database.admin() as admin:
        admin.execute(fault.encode())
        admin.execute(AGE)
        with pytest.raises(RobotBrainError):
            bundle.refresh()
        healthy = bundle.database_health()
        assert (healthy.status, healthy.json["status"]) == (200, "degraded")
        assert "statistics" in healthy.json["reasons"]
        # A reader nevertheless gets counted and uncounted turns.
        assert bundle.stats().json["totals"]["messages"] == 2
    assert bundle.write("a", turn()).status == 201


# As the first step of a large erasure leaves it.
BEGIN_ERASURE = """
with erasing as (
  update robot_brain.sessions set erasing_at = now() where id = 'erased' returning *
)
insert into robot_brain.erasures (tenant_id, session_hash, session_id, begun_at, erased_at)
select tenant_id, sha256(convert_to(id, 'UTF8')), id, erasing_at, erasing_at from erasing
"""

FAULTS: dict[str, Callable[[psycopg.Connection], object]] = {
    "view": lambda admin: admin.execute(DROP_KEY),
    "months": lambda admin: admin.execute("alter function robot_brain.make_next_month(integer) rename to gone"),
    "keys": lambda admin: admin.execute("alter function robot_brain.clear_keys(integer, boolean) rename to gone"),
    "erasures": lambda admin: admin.execute("alter function robot_brain.next_erasure() rename to gone"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_step_of_a_refresh_that_fails_stops_no_later_step_and_the_refresh_raises(
    bundle: Bundle, database: Database, fault: str
) -> None:
    with database.admin() as admin:
        row = admin.execute(
            "select 'conversations_' || to_char((now() at time zone 'UTC') + interval '1 month', 'YYYY_MM')"
        ).fetchone()
        assert row is not None
        admin.execute(f"drop table robot_brain.{row[0]}".encode())
        bundle.write("a", turn(), {"idempotency-key": "k"})
        bundle.write("erased", turn())
        admin.execute(BEGIN_ERASURE)
        admin.execute("update robot_brain.idempotency_keys set expires_at = now() - interval '1 hour'")
        FAULTS[fault](admin)
        with pytest.raises(RobotBrainError):
            bundle.refresh()
        done = admin.execute(
            # A step of an erasure comes last. It leaves rows that take its turns from the figures.
            "select not exists (select from robot_brain.uncounted where messages > 0), not view_due,"
            " to_regclass(%s) is not null,"
            " (select count(*) from robot_brain.idempotency_keys) = 0,"
            " not exists (select from robot_brain.sessions where id = 'erased') from robot_brain.refresh_state",
            [f"robot_brain.{row[0]}"],
        ).fetchone()
    assert done == (True, fault != "view", fault != "months", fault != "keys", fault != "erasures")


@pytest.mark.parametrize("table", ["refresh_state", "key_clearing"])
def test_a_missing_row_of_the_refreshs_state_fails_no_request_and_is_made_again(
    bundle: Bundle, database: Database, table: str
) -> None:
    bundle.write("s", turn(), {"idempotency-key": "k"})
    with database.admin() as admin:
        admin.execute(f"delete from robot_brain.{table}".encode())
        assert bundle.stats().json["totals"]["messages"] == 1
        assert bundle.database_health().status == 200
        bundle.refresh()
        assert admin.execute(f"select count(*) from robot_brain.{table}".encode()).fetchone() == (1,)
    assert bundle.write("s", turn(), {"idempotency-key": "l"}).status == 201
    figures = bundle.stats().json
    assert (figures["totals"]["messages"], len(figures["top_sessions"])) == (2, 1)
    assert bundle.database_health().json["reasons"] == []
