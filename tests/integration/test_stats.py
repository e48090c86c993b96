"""GET /stats and the refresh behind it."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from tests.support.bundle import Bundle, deployed, event, turn
from tests.support.servers.databases import Database


def test_before_the_first_write_everything_is_zero_and_as_of_is_not_null(bundle: Bundle) -> None:
    figures = bundle.call("stats", event("stats")).json
    assert set(figures) == {"as_of", "age_seconds", "totals", "personalities", "daily", "top_sessions"}
    assert figures["as_of"].endswith("Z")
    assert figures["totals"] == {"sessions": 0, "messages": 0, "interactions": 0}
    assert (figures["personalities"], figures["top_sessions"]) == ([], [])


@pytest.mark.parametrize("refreshed", [False, True])
def test_written_turns_are_in_the_figures_before_and_after_a_refresh(bundle: Bundle, refreshed: bool) -> None:
    bundle.write("long", {"messages": [turn(n, robot_response="x" * 10) for n in range(3)]})
    bundle.write("short", turn(robot_personality="waiter", robot_response="x" * 4))
    bundle.write("short", turn(interaction={"interaction_type": "x", "duration_ms": 1, "success": True}))
    as_of = bundle.refresh()["as_of"] if refreshed else None
    figures = bundle.stats().json
    assert as_of is None or figures["as_of"] == as_of
    assert figures["age_seconds"] >= 0
    assert figures["totals"] == {"sessions": 2, "messages": 5, "interactions": 1}
    assert figures["personalities"] == [
        {"robot_personality": "barista", "messages": 4, "avg_response_length": 9.5},
        {"robot_personality": "waiter", "messages": 1, "avg_response_length": 4},
    ]
    top = [(one["session_id"], one["message_count"]) for one in figures["top_sessions"]]
    assert top == ([("long", 3), ("short", 2)] if refreshed else [])
    days = [day["date"] for day in figures["daily"]]
    today = datetime.now(UTC).date()
    assert len(days) == 31
    assert days == sorted(days)
    assert today - timedelta(days=1) <= datetime.fromisoformat(days[-1]).date() <= today
    assert sum(day["messages"] for day in figures["daily"]) == 5
    assert sum(day["sessions"] for day in figures["daily"]) == 2


def test_a_second_refresh_counts_no_turn_twice(bundle: Bundle) -> None:
    for number in range(5):
        bundle.write("s", turn(number))
        bundle.refresh()
        bundle.refresh()
    assert bundle.stats().json["totals"] == {"sessions": 1, "messages": 5, "interactions": 0}


def test_a_session_counts_once_on_each_of_its_days(bundle: Bundle, database: Database) -> None:
    bundle.write("s", {"messages": [turn(), turn()]})
    with database.admin() as admin:
        admin.execute(
            "update robot_brain.sessions set last_active = last_active - interval '3 days',"
            " created_at = created_at - interval '3 days'"
        )
        admin.execute("update robot_brain.uncounted set day = day - 3")
    bundle.write("s", {"messages": [turn(), turn()]})
    bundle.write("s", turn())
    for _ in range(2):
        days = [(day["sessions"], day["messages"]) for day in bundle.stats().json["daily"] if day["messages"]]
        assert days == [(1, 2), (1, 3)]
        bundle.refresh()


def test_the_figures_of_one_session_are_live(bundle: Bundle) -> None:
    bundle.write("demo", turn(robot_response="four"))
    bundle.write("demo", turn(robot_response="sixsix!"))
    figures = bundle.call("stats", event("stats_session"))
    assert figures.status == 200
    last = bundle.read("demo").json["session"]["last_active"]
    assert figures.json == {
        "session_id": "demo",
        "message_count": 2,
        "last_message": last,
        "avg_response_length": 5.5,
    }


def test_an_unknown_session_has_no_figures(bundle: Bundle) -> None:
    assert bundle.stats(session_id="unknown").status == 404


def test_a_refresh_counts_every_tenant_and_stats_shows_one_tenant(database: Database) -> None:
    for tenant, turns in (("red", 2), ("blue", 3)):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
            bundle.write(f"session of {tenant}", {"messages": [turn(robot_personality=tenant)] * turns})
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "green"}) as bundle:
        assert bundle.refresh()["counted"] == 2
        assert bundle.stats().json["totals"]["messages"] == 0
    for tenant, turns in (("red", 2), ("blue", 3)):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
            figures = bundle.stats().json
            assert figures["totals"] == {"sessions": 1, "messages": turns, "interactions": 0}
            assert [one["robot_personality"] for one in figures["personalities"]] == [tenant]
            assert [one["session_id"] for one in figures["top_sessions"]] == [f"session of {tenant}"]
            other = "blue" if tenant == "red" else "red"
            assert bundle.stats(session_id=f"session of {other}").status == 404


def test_a_write_that_commits_during_a_refresh_is_counted_once(bundle: Bundle, database: Database) -> None:
    bundle.write("before", turn())
    with psycopg.connect(database.direct_url) as slow:
        # A refresh cannot see a write that has not committed. The next refresh must.
        slow.execute("set local role robot_brain_owner")
        slow.execute(
            "select robot_brain_api.write_message('local', 'slow', %s, null, null, null, null, false)",
            ['[{"robot_personality":"p","user_message":"","robot_response":"","metadata":{}}]'],
        )
        bundle.refresh()
        assert bundle.stats().json["totals"]["messages"] == 1
        slow.commit()
    bundle.write("after", turn())
    bundle.refresh()
    bundle.refresh()
    assert bundle.stats().json["totals"] == {"sessions": 3, "messages": 3, "interactions": 0}


def test_two_refreshes_at_once_count_each_turn_once(database: Database, bundle: Bundle) -> None:
    bundle.write("s", {"messages": [turn()] * 50})
    failures: list[BaseException] = []

    def refresh() -> None:
        try:
            with psycopg.connect(database.app_url, autocommit=True) as connection:
                connection.execute("select robot_brain_api.refresh_stats(), robot_brain_api.refresh_view()")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=refresh) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert bundle.stats().json["totals"]["messages"] == 50


def test_a_session_without_turns_for_31_days_leaves_the_view_and_keeps_its_figures(
    bundle: Bundle, database: Database
) -> None:
    bundle.write("old", turn())
    bundle.write("new", turn())
    with database.admin() as admin:
        admin.execute("update robot_brain.sessions set last_active = now() - interval '40 days' where id = 'old'")
    bundle.refresh()
    assert [one["session_id"] for one in bundle.stats().json["top_sessions"]] == ["new"]
    assert bundle.stats(session_id="old").json["message_count"] == 1
