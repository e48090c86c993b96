"""`make ops DO=recount` during writes, refreshes and new months misses no turn and counts none twice."""

import random
import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from ops.recount import recount
from tests.integration.recounting import INTERACTION, OLD_FOUND, OLD_TURNS, change, recounted, stored, sums
from tests.support.bundle import Bundle, deployed, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler
INTERACTING: dict[str, Any] = {"interaction": INTERACTION}


@pytest.mark.parametrize("moment", ["sessions and interactions", "conversations_default", "a month"])
def test_a_recount_counts_turns_once_if_their_month_is_made_meanwhile(talked: Database, moment: str) -> None:
    if moment == "a month":
        moment = f"conversations_{datetime.now(UTC):%Y_%m}"
    change(talked, OLD_TURNS)
    made: list[str] = []

    def make_months(line: str) -> None:
        # The recount keeps locks on the tables that it has read, so a later refresh makes the month.
        if line.endswith(moment):
            with talked.admin() as admin:
                while (row := admin.execute("select robot_brain.make_next_month(3)").fetchone()) and row[0]["made"]:
                    made.append(row[0]["made"])

    assert [found for tenant in recount(talked.direct_url, progress=make_months) for found in tenant] == OLD_FOUND
    # Each month is made for the turns and for the interactions.
    assert sorted(set(made)) == ([] if "20" in moment else ["2001-01", "2001-02"])
    assert sums(talked) == stored(talked)


@pytest.mark.parametrize("refreshed", [False, True])
def test_writes_and_refreshes_between_the_steps_of_a_recount_are_not_counted_twice(
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
    assert steps[-1] == "'local': correcting"
    bundle.refresh()
    assert sums(talked) == stored(talked)


def test_writers_and_refreshers_during_many_recounts_lose_no_turn(talked: Database) -> None:
    done = threading.Event()
    failures: list[BaseException] = []

    def go_on(statement: str, most: int) -> None:
        try:
            with talked.app() as connection:
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
    with deployed({"DATABASE_URL": talked.app_url}) as bundle:
        bundle.refresh()
    assert sums(talked) == stored(talked)


def test_after_random_writes_and_refreshes_a_recount_finds_no_difference(database: Database) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(6):
        tenant = dice.choice(["red", "blue", "green"])
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as bundle:
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
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        bundle.refresh()
    assert sums(database) == stored(database)
