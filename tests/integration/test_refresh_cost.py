"""The cost of a refresh depends on the writes since the last one, and is very small without any."""

import psycopg

from tests.integration.refresh_state import refreshed_at
from tests.support.bundle import Bundle, turn
from tests.support.servers.databases import Database

# What a refresh may scan if it has no work to do. It counts the sessions of 31 days, which is much cheaper than to
# make the view again.
CHEAP = {
    "refresh_state",
    "uncounted",
    "sessions",
    "session_stats",
    "conversations_default",
    "robot_interactions_default",
    "key_clearing",
    "idempotency_keys",
}
REFRESH = (
    "select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view(), robot_brain_api.make_month(),"
    " robot_brain_api.clear_keys()"
)


def scanned(connection: psycopg.Connection) -> set[str]:
    """Return the tables that this transaction scanned."""
    rows = connection.execute(
        "select relname from pg_stat_xact_all_tables"
        " where schemaname = 'robot_brain' and coalesce(idx_scan, 0) + seq_scan > 0"
    ).fetchall()
    return {name for (name,) in rows}


def exclusive_locks_on_the_view(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select count(*) from pg_locks"
        " where relation = 'robot_brain.session_stats'::regclass and pid = pg_backend_pid()"
        " and mode <> 'AccessShareLock'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_refresh_without_new_turns_counts_nothing(bundle: Bundle, database: Database) -> None:
    bundle.write("s", turn(interaction={"interaction_type": "x", "duration_ms": 1, "success": True}))
    # A new connection for each, because a server process adds up the scans of its transactions.
    with database.admin() as admin, admin.transaction():
        admin.execute(REFRESH)
        assert scanned(admin) > {"sessions", "uncounted"}
        assert exclusive_locks_on_the_view(admin) > 0
    before = refreshed_at(database)
    with database.admin() as admin, admin.transaction():
        row = admin.execute(REFRESH).fetchone()
        assert scanned(admin) <= CHEAP
        assert exclusive_locks_on_the_view(admin) == 0
    assert row is not None
    assert row[0] == '{"counted": 0}'
    assert refreshed_at(database) != before, "the figures are up to date"
    # The refresh still makes missing months.
    with database.admin() as admin:
        admin.execute(
            "do $$ begin execute 'drop table robot_brain.conversations_' || to_char("
            "(now() at time zone 'UTC') + interval '2 months', 'YYYY_MM'); end $$"
        )
    assert bundle.refresh()["months_made"] == 1
    assert bundle.stats().json["totals"] == {"sessions": 1, "messages": 1, "interactions": 1}


def test_a_turn_whose_month_is_missing_is_counted(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        admin.execute(
            "do $$ begin execute 'drop table robot_brain.conversations_' || to_char("
            "now() at time zone 'UTC', 'YYYY_MM'); end $$"
        )
        bundle.write("s", turn())
        assert admin.execute("select count(*) from only robot_brain.conversations_default").fetchone() == (1,)
    assert bundle.refresh()["months_made"] == 1
    assert bundle.refresh()["months_made"] == 0
    assert bundle.stats().json["totals"]["messages"] == 1


def test_the_longest_sessions_of_31_days_are_right_although_the_view_is_older(
    bundle: Bundle, database: Database
) -> None:
    bundle.write("old", {"messages": [turn()] * 3})
    bundle.write("new", turn())
    with database.admin() as admin:
        # As if the view had been made 31 days ago, when the session was active.
        admin.execute("alter table robot_brain.sessions alter column active_on drop expression")
        admin.execute("update robot_brain.sessions set last_active = now() - interval '31 days' where id = 'old'")
        bundle.refresh()
        assert admin.execute("select count(*) from robot_brain.session_stats").fetchone() == (2,)
        assert [one["session_id"] for one in bundle.stats().json["top_sessions"]] == ["new"]
        admin.execute("update robot_brain.sessions set last_active = now() - interval '29 days' where id = 'old'")
        admin.execute("refresh materialized view robot_brain.session_stats")
        assert [one["session_id"] for one in bundle.stats().json["top_sessions"]] == ["old", "new"]
