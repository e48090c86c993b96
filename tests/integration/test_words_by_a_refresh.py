"""A refresh makes the words of turns, and /health/database says which turns lack them."""

import psycopg
import pytest

from robot_brain.errors import RobotBrainError
from tests.integration.probes import condition_in, probe, unhurried
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

# More turns than a call of fill_search makes words of.
MANY = 1_050
NO_WORDS: dict[str, object] = {
    "language": "simple", "queued_turns": 0, "oldest_queued_seconds": None, "filled_from": None,
}  # fmt: skip
BREAK = "alter function robot_brain.words_of rename to gone"
MEND = "alter function robot_brain.gone rename to words_of"

pytestmark = without_pooler


def write_many(bundle: Bundle, turns: int = MANY) -> None:
    for session in range(0, turns, 50):
        body = {"messages": [turn(n) for n in range(min(50, turns - session))]}
        assert bundle.write(f"s{session}", body).status == 201


def words(admin: psycopg.Connection) -> tuple[int, int]:
    """Return the number of turns that have words, and of those in the queue."""
    row = admin.execute(
        "select (select count(*)::int from robot_brain.turn_words),"
        " (select coalesce(sum(to_seq - from_seq + 1), 0)::int from robot_brain.search_queue)"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_the_schedule_makes_words_until_no_turn_lacks_them(bundle: Bundle, database: Database) -> None:
    write_many(bundle)
    assert bundle.refresh()["words_made"] == MANY
    with database.admin() as admin:
        assert words(admin) == (MANY, 0)
    assert bundle.refresh()["words_made"] == 0


def test_the_schedule_goes_back_through_months_that_have_no_words(bundle: Bundle, database: Database) -> None:
    write_many(bundle)
    bundle.refresh()
    with database.admin() as admin:
        admin.execute("truncate robot_brain.turn_words")
        admin.execute("update robot_brain.search_state set filled_from = clock_timestamp()")
        assert bundle.database_health().json["search"]["filled_from"].endswith("Z")
        assert bundle.refresh()["words_made"] >= MANY
        assert words(admin) == (MANY, 0)
    assert bundle.database_health().json["search"] == NO_WORDS


def test_a_reader_of_statistics_makes_the_words_of_some_turns(database: Database) -> None:
    with unhurried({"DATABASE_URL": database.app_url, "STATS_MAX_AGE": "60"}) as functions:
        write_many(functions)
        with database.admin() as admin:
            admin.execute("update robot_brain.refresh_state set refreshed_at = refreshed_at - interval '61 seconds'")
            assert functions.stats().status == 200
            assert words(admin) == (1_000, 50)


def test_a_filler_that_fails_stops_no_other_step_and_the_next_refresh_makes_the_words(
    bundle: Bundle, database: Database
) -> None:
    write_many(bundle, 2)
    with database.admin() as admin:
        admin.execute(BREAK)
        with pytest.raises(RobotBrainError):
            bundle.refresh()
        assert bundle.stats().json["totals"]["messages"] == 2
        assert words(admin) == (0, 2)
        admin.execute(MEND)
        assert bundle.refresh()["words_made"] == 2
        assert words(admin) == (2, 0)


def test_a_refresh_of_a_database_without_the_search_makes_no_words(bundle: Bundle, database: Database) -> None:
    """Rows of the queue are left, as after a restore of some tables."""
    with database.admin() as admin:
        admin.execute(
            "insert into robot_brain.search_queue (tenant_id, session_id, from_seq, to_seq, day)"
            " values ('local', 's', 1, 1, current_date)"
        )
        admin.execute(
            "create or replace function robot_brain.search_language() returns regconfig language sql immutable"
            " return null::regconfig"
        )
        bundle.write("s", turn())
        assert bundle.refresh()["words_made"] == 0
        assert bundle.database_health().json["search"]["language"] is None


# Rows of the queue, their age in hours, and whether the search is behind.
QUEUED: dict[str, tuple[int, int, bool]] = {
    "many turns for long": (11, 3, True),
    "many turns for a while": (11, 1, False),
    "few turns for long": (10, 3, False),
}


@pytest.mark.parametrize("name", QUEUED)
def test_health_is_degraded_if_many_turns_are_queued_for_long(database: Database, name: str) -> None:
    rows, hours, is_behind = QUEUED[name]
    with unhurried({"DATABASE_URL": database.app_url, "STATS_MAX_AGE": "7200"}) as functions:
        with database.admin() as admin:
            admin.execute(
                "insert into robot_brain.search_queue (tenant_id, session_id, from_seq, to_seq, day, queued_at)"
                " select 'local', 's' || n, 1, 100, current_date, now() - make_interval(hours => %s)"
                " from generate_series(1, %s) n",
                [hours, rows],
            )
        reply = probe(functions)
        assert condition_in(reply) == (200, *(("degraded", ["search"]) if is_behind else ("healthy", [])))
        assert reply.json["search"]["queued_turns"] == rows * 100
        assert reply.json["search"]["oldest_queued_seconds"] // 3600 == hours
        functions.refresh()
        reply = probe(functions)
        assert condition_in(reply) == (200, "healthy", [])
        assert reply.json["search"] == NO_WORDS


def test_a_filler_beside_another_one_waits_for_the_schedule_and_not_for_a_reader(
    bundle: Bundle, database: Database
) -> None:
    write_many(bundle, 2)
    with database.admin() as admin, database.app() as app:
        app.execute("select robot_brain_api.refresh_stats()")
        with admin.transaction():
            admin.execute("lock table robot_brain.word_filling in share row exclusive mode")
            row = app.execute("select body from robot_brain_api.fill_search(p_wait => false)").fetchone()
            assert row == (None,)
        assert bundle.refresh()["words_made"] == 2
