"""`make recount`: figures that differ from what is stored are found, printed and mended, whatever happens meanwhile."""

import random
import threading
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from local.recount import Difference, recount
from tests.bundle import Bundle, deployed, turn
from tests.integration.recounting import command, finished, recounted, stored, sums, uncounted
from tests.servers.databases import Database

pytestmark = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)

INTERACTION = {"interaction_type": "x", "duration_ms": 1, "success": True}
INTERACTING: dict[str, Any] = {"interaction": INTERACTION}
# Turns of two months that exist nowhere else, so DEFAULT has them. Their days meet where the UTC month changes.
OLD_TURNS = """
insert into robot_brain.conversations
  (tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response)
values
  ('local', 'old', 1, '2001-01-31 23:59:59.999999+00', 'barista', 'q', 'four'),
  ('local', 'old', 2, '2001-02-01 00:00:00+00', 'barista', 'q', 'four'),
  ('local', 'older', 1, '2001-01-31 00:00:00+00', 'barista', 'q', 'four')
"""
OLD_FOUND = [
    Difference("local", "messages", "", 5, 8),
    Difference("local", "day messages", "2001-01-31", 0, 2),
    Difference("local", "day sessions", "2001-01-31", 0, 2),
    Difference("local", "day messages", "2001-02-01", 0, 1),
    Difference("local", "day sessions", "2001-02-01", 0, 1),
    Difference("local", "personality messages", "barista", 3, 6),
    Difference("local", "personality response_length", "barista", 24, 36),
]


@pytest.fixture
def talked(bundle: Bundle, database: Database) -> Database:
    """Two sessions with five turns and an interaction, all counted."""
    bundle.write("long", {"messages": [turn(n) for n in range(3)]})
    bundle.write("short", turn(robot_personality="waiter", robot_response="x" * 4, interaction=INTERACTION))
    bundle.write("short", turn(robot_personality="waiter", robot_response="x" * 6))
    bundle.refresh()
    return database


def change(database: Database, statement: str) -> None:
    """Run a statement that makes the figures wrong, or rows that were not written by the API."""
    with database.admin() as admin:
        admin.execute(statement.encode())


PLANTED: dict[str, tuple[str, list[tuple[str, str, int, int]]]] = {
    "sessions": ("update robot_brain.tenant_stats set sessions = 7", [("sessions", "", 7, 2)]),
    "messages": ("update robot_brain.tenant_stats set messages = messages - 2", [("messages", "", 3, 5)]),
    "interactions": ("update robot_brain.tenant_stats set interactions = 0", [("interactions", "", 0, 1)]),
    "a tenant without its row": (
        "delete from robot_brain.tenant_stats",
        [("interactions", "", 0, 1), ("messages", "", 0, 5), ("sessions", "", 0, 2)],
    ),
    "a personality's messages": (
        "update robot_brain.personality_stats set messages = 9000000000000000000 where robot_personality = 'waiter'",
        [("personality messages", "waiter", 9000000000000000000, 2)],
    ),
    "a personality's lengths": (
        "update robot_brain.personality_stats set response_length = -1 where robot_personality = 'waiter'",
        [("personality response_length", "waiter", -1, 10)],
    ),
    "a personality without its row": (
        "delete from robot_brain.personality_stats where robot_personality = 'waiter'",
        [("personality messages", "waiter", 0, 2), ("personality response_length", "waiter", 0, 10)],
    ),
    "a personality without turns": (
        "insert into robot_brain.personality_stats values ('local', 'nobody', 3, 4)",
        [("personality messages", "nobody", 3, 0), ("personality response_length", "nobody", 4, 0)],
    ),
    "a tenant without turns": (
        "insert into robot_brain.tenant_stats values ('ghost', 1, 2, 3)",
        [("interactions", "", 3, 0), ("messages", "", 2, 0), ("sessions", "", 1, 0)],
    ),
    "a tenant with a personality alone": (
        "insert into robot_brain.personality_stats values ('ghost', 'nobody', 2, 0)",
        [("personality messages", "nobody", 2, 0)],
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_a_figure_that_differs_is_found_and_mended_to_the_row(talked: Database, planted: str) -> None:
    before = sums(talked)
    statement, expected = PLANTED[planted]
    change(talked, statement)
    tenant = "ghost" if "'ghost'" in statement else "local"
    assert recounted(talked) == [Difference(tenant, *difference) for difference in expected]
    assert sums(talked) == before == stored(talked)
    assert recounted(talked) == []


def test_the_command_prints_what_differed_and_mends_it(talked: Database) -> None:
    before = sums(talked)
    change(talked, "update robot_brain.tenant_stats set messages = 4")
    change(talked, "update robot_brain.personality_stats set messages = 4 where robot_personality = 'barista'")
    assert finished(command(talked.direct_url)) == (
        0,
        [
            "'local': messages was 4, counted 5",
            "'local': personality messages 'barista' was 4, counted 3",
            "2 figures differed and are mended (tenants: 1).",
        ],
        "",
    )
    assert sums(talked) == before
    assert finished(command(talked.direct_url)) == (0, ["All figures are right (tenants: 1)."], "")


def test_a_dry_run_prints_what_differs_changes_nothing_and_exits_with_1(talked: Database) -> None:
    change(talked, "update robot_brain.tenant_stats set messages = 4")
    before = sums(talked)
    lines = ["'local': messages was 4, counted 5", "1 figures differ (tenants: 1). Nothing was changed."]
    for _ in range(2):
        assert finished(command(talked.direct_url, ["--dry-run"])) == (1, lines, "")
        assert sums(talked) == before
    recounted(talked)
    assert finished(command(talked.direct_url, ["--dry-run"]))[0] == 0


def test_a_day_without_its_row_gets_one_and_the_others_stay(talked: Database) -> None:
    change(talked, OLD_TURNS)
    with talked.admin() as admin:
        admin.execute("delete from robot_brain.daily_stats where messages = 5")
        admin.execute("insert into robot_brain.daily_stats values ('local', '2001-02-01', 70, 80)")
        admin.execute("insert into robot_brain.daily_stats values ('local', '1999-01-01', 7, 8)")
    recounted(talked)
    # Days are history: more was said on them than is stored.
    wanted = [row for row in stored(talked) if row[2] != "2001-02-01"]
    wanted += [("day", "local", "2001-02-01", 70, 80, 0), ("day", "local", "1999-01-01", 7, 8, 0)]
    found = [row for row in sums(talked) if row[0] == "day"]
    assert found == sorted(row for row in wanted if row[0] == "day")


def test_what_is_not_counted_yet_is_no_difference_and_stays(talked: Database, bundle: Bundle) -> None:
    bundle.write("new", turn(robot_personality="cook", interaction=INTERACTION))
    before = sums(talked), uncounted(talked)
    assert recounted(talked) == []
    assert (sums(talked), uncounted(talked)) == before
    # Of the same day: three of its four writes are counted.
    change(talked, "delete from robot_brain.daily_stats")
    assert [(found.was, found.counted) for found in recounted(talked)] == [(1, 6), (1, 3)]
    assert (sums(talked), uncounted(talked)) == before
    bundle.refresh()
    assert sums(talked) == stored(talked)


def test_turns_removed_from_a_day_that_is_not_counted_yet_make_no_day(talked: Database, bundle: Bundle) -> None:
    change(talked, "delete from robot_brain.daily_stats")
    with talked.admin() as admin:
        # As a removal leaves it: of seven turns of today two are gone, and all are still to be counted.
        admin.execute(
            "insert into robot_brain.uncounted values ('local', (now() at time zone 'UTC')::date, 'barista',"
            " 7, 0, 0, 2, 0), ('local', null, 'barista', -7, 0, 0, 0, 0)"
        )
    assert recounted(talked) == []
    bundle.refresh()
    assert [row[3:] for row in sums(talked) if row[0] == "day"] == [(2, 7, 0)]


def test_each_tenant_gets_its_own_figures(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    for tenant, turns in (("blue", 2), ("red", 3)):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}, monkeypatch) as bundle:
            bundle.write("s", {"messages": [turn()] * turns})
            bundle.refresh()
    change(database, "update robot_brain.tenant_stats set messages = 9")
    assert [str(difference) for difference in recounted(database)] == [
        "'blue': messages was 9, counted 2",
        "'red': messages was 9, counted 3",
    ]
    assert sums(database) == stored(database)


def test_turns_in_default_count(talked: Database) -> None:
    change(talked, OLD_TURNS)
    assert recounted(talked) == OLD_FOUND
    assert sums(talked) == stored(talked)


@pytest.mark.parametrize("moment", ["sessions and interactions", "conversations_default", "a month"])
def test_turns_count_once_if_their_month_is_made_meanwhile(talked: Database, moment: str) -> None:
    if moment == "a month":
        moment = f"conversations_{datetime.now(UTC):%Y_%m}"
    change(talked, OLD_TURNS)
    made: list[object] = []

    def make_months(line: str) -> None:
        # What the recount has read of a table, it holds: then the month is left to a later refresh.
        if line.endswith(moment):
            with talked.admin() as admin:
                while (row := admin.execute("select robot_brain.make_next_month(3)").fetchone()) and row[0]["made"]:
                    made.append(row[0]["made"])

    assert [found for tenant in recount(talked.direct_url, progress=make_months) for found in tenant] == OLD_FOUND
    assert made == ([] if "20" in moment else ["2001-01", "2001-02"])
    assert sums(talked) == stored(talked)


@pytest.mark.parametrize("refreshed", [False, True])
def test_writes_and_refreshes_between_the_steps_are_not_counted_twice(
    talked: Database, bundle: Bundle, refreshed: bool
) -> None:
    change(talked, "delete from robot_brain.tenant_stats")
    change(talked, "delete from robot_brain.daily_stats")
    change(talked, "update robot_brain.personality_stats set messages = 1000")
    steps: list[str] = []

    def go_on(line: str) -> None:
        steps.append(line)
        if len(steps) == 1:
            return  # before the snapshot
        bundle.write(f"s{len(steps)}", turn(robot_personality=f"p{len(steps) % 3}", interaction=INTERACTION))
        if refreshed:
            assert "as_of" in bundle.refresh()

    found = [str(one) for tenant in recount(talked.direct_url, progress=go_on) for one in tenant]
    assert any("'barista' was 1000, counted 3" in line for line in found)
    assert any("'waiter' was 1000, counted 2" in line for line in found)
    assert steps[-1] == "'local': mending"
    bundle.refresh()
    assert sums(talked) == stored(talked)


def test_writers_and_refreshers_beside_many_recounts_lose_nothing(
    talked: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def go_on(statement: str, most: int) -> None:
        try:
            with psycopg.connect(talked.app_url, autocommit=True, prepare_threshold=None) as connection:
                for number in range(most):
                    connection.execute(statement.encode(), {"session": f"s{number % 7}"})
                    if done.is_set():
                        return
        except BaseException as error:
            failures.append(error)

    write = """
        select robot_brain_api.write_message('local', %(session)s, json_build_array(json_build_object(
          'robot_personality', 'barista', 'user_message', 'q', 'robot_response', 'four', 'metadata', '{}'::json
        ))::jsonb)
    """
    refresh = "select robot_brain_api.refresh_stats(0)"
    threads = [threading.Thread(target=go_on, args=(statement, 4000)) for statement in (write, write, refresh)]
    for thread in threads:
        thread.start()
    try:
        for round_ in range(8):
            change(talked, f"update robot_brain.tenant_stats set messages = messages + {round_ % 2}")
            found = recounted(talked)
            assert [(one.figure, one.was - one.counted) for one in found] == [("messages", 1)] * (round_ % 2)
    finally:
        done.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    with deployed({"DATABASE_URL": talked.app_url}, monkeypatch) as bundle:
        bundle.refresh()
    assert sums(talked) == stored(talked)


def test_after_random_writes_and_refreshes_nothing_differs(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(6):
        tenant = dice.choice(["red", "blue", "green"])
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}, monkeypatch) as bundle:
            for _ in range(dice.randrange(1, 8)):
                turns = [
                    turn(
                        robot_personality=dice.choice(["barista", "waiter", "köchin"]),
                        robot_response="é🙂x"[: dice.randrange(4)] * dice.randrange(9),
                        **INTERACTING if dice.random() < 0.3 else {},
                    )
                    for _ in range(dice.randrange(1, 6))
                ]
                bundle.write(f"s{dice.randrange(4)}", {"messages": turns})
            if dice.random() < 0.6:
                bundle.refresh()
            assert recounted(database, dry_run=True) == []
            assert recounted(database) == []
    with deployed({"DATABASE_URL": database.app_url}, monkeypatch) as bundle:
        bundle.refresh()
    assert sums(database) == stored(database)


def test_the_next_refresh_makes_the_view_anew(talked: Database, bundle: Bundle) -> None:
    change(talked, "update robot_brain.sessions set message_count = 40 where id = 'short'")
    bundle.refresh()
    assert bundle.stats().json["top_sessions"][0]["session_id"] == "long"
    recounted(talked, dry_run=True)
    bundle.refresh()
    assert bundle.stats().json["top_sessions"][0]["session_id"] == "long"
    recounted(talked)
    bundle.refresh()
    assert bundle.stats().json["top_sessions"][0]["session_id"] == "short"


@pytest.fixture
def settings_of_another_taste(talked: Database) -> Database:
    """Values that change how moments and numbers become text, and that hide the rows of other tenants."""
    with talked.admin() as admin:
        for setting in (
            "timezone = 'Pacific/Kiritimati'",
            "datestyle = 'German, DMY'",
            "row_security = off",
            "search_path = 'public'",
            "client_encoding = 'LATIN1'",
            "default_transaction_isolation = 'serializable'",
        ):
            admin.execute(f"alter database {talked.name} set {setting}".encode())
    return talked


def test_no_setting_of_the_database_changes_what_is_found(settings_of_another_taste: Database) -> None:
    change(settings_of_another_taste, OLD_TURNS)
    assert recounted(settings_of_another_taste) == OLD_FOUND
    assert recounted(settings_of_another_taste) == []
