"""A reader of old figures refreshes the statistics. If the refresh fails, the reader still gets an answer."""

import threading

import pytest

from tests.integration.refresh_state import REFRESH_LOCK, make_old, refreshed_at, uncounted
from tests.integration.test_refresh import emitted
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database


def refreshed_now(database: Database) -> str:
    """Return the server's time in the form of the API."""
    with database.admin() as admin:
        row = admin.execute("select robot_brain.iso_time(clock_timestamp())").fetchone()
    assert row is not None
    return str(row[0])


def test_a_reader_of_old_figures_refreshes_those_of_every_tenant(
    database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    make_old(database)
    for tenant, turns in (("red", 2), ("blue", 3)):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
            bundle.write("s", {"messages": [turn()] * turns})
    capfd.readouterr()
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "red"}) as bundle:
        figures = bundle.stats().json
        assert [one["message_count"] for one in figures["top_sessions"]] == [2]
        assert figures["age_seconds"] < 3600
        assert emitted(capfd)[1]["RefreshesOnReading"] == [1.0]
    moved = refreshed_at(database)
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "blue"}) as bundle:
        assert [one["message_count"] for one in bundle.stats().json["top_sessions"]] == [3]
        assert "RefreshesOnReading" not in emitted(capfd)[1]
    assert refreshed_at(database) == moved


@pytest.mark.parametrize("max_age", ["0", "10000"])
def test_a_reader_does_not_refresh_figures_that_are_young_enough(database: Database, max_age: str) -> None:
    make_old(database)
    with deployed({"DATABASE_URL": database.app_url, "STATS_MAX_AGE": max_age}) as bundle:
        bundle.write("s", turn())
        before = refreshed_at(database)
        figures = bundle.stats().json
        assert (figures["totals"]["messages"], figures["top_sessions"]) == (1, [])
    assert refreshed_at(database) == before


@pytest.mark.parametrize("max_age", ["0", "3600"])
def test_a_reader_refreshes_if_too_many_rows_are_uncounted(embedded_database: Database, max_age: str) -> None:
    with embedded_database.admin() as admin:
        admin.execute(
            "insert into robot_brain.uncounted select 'local', current_date, 'p', 1, 1, 0, 0, 0"
            " from generate_series(1, robot_brain.most_uncounted())"
        )
    environment = {"DATABASE_URL": embedded_database.app_url, "STATS_MAX_AGE": max_age}
    with deployed(environment) as bundle:
        assert bundle.stats().json["totals"]["messages"] == 10_000
        assert uncounted(embedded_database) == 10_000
        bundle.write("s", turn())
        assert bundle.stats().json["totals"]["messages"] == 10_001
    assert uncounted(embedded_database) == 0


def test_a_view_made_by_a_clock_that_was_ahead_counts_as_old(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute("update robot_brain.refresh_state set refreshed_at = now() + interval '1 day'")
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
        figures = bundle.stats().json
        assert (figures["age_seconds"], figures["as_of"] <= refreshed_now(embedded_database)) == (0, True)
        bundle.write("s", turn())
        assert bundle.database_health().json["reasons"] == ["statistics"]
        assert len(bundle.stats().json["top_sessions"]) == 1
        assert bundle.database_health().json["reasons"] == []


def test_the_figures_of_one_session_are_live_and_cause_no_refresh(bundle: Bundle, database: Database) -> None:
    make_old(database)
    bundle.write("s", turn())
    before = refreshed_at(database)
    assert bundle.stats(session_id="s").json["message_count"] == 1
    assert refreshed_at(database) == before


@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
def test_old_figures_take_one_statement_if_no_turn_was_written_since(
    bundle: Bundle, database: Database, written: bool
) -> None:
    make_old(database)
    assert bundle.database_health().status == 200  # opens the connection, which is not to be counted
    if written:
        bundle.write("s", turn())
    with database.admin() as admin:
        admin.execute("create extension pg_stat_statements")
        admin.execute("select pg_stat_statements_reset()")
        assert bundle.stats().json["totals"]["messages"] == int(written)
        calls = admin.execute(
            "select sum(s.calls) from pg_stat_statements s where s.toplevel and s.userid = 'robot_brain_app_a'::regrole"
            " and s.dbid = (select oid from pg_database where datname = current_database())"
        ).fetchone()
    # 30: a first look, seven steps of begin, timeout, step and commit, and the answer.
    assert calls == (30 if written else 1,)


def test_a_reader_does_not_wait_for_a_refresh_that_runs(bundle: Bundle, database: Database) -> None:
    make_old(database)
    bundle.write("s", turn())
    with database.admin() as admin:
        with admin.transaction():
            admin.execute(REFRESH_LOCK)
            old = bundle.stats()
            assert (old.status, old.json["totals"]["messages"], old.json["top_sessions"]) == (200, 1, [])
        assert len(bundle.stats().json["top_sessions"]) == 1


def test_only_one_of_many_readers_counts(bundle: Bundle, database: Database) -> None:
    make_old(database)
    bundle.write("s", {"messages": [turn()] * 50})
    readers = 12
    together = threading.Barrier(readers)
    done: list[object] = []
    failures: list[BaseException] = []

    def read() -> None:
        try:
            with database.app() as connection:
                stats = "select stale from robot_brain_api.stats('local', null, 3600)"
                assert connection.execute(stats).fetchone() == (True,)
                together.wait(60)
                row = connection.execute("select body from robot_brain_api.refresh_stats(3600)").fetchone()
                assert row is not None
                done.append(row[0])
                connection.execute("select robot_brain_api.refresh_view(false)")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(done) == readers
    # The other readers came too late, or found no uncounted row.
    assert set(done) <= {None, '{"counted": 1}', '{"counted": 0}'}
    assert done.count('{"counted": 1}') == 1
    assert bundle.stats().json["totals"] == {"sessions": 1, "messages": 50, "interactions": 0}


@pytest.mark.parametrize("fault", ["it raises", "it takes too long"])
def test_a_refresh_that_fails_costs_the_reader_only_the_longest_sessions(
    bundle: Bundle, database: Database, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    make_old(database)
    bundle.write("s", turn())
    bundle.context.milliseconds = 4_000
    with database.admin() as admin, database.admin() as busy:
        capfd.readouterr()
        if fault == "it raises":
            admin.execute("alter function robot_brain.count_uncounted rename to gone")
            old = bundle.stats()
            admin.execute("alter function robot_brain.gone rename to count_uncounted")
        else:
            with busy.transaction():
                busy.execute("select from robot_brain.refresh_state for update")
                old = bundle.stats()
        logs, metrics = emitted(capfd)
    assert (old.status, old.json["totals"]["messages"], old.json["top_sessions"]) == (200, 1, [])
    assert [line["level"] for line in logs] == ["WARNING", "INFO"]
    assert logs[0]["error"] == ("SchemaOutdatedError" if fault == "it raises" else "DeadlineExceededError")
    assert metrics["RefreshFailures"] == [1.0]
    assert len(bundle.stats().json["top_sessions"]) == 1
