"""A refresh costs what was written since the last one, which is next to nothing where nothing was."""

import psycopg
import pytest

from tests.bundle import Bundle, turn
from tests.integration.watermark import watermark
from tests.servers.databases import Database

# What may be scanned where there is nothing to do.
CHEAP = {"stats_watermark", "conversations"}


def scanned(connection: psycopg.Connection) -> set[str]:
    """Return the tables that the transaction has scanned, the months of turns as `conversations`."""
    rows = connection.execute(
        "select relname from pg_stat_xact_all_tables"
        " where schemaname = 'robot_brain' and coalesce(idx_scan, 0) + seq_scan > 0"
    ).fetchall()
    return {"conversations" if name.startswith("conversations") else name for (name,) in rows}


def locks_on_the_view(connection: psycopg.Connection) -> int:
    row = connection.execute(
        "select count(*) from pg_locks"
        " where relation = 'robot_brain.session_stats'::regclass and pid = pg_backend_pid()"
    ).fetchone()
    assert row is not None
    return int(row[0])


def test_a_refresh_does_nothing_where_nothing_was_written(bundle: Bundle, database: Database) -> None:
    bundle.write("s", turn(interaction={"interaction_type": "x", "duration_ms": 1, "success": True}))
    # Another connection for each: a server process adds up what its last transactions scanned.
    with database.admin() as admin, admin.transaction():
        admin.execute("select robot_brain.refresh_stats(null)")
        assert scanned(admin) > {"sessions", "robot_interactions"}
        assert locks_on_the_view(admin) > 0
    with database.admin() as admin:
        before = watermark(database)
        with admin.transaction():
            row = admin.execute("select robot_brain.refresh_stats(null)").fetchone()
            assert scanned(admin) <= CHEAP
            assert locks_on_the_view(admin) == 0
        assert row is not None
        assert row[0]["months_made"] == 0
        assert watermark(database) != before, "the figures are right up to now"
        # The months ahead are made all the same.
        admin.execute(
            "do $$ begin execute 'drop table robot_brain.conversations_' || to_char("
            "(now() at time zone 'UTC') + interval '2 months', 'YYYY_MM'); end $$"
        )
    assert bundle.refresh()["months_made"] == 1
    assert bundle.stats().json["totals"] == {"sessions": 1, "messages": 1, "interactions": 1}


def test_a_turn_whose_month_is_missing_is_something_to_count(bundle: Bundle, database: Database) -> None:
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


@pytest.mark.parametrize("analyzed", [True, False])
def test_looking_whether_something_was_written_reads_the_end_of_one_month(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        admin.execute("set timezone = 'UTC'")
        admin.execute(
            "insert into robot_brain.conversations (tenant_id, session_id, seq, created_at, opens_day,"
            " robot_personality, user_message, robot_response)"
            " select 'local', 's' || n % 40, n / 40 + 1,"
            " date_trunc('month', now()) + (now() - date_trunc('month', now())) * (n / 60000.0), false, 'b', 'q',"
            " repeat('a', 200) from generate_series(0, 59999) n"
        )
        # Autovacuum's part: it notes the times of the new pages in the BRIN index.
        admin.execute(f"vacuum {'(analyze)' if analyzed else ''} robot_brain.conversations")
        row = admin.execute(
            "select relpages, relname from pg_class where relname = 'conversations_' || to_char(now(), 'YYYY_MM')"
        ).fetchone()
        assert row is not None
        pages, month = row
        look = "select robot_brain.written_between(now() - interval '%s', now() + interval '1 second')"
        for ago, expected in (("0 seconds", False), ("1 hour", True), ("0 seconds", False)) * 3:
            with admin.transaction():
                found = admin.execute((look % ago).encode()).fetchone()
                locked = admin.execute(
                    "select c.relname from pg_locks l join pg_class c on c.oid = l.relation"
                    " where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname like 'conversations%'"
                ).fetchall()
            assert found == (expected,)
            assert (month,) in locked
            assert len(locked) <= 2, "the hour may have begun in another month"
        plan = admin.execute(f"explain (analyze, buffers, format json) {look % '0 seconds'}".encode()).fetchone()
        assert plan is not None
        read = plan[0][0]["Plan"]["Shared Hit Blocks"] + plan[0][0]["Plan"]["Shared Read Blocks"]
        print(f"{read} of {pages} pages looked at")
        assert pages > 1500
        assert read < pages / 10


def test_the_longest_sessions_of_31_days_are_right_though_the_view_is_older(bundle: Bundle, database: Database) -> None:
    bundle.write("old", {"messages": [turn()] * 3})
    bundle.write("new", turn())
    with database.admin() as admin:
        # As if the view had been made 31 days ago: by its own date the session was active then.
        admin.execute("alter table robot_brain.sessions alter column active_on drop expression")
        admin.execute("update robot_brain.sessions set last_active = now() - interval '31 days' where id = 'old'")
        bundle.refresh()
        assert admin.execute("select count(*) from robot_brain.session_stats").fetchone() == (2,)
        assert [one["session_id"] for one in bundle.stats().json["top_sessions"]] == ["new"]
        admin.execute("update robot_brain.sessions set last_active = now() - interval '29 days' where id = 'old'")
        admin.execute("refresh materialized view robot_brain.session_stats")
        assert [one["session_id"] for one in bundle.stats().json["top_sessions"]] == ["old", "new"]
