"""The longest sessions of GET /stats: only sessions that exist and have turns, found by their index."""

import psycopg
import pytest

from tests.support.plans import rows_read
from tests.support.servers.databases import Database

STATS = "select body from robot_brain_api.stats('local')"
TOP = "select body::json -> 'top_sessions' from robot_brain_api.stats('local')"
# Session n has n turns.
SESSIONS = """
insert into robot_brain.sessions (
  tenant_id, id, created_at, last_active, active_hour, message_count, response_length, answer_bytes
)
select 'local', 's' || n, now() - interval '1 hour', now(), date_bin('1 hour', now(), to_timestamp(0)), n, 9, 9
from generate_series(%s::integer, %s) n
"""
REFRESH_VIEW = "select robot_brain_api.refresh_view()"


def fill(admin: psycopg.Connection, first: int, last: int) -> None:
    """Make sessions `s<first>` to `s<last>`, which have as many turns as their names say, and refresh the view."""
    admin.execute(SESSIONS, [first, last])
    admin.execute(REFRESH_VIEW)


def top(admin: psycopg.Connection) -> list[tuple[str, int]]:
    """Return the longest sessions with their lengths."""
    row = admin.execute(TOP).fetchone()
    assert row is not None
    return [(one["session_id"], one["message_count"]) for one in row[0]]


def test_a_session_without_a_turn_is_never_among_the_longest(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        fill(admin, 0, 2)
        assert top(admin) == [("s2", 2), ("s1", 1)]


def test_a_session_that_is_being_erased_leaves_the_longest_at_once(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        fill(admin, 1, 12)
        admin.execute("update robot_brain.sessions set erasing_at = now() where id = 's12'")
        assert top(admin) == [(f"s{n}", n) for n in range(11, 1, -1)]
        admin.execute(REFRESH_VIEW)
        assert admin.execute("select count(*) from robot_brain.session_stats").fetchone() == (11,)


def test_an_erased_session_leaves_the_longest_at_once(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        fill(admin, 1, 12)
        admin.execute("delete from robot_brain.sessions where id = 's12'")
        assert top(admin) == [(f"s{n}", n) for n in range(11, 1, -1)]


def test_a_session_made_after_an_erasure_does_not_have_the_length_of_the_erased_one(
    embedded_database: Database,
) -> None:
    with embedded_database.admin() as admin:
        fill(admin, 1, 3)
        admin.execute("delete from robot_brain.sessions where id = 's3'")
        admin.execute(SESSIONS, [3, 3])
        assert top(admin) == [("s2", 2), ("s1", 1)]
        admin.execute(REFRESH_VIEW)
        assert top(admin) == [("s3", 3), ("s2", 2), ("s1", 1)]


def test_the_longest_sessions_have_the_length_that_they_had_at_the_refresh(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        fill(admin, 1, 3)
        admin.execute("update robot_brain.sessions set message_count = 9 where id = 's1'")
        assert top(admin) == [("s3", 3), ("s2", 2), ("s1", 1)]


@pytest.mark.parametrize("analyzed", [True, False])
def test_the_longest_sessions_are_found_by_their_index(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        for table in ("sessions", "session_stats"):
            admin.execute(f"alter table robot_brain.{table} set (autovacuum_enabled = off)".encode())
        fill(admin, 1, 5000)
        admin.execute("update robot_brain.sessions set erasing_at = now() where message_count > 4995")
        if analyzed:
            admin.execute("analyze robot_brain.sessions, robot_brain.session_stats")
        # More often than PL/pgSQL plans a statement again before it considers a generic plan.
        for _ in range(8):
            # Ten sessions and five that are being erased. PostgreSQL sorts ties in groups of at least 32.
            assert 0 < rows_read(admin, STATS, (), "session_stats") <= (140 if analyzed else 5000)
            assert 0 < rows_read(admin, STATS, (), "sessions") <= 40
        assert top(admin) == [(f"s{n}", n) for n in range(4995, 4985, -1)]
