"""GET /stats after edits, removals, erasures and patches, before and after a refresh."""

from collections.abc import Iterator

import psycopg
import pytest

from tests.support.bundle import Bundle, Json, turn
from tests.support.figures import compare, keep_history
from tests.support.servers.databases import Database

INTERACTION = {"interaction_type": "x", "duration_ms": 1, "success": True}
ERASE_STEP = "select robot_brain_api.erase_session('local', %s)"
MOVE_A_DAY_BACK = """
update robot_brain.sessions set
  created_at = created_at - interval '1 day', last_active = last_active - interval '1 day',
  active_hour = active_hour - interval '1 day', previous_active = previous_active - interval '1 day'
"""


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    """A superuser's connection to the database, which keeps its history."""
    with database.admin() as admin:
        keep_history(admin)
        yield admin


def replacement(**fields: object) -> Json:
    """Return a body of PUT."""
    return {"user_message": "q", "robot_response": "", **fields}


def figures(bundle: Bundle, admin: psycopg.Connection) -> Json:
    """Return the figures. Assert that they are those of the rows, and stay the same in a refresh."""
    before = bundle.stats().json
    assert compare(admin, "local", refreshed=False, answer=before).wrong == []
    bundle.refresh()
    after: Json = bundle.stats().json
    assert compare(admin, "local", refreshed=True, answer=after).wrong == []
    for member in ("totals", "personalities", "daily"):
        assert before[member] == after[member]
    return after


def today(found: Json) -> tuple[int, int]:
    """Return the sessions and messages of all days, which are all of today."""
    return sum(day["sessions"] for day in found["daily"]), sum(day["messages"] for day in found["daily"])


def test_an_average_is_over_the_turns_that_have_an_answer(bundle: Bundle, admin: psycopg.Connection) -> None:
    bundle.write("s", {"messages": [turn(robot_response=""), turn(robot_response="xxx"), turn(robot_response="")]})
    bundle.write("s", turn(robot_response="xxxx"))
    assert figures(bundle, admin)["personalities"] == [
        {"robot_personality": "barista", "messages": 4, "avg_response_length": 3.5}
    ]
    assert bundle.stats(session_id="s").json["avg_response_length"] == 3.5


def test_an_average_without_an_answer_is_null_until_a_turn_is_completed(
    bundle: Bundle, admin: psycopg.Connection
) -> None:
    def averages() -> list[object]:
        found = figures(bundle, admin)
        assert found["totals"]["messages"] == found["personalities"][0]["messages"] == 1
        return [one["avg_response_length"] for one in (found["personalities"][0], bundle.stats(session_id="s").json)]

    bundle.write("s", turn(robot_response=""))
    assert averages() == [None, None]
    assert bundle.replace("s", 1, replacement(robot_response="four")).status == 200
    assert averages() == [4, 4]
    assert bundle.replace("s", 1, replacement(interaction=INTERACTION)).status == 200
    assert averages() == [None, None]
    assert bundle.stats().json["totals"]["interactions"] == 1


def test_edits_whose_lengths_cancel_out_still_change_the_average(bundle: Bundle, admin: psycopg.Connection) -> None:
    bundle.write("s", {"messages": [turn(robot_response=""), turn(robot_response="four")]})
    bundle.refresh()
    # The refresh below takes both differences at once. Their lengths add up to zero.
    bundle.replace("s", 1, replacement(robot_response="xx"))
    bundle.replace("s", 2, replacement(robot_response="xx"))
    assert figures(bundle, admin)["personalities"][0]["avg_response_length"] == 2


def test_a_removal_changes_totals_and_no_day(bundle: Bundle, admin: psycopg.Connection) -> None:
    bundle.write("s", {"messages": [turn(), turn(interaction=INTERACTION), turn(robot_personality="waiter")]})
    bundle.remove("s", 1)
    found = figures(bundle, admin)
    assert found["totals"] == {"sessions": 1, "messages": 1, "interactions": 0}
    assert [one["robot_personality"] for one in found["personalities"]] == ["barista"]
    assert today(found) == (1, 3)
    assert [one["message_count"] for one in found["top_sessions"]] == [1]
    bundle.remove("s", 0)
    found = figures(bundle, admin)
    assert (found["totals"]["messages"], found["personalities"], found["top_sessions"]) == (0, [], [])
    assert today(found) == (1, 3)
    # The session was counted on this day already.
    bundle.write("s", turn())
    found = figures(bundle, admin)
    assert (found["totals"]["sessions"], today(found)) == (1, (1, 4))


def test_an_erased_session_leaves_the_totals_and_stays_on_its_day(bundle: Bundle, admin: psycopg.Connection) -> None:
    bundle.write("s", {"messages": [turn(interaction=INTERACTION), turn(robot_response="")]})
    bundle.erase("s")
    found = figures(bundle, admin)
    assert found["totals"] == {"sessions": 0, "messages": 0, "interactions": 0}
    assert (found["personalities"], found["top_sessions"], today(found)) == ([], [], (1, 2))
    assert bundle.stats(session_id="s").status == 404
    # Another session of the same id: two sessions were active on this day.
    bundle.write("s", turn())
    assert today(figures(bundle, admin)) == (2, 3)


def test_a_session_without_a_turn_counts_in_the_totals_and_on_no_day(bundle: Bundle, admin: psycopg.Connection) -> None:
    assert bundle.patch("s", {"user_metadata": {"a": 1}}).status == 200
    found = figures(bundle, admin)
    assert found["totals"] == {"sessions": 1, "messages": 0, "interactions": 0}
    assert (found["personalities"], found["top_sessions"], today(found)) == ([], [], (0, 0))
    assert bundle.stats(session_id="s").json == {
        "session_id": "s",
        "message_count": 0,
        "last_message": None,
        "avg_response_length": None,
    }
    bundle.write("s", turn())
    found = figures(bundle, admin)
    assert (found["totals"]["sessions"], today(found)) == (1, (1, 1))
    bundle.remove("s", 0)
    bundle.erase("s")
    found = figures(bundle, admin)
    assert (found["totals"]["sessions"], today(found)) == (0, (1, 1))


@pytest.mark.parametrize("change", ["patch", "replace", "remove"])
def test_a_change_on_a_new_day_does_not_open_that_day(bundle: Bundle, database: Database, change: str) -> None:
    bundle.write("s", {"messages": [turn(), turn()]})
    with database.admin() as admin:
        admin.execute(MOVE_A_DAY_BACK)
        admin.execute("update robot_brain.conversations set created_at = created_at - interval '1 day'")
        admin.execute("update robot_brain.uncounted set day = day - 1")
    if change == "patch":
        bundle.patch("s", {"user_metadata": {"a": 1}})
    elif change == "replace":
        assert bundle.replace("s", 1, replacement()).status == 200
    else:
        bundle.remove("s", 1)
    days = [(day["sessions"], day["messages"]) for day in bundle.stats().json["daily"]]
    assert days[-2:] == [(1, 2), (0, 0)]
    bundle.write("s", turn())
    days = [(day["sessions"], day["messages"]) for day in bundle.stats().json["daily"]]
    assert days[-2:] == [(1, 2), (1, 1)]


def test_a_session_that_is_being_erased_is_unknown_and_its_rows_count_until_they_go(
    bundle: Bundle, admin: psycopg.Connection
) -> None:
    with admin.transaction():
        for _ in range(52):
            write_many(admin, "large", 100)
    write_many(admin, "small", 1)
    bundle.refresh()
    assert admin.execute(ERASE_STEP, ["large"]).fetchone() == ("erasing",)
    assert bundle.stats(session_id="large").status == 404
    before = bundle.stats().json
    assert compare(admin, "local", refreshed=False, answer=before).wrong == []
    assert before["totals"] == {"sessions": 2, "messages": 201, "interactions": 0}
    assert [one["session_id"] for one in before["top_sessions"]] == ["small"]
    assert admin.execute(ERASE_STEP, ["large"]).fetchone() == ("erased",)
    found = figures(bundle, admin)
    assert found["totals"] == {"sessions": 1, "messages": 1, "interactions": 0}
    assert today(found) == (2, 5201)


def write_many(admin: psycopg.Connection, session_id: str, count: int) -> None:
    """Write turns by the SQL function."""
    admin.execute(
        "select robot_brain_api.write_message('local', %s, (select jsonb_agg(jsonb_build_object("
        "'robot_personality', 'barista', 'user_message', 'q', 'robot_response', 'four', 'metadata', '{}'::jsonb))"
        " from generate_series(1, %s)))",
        [session_id, count],
    )
