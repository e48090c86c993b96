"""`make ops DO=recount` finds, prints and corrects each figure that differs from the stored rows."""

import os

import pytest

from ops.recount import Difference
from tests.integration.recounting import (
    INTERACTION,
    OLD_FOUND,
    OLD_TURNS,
    change,
    command,
    finished,
    recounted,
    stored,
    sums,
    uncounted,
)
from tests.support.bundle import Bundle, deployed, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler

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
    "a personality's unanswered turns": (
        "update robot_brain.personality_stats set unanswered = 3 where robot_personality = 'waiter'",
        [("personality unanswered", "waiter", 3, 1)],
    ),
    "a personality without its row": (
        "delete from robot_brain.personality_stats where robot_personality = 'waiter'",
        [
            ("personality messages", "waiter", 0, 2),
            ("personality response_length", "waiter", 0, 10),
            ("personality unanswered", "waiter", 0, 1),
        ],
    ),
    "a personality without turns": (
        "insert into robot_brain.personality_stats values ('local', 'unknown', 3, 4)",
        [("personality messages", "unknown", 3, 0), ("personality response_length", "unknown", 4, 0)],
    ),
    "a tenant without turns": (
        "insert into robot_brain.tenant_stats values ('ghost', 1, 2, 3)",
        [("interactions", "", 3, 0), ("messages", "", 2, 0), ("sessions", "", 1, 0)],
    ),
    "a tenant with a personality alone": (
        "insert into robot_brain.personality_stats values ('ghost', 'unknown', 2, 0)",
        [("personality messages", "unknown", 2, 0)],
    ),
}


def test_each_figure_that_differs_is_found_and_corrected(talked: Database, subtests: pytest.Subtests) -> None:
    before = sums(talked)
    for planted, (statement, expected) in PLANTED.items():
        with subtests.test(planted):
            change(talked, statement)
            tenant = "ghost" if "'ghost'" in statement else "local"
            assert recounted(talked) == [Difference(tenant, *difference) for difference in expected]
            assert sums(talked) == before == stored(talked)
            assert recounted(talked) == []


def test_the_command_prints_and_corrects_what_differed(talked: Database) -> None:
    before = sums(talked)
    change(talked, "update robot_brain.tenant_stats set messages = 4")
    change(talked, "update robot_brain.personality_stats set messages = 4 where robot_personality = 'barista'")
    assert finished(command(talked.direct_url)) == (
        0,
        [
            "'local': messages was 4, counted 5",
            "'local': personality messages 'barista' was 4, counted 3",
            "Figures that differed and were corrected: 2 (tenants: 1).",
        ],
        "",
    )
    assert sums(talked) == before
    assert finished(command(talked.direct_url)) == (
        0,
        ["Totals and personalities are correct, and no day is missing (tenants: 1)."],
        "",
    )


def test_on_a_terminal_the_recount_prints_a_line_for_each_step(talked: Database) -> None:
    ours, terminal = os.openpty()
    try:
        process = command(talked.direct_url, stderr=terminal)
        assert finished(process)[:2] == (
            0,
            ["Totals and personalities are correct, and no day is missing (tenants: 1)."],
        )
        lines = os.read(ours, 65536).decode().splitlines()
    finally:
        os.close(terminal)
        os.close(ours)
    assert lines[:2] == ["'local': sessions and interactions", "'local': conversations_default"]
    assert len(lines) == 27  # this month and 24 ahead


def test_a_dry_run_of_a_recount_prints_what_differs_changes_nothing_and_exits_with_1(talked: Database) -> None:
    change(talked, "update robot_brain.tenant_stats set messages = 4")
    before = sums(talked)
    lines = ["'local': messages was 4, counted 5", "Figures that differ: 1 (tenants: 1). Nothing was changed."]
    for _ in range(2):
        assert finished(command(talked.direct_url, ["--dry-run"])) == (1, lines, "")
        assert sums(talked) == before
    recounted(talked)
    assert finished(command(talked.direct_url, ["--dry-run"]))[0] == 0


def test_a_day_without_its_row_gets_one_and_other_days_stay(talked: Database) -> None:
    change(talked, OLD_TURNS)
    with talked.admin() as admin:
        admin.execute("delete from robot_brain.daily_stats where messages = 5")
        admin.execute("insert into robot_brain.daily_stats values ('local', '2001-02-01', 70, 80)")
        admin.execute("insert into robot_brain.daily_stats values ('local', '1999-01-01', 7, 8)")
    recounted(talked)
    # Days are history: a day may count more turns than are still stored.
    wanted = [row for row in stored(talked) if row[2] != "2001-02-01"]
    wanted += [("day", "local", "2001-02-01", 70, 80, 0), ("day", "local", "1999-01-01", 7, 8, 0)]
    found = [row for row in sums(talked) if row[0] == "day"]
    assert found == sorted(row for row in wanted if row[0] == "day")


def test_uncounted_rows_are_no_difference_and_stay(talked: Database, bundle: Bundle) -> None:
    bundle.write("new", turn(robot_personality="cook", interaction=INTERACTION))
    before = sums(talked), uncounted(talked)
    assert recounted(talked) == []
    assert (sums(talked), uncounted(talked)) == before
    # All writes are of one day, and three of the four are counted.
    change(talked, "delete from robot_brain.daily_stats")
    assert [(found.was, found.counted) for found in recounted(talked)] == [(1, 6), (1, 3)]
    assert (sums(talked), uncounted(talked)) == before
    bundle.refresh()
    assert sums(talked) == stored(talked)


def test_turns_removed_from_an_uncounted_day_make_no_row_for_it(talked: Database, bundle: Bundle) -> None:
    change(talked, "delete from robot_brain.daily_stats")
    with talked.admin() as admin:
        # As a removal of two of today's seven turns leaves it. All of them are uncounted.
        admin.execute(
            "insert into robot_brain.uncounted values ('local', (now() at time zone 'UTC')::date, 'barista',"
            " 7, 0, 0, 2, 0), ('local', null, 'barista', -7, 0, 0, 0, 0)"
        )
    assert recounted(talked) == []
    bundle.refresh()
    assert [row[3:] for row in sums(talked) if row[0] == "day"] == [(2, 7, 0)]


def test_a_recount_gives_each_tenant_its_own_figures(database: Database) -> None:
    for tenant, turns in (("blue", 2), ("red", 3)):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
            bundle.write("s", {"messages": [turn()] * turns})
            bundle.refresh()
    change(database, "update robot_brain.tenant_stats set messages = 9")
    assert [str(difference) for difference in recounted(database)] == [
        "'blue': messages was 9, counted 2",
        "'red': messages was 9, counted 3",
    ]
    assert sums(database) == stored(database)


def test_a_recount_counts_the_turns_in_default(talked: Database) -> None:
    change(talked, OLD_TURNS)
    assert recounted(talked) == OLD_FOUND
    assert sums(talked) == stored(talked)


def test_the_refresh_after_a_recount_makes_the_view_again(talked: Database, bundle: Bundle) -> None:
    bundle.refresh()
    # The numbers of sessions and turns stay the same, so a refresh alone would not make the view again.
    change(
        talked,
        "update robot_brain.sessions s set message_count = o.message_count from robot_brain.sessions o"
        " where o.id <> s.id and s.id in ('short', 'long') and o.id in ('short', 'long')",
    )
    bundle.refresh()
    assert bundle.stats().json["top_sessions"][0]["session_id"] == "long"
    recounted(talked, dry_run=True)
    bundle.refresh()
    assert bundle.stats().json["top_sessions"][0]["session_id"] == "long"
    recounted(talked)
    bundle.refresh()
    assert bundle.stats().json["top_sessions"][0]["session_id"] == "short"


@pytest.fixture
def with_unusual_settings(talked: Database) -> Database:
    """A database whose settings change the text of times and numbers, and hide the rows of other tenants."""
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


def test_no_setting_of_the_database_changes_what_is_found(with_unusual_settings: Database) -> None:
    change(with_unusual_settings, OLD_TURNS)
    assert recounted(with_unusual_settings) == OLD_FOUND
    assert recounted(with_unusual_settings) == []
