"""`make migrate SEARCH=` switches the search off and on, and gives it another language."""

import json
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from ops.__main__ import main
from ops.errors import MigrationError, UsageError
from ops.migrate import migrate, plan
from tests.support.bundle import Bundle, turn
from tests.support.marks import over_tls, without_pooler
from tests.support.servers.databases import Database
from tests.support.servers.postgres import Postgres
from tests.support.waiting import wait_until

STATE = "select language, filled_from::text, place_seq from robot_brain.search_state"
AMOUNTS = "select (select count(*) from robot_brain.turn_words), (select count(*) from robot_brain.search_queue)"
LANGUAGE = "select robot_brain.search_language()::text"
SWITCH_WAITS = """
select from pg_stat_activity
where datname = current_database() and application_name = 'robot-brain-migrate' and wait_event_type = 'Lock'
"""
WRITE = """
select robot_brain_api.write_message(
  p_tenant_id => 'local', p_session_id => %s, p_messages =>
  '[{"robot_personality": "r", "user_message": "coffee", "robot_response": "v", "metadata": {}}]')
"""
OPEN = (
    WRITE.replace("%s", "'other'"),
    "select robot_brain_api.refresh_stats()",
    "select robot_brain_api.fill_search()",
)


def of(database: Database, question: str) -> tuple[object, ...]:
    with database.admin() as admin:
        return admin.execute(question.encode()).fetchone() or ()


def fill(database: Database) -> None:
    """Make all words."""
    with database.app() as app:
        has_more = True
        while has_more:
            row = app.execute("select body from robot_brain_api.fill_search()").fetchone()
            assert row is not None
            has_more = json.loads(row[0])["has_more"]


def search(database: Database, query: str) -> tuple[int, bool]:
    """Return how many turns the first page of a search has, and whether it looked at all turns."""
    with database.app() as app:
        row = app.execute("select body from robot_brain_api.search('local', %s, 50)", [query]).fetchone()
    assert row is not None
    body = json.loads(row[0])
    return len(body["hits"]), body["page"]["complete"]


def found(database: Database, query: str) -> int:
    """Return how many turns a search finds that looked at all turns. A slow machine cuts pages short."""
    pages = [search(database, query)]

    def is_complete() -> bool:
        pages.append(search(database, query))
        return pages[-1][1]

    wait_until(is_complete)
    return pages[-1][0]


@without_pooler
def test_off_drops_the_words_and_the_queue_and_on_makes_them_again(bundle: Bundle, database: Database) -> None:
    bundle.write("filled", turn(user_message="coffee"))
    bundle.refresh()
    fill(database)
    bundle.write("counted", turn(user_message="coffee"))
    bundle.refresh()
    bundle.write("uncounted", turn(user_message="coffee"))
    assert found(database, "coffee") == 3

    assert migrate(database.direct_url, search="off") == ["functions/robot_brain/search_language"]
    assert of(database, LANGUAGE) == (None,)
    assert of(database, AMOUNTS) == (0, 0)
    with pytest.raises(psycopg.Error) as off:
        search(database, "coffee")
    assert off.value.sqlstate == "RB501"
    bundle.write("off", turn(user_message="coffee"))
    bundle.refresh()
    fill(database)
    assert of(database, AMOUNTS) == (0, 0)

    assert migrate(database.direct_url, search="on") == ["functions/robot_brain/search_language"]
    assert of(database, STATE)[::2] == ("pg_catalog.simple", None)
    bundle.write("on", turn(user_message="coffee"))
    wait_until(lambda: search(database, "coffee") == (1, False))
    bundle.refresh()
    fill(database)
    assert found(database, "coffee") == 5
    assert migrate(database.direct_url, search="on") == []


@without_pooler
def test_another_language_makes_the_words_anew(bundle: Bundle, database: Database) -> None:
    bundle.write("s", turn(user_message="two robots were dancing"))
    bundle.refresh()
    fill(database)
    assert found(database, "robot dances") == 0
    migrate(database.direct_url, search="english")
    assert of(database, LANGUAGE) == ("english",)
    fill(database)
    assert found(database, "robot dances") == 1
    assert migrate(database.direct_url, search="pg_catalog.english") == []
    assert migrate(database.direct_url, search="on") == [], "on leaves the language as it is"
    assert migrate(database.direct_url) == [], "without SEARCH= it stays, too"
    assert of(database, LANGUAGE) == ("english",)


@without_pooler
def test_no_turn_is_lost_between_two_languages_beside_writers(bundle: Bundle, database: Database) -> None:
    written, ended = [0, 0, 0], threading.Event()

    def write(writer: int) -> None:
        with database.app() as app:
            while not ended.is_set():
                app.execute(WRITE, [f"s{writer}"])
                written[writer] += 1

    def fill_beside() -> None:
        with database.app() as app:
            while not ended.is_set():
                app.execute("select robot_brain_api.refresh_stats()")
                app.execute("select robot_brain_api.fill_search()")

    with ThreadPoolExecutor() as threads:
        beside = [threads.submit(fill_beside), *(threads.submit(write, writer) for writer in range(len(written)))]
        try:
            for language in ("off", "on", "english", "off", "german", "simple"):
                before = sum(written)
                wait_until(lambda: sum(written) > before + 10 or any(each.done() for each in beside))  # noqa: B023
                migrate(database.direct_url, search=language)
        finally:
            ended.set()
    for each in beside:
        each.result()
    bundle.refresh()
    fill(database)
    assert of(database, AMOUNTS) == (sum(written), 0)
    assert found(database, "coffee") == 50


@without_pooler
@pytest.mark.parametrize("call", OPEN, ids=["a write", "a refresh", "a filler"])
def test_a_switch_waits_for_a_call_that_is_not_committed(bundle: Bundle, database: Database, call: str) -> None:
    bundle.write("s", turn(user_message="coffee"))
    with database.app() as app, database.admin() as admin, ThreadPoolExecutor() as threads:
        with app.transaction():
            app.execute(call.encode())
            switch = threads.submit(migrate, database.direct_url, search="english")
            wait_until(lambda: switch.done() or admin.execute(SWITCH_WAITS).fetchone() is not None)
            assert not switch.done()
        switch.result()
    bundle.refresh()
    fill(database)
    assert of(database, AMOUNTS) == of(database, "select count(*), 0 from robot_brain.conversations")


def test_a_name_that_the_database_lacks_is_refused_with_those_that_it_has(database: Database) -> None:
    with pytest.raises(UsageError, match=r"^SEARCH= is off, on, .* 'klingon'\. It has: arabic, .*english, .*simple"):
        migrate(database.direct_url, search="klingon")
    with pytest.raises(UsageError, match="SEARCH= is off, on, "):
        plan(database.direct_url, search="")


def test_the_plan_names_the_switch_and_changes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIRECT_DATABASE_URL", database.direct_url)
    assert main(["migrate", "--plan", "--search", "english"]) == 0
    assert capsys.readouterr().out == "would switch the search from pg_catalog.simple to pg_catalog.english\n"
    assert main(["migrate", "--plan", "--search", "on"]) == 0
    assert capsys.readouterr().out == "Nothing to do: the database is up to date.\n"
    assert of(database, LANGUAGE) == ("simple",)


@over_tls
def test_a_switch_says_what_makes_the_words(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "robot_brain.migrate")
    migrate(database.direct_url, search="english")
    assert "switch the search from pg_catalog.simple to pg_catalog.english" in caplog.messages
    assert any("newest first" in line and "make ops DO=refill-search" in line for line in caplog.messages)
    with database.admin() as admin:
        (entry,) = admin.execute(
            "select new_data from robot_brain.audit_logs where table_name = 'files' order by id desc limit 1"
        ).fetchone() or (None,)
    assert entry == {"applied": 1, "migrations": [], "search": "pg_catalog.english"}


@over_tls
def test_a_configuration_of_another_schema_is_named_with_its_schema(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("create schema texts")
        admin.execute("create text search configuration texts.own (copy = pg_catalog.english)")
        with pytest.raises(UsageError):
            migrate(database.direct_url, search="texts.own")
        admin.execute("grant usage on schema texts to robot_brain_search")
        migrate(database.direct_url, search="texts.own")
    assert of(database, LANGUAGE) == ("texts.own",)


@over_tls
def test_a_switch_that_finds_a_table_in_use_changes_nothing_and_says_what_to_do(database: Database) -> None:
    with database.admin() as other, other.transaction():
        other.execute("lock table robot_brain.sessions in access share mode")
        with pytest.raises(MigrationError, match=r"sessions.* run it again"):
            migrate(database.direct_url, search="off")
    assert of(database, LANGUAGE) == ("simple",)


def test_a_new_database_may_begin_without_the_search(empty_cluster: Postgres, make_database: Callable[[], str]) -> None:
    name = make_database()
    migrate(empty_cluster.direct_url(name), search="off")
    with empty_cluster.admin(name) as admin:
        assert admin.execute(STATE.encode()).fetchone() == (None, "-infinity", None)
        assert admin.execute(LANGUAGE.encode()).fetchone() == (None,)
    assert plan(empty_cluster.direct_url(name)) == []
