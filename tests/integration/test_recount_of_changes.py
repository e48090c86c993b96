"""`make ops DO=recount` finds no difference after edits, removals, erasures and patches, finished or not."""

import random

import psycopg
import pytest

from ops.recount import recount
from tests.integration.recounting import INTERACTION, change, recounted, stored, sums
from tests.support.bundle import Bundle, Json, deployed, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler

# More turns than one step of an erasure takes. A third has no answer, and a fifth has an interaction.
LARGE = """
select robot_brain_api.write_message('local', 'large', (
  select jsonb_agg(
    jsonb_build_object(
      'robot_personality', 'p' || n %% 2, 'user_message', 'q', 'metadata', '{}'::jsonb,
      'robot_response', case when n %% 3 > 0 then 'four' else '' end
    ) || case when n %% 5 = 0 then jsonb_build_object('interaction', %s::jsonb) else '{}' end
  )
  from generate_series(1, 100) n
))
from generate_series(1, 104)
"""
WITH_ROBOT = '{"interaction_type": "x", "duration_ms": 1, "success": true, "robot_id": "r"}'


def erase_step(database: Database) -> str:
    """Take one step of the erasure of the large session. Return its state."""
    with database.admin() as admin:
        row = admin.execute("select robot_brain_api.erase_session('local', 'large')").fetchone()
    assert row is not None
    return str(row[0])


def without_days(rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Return the totals and personalities that are not zero. Days are history."""
    return [row for row in rows if row[0] != "day" and any(row[3:])]


def random_change(dice: random.Random, bundle: Bundle) -> int:
    """Make one random change and return the status of its answer."""
    session = f"s{dice.randrange(4)}"
    fields: Json = {"robot_response": "é🙂x"[: dice.randrange(4)] * dice.randrange(9)}
    if dice.random() < 0.3:
        fields["interaction"] = {**INTERACTION, "robot_id": "r"}
    kind = dice.randrange(9)
    if kind == 0:
        return bundle.erase(session).status
    if kind == 1:
        return bundle.remove(session, dice.randrange(12)).status
    if kind == 2:
        return bundle.patch(session, {"user_metadata": {"n": dice.randrange(3)}}).status
    if kind in (3, 4, 5):
        return bundle.replace(session, dice.randrange(1, 12), {"user_message": "q", **fields}).status
    turns = [turn(robot_personality=dice.choice(["barista", "köchin"]), **fields) for _ in range(dice.randrange(1, 5))]
    return bundle.write(session, {"messages": turns}).status


def test_after_random_changes_and_refreshes_a_recount_finds_no_difference(database: Database) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    dice = random.Random(seed)
    for _ in range(6):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": dice.choice(["red", "blue"])}) as bundle:
            for _ in range(dice.randrange(1, 30)):
                assert random_change(dice, bundle) in (200, 201, 204, 404)
            if dice.random() < 0.6:
                bundle.refresh()
            assert recounted(database, dry_run=True) == []
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        bundle.refresh()
    assert without_days(sums(database)) == without_days(stored(database))


@pytest.mark.parametrize("refreshed", [False, True])
def test_a_recount_between_the_steps_of_an_erasure_finds_no_difference(
    database: Database, bundle: Bundle, refreshed: bool
) -> None:
    with database.admin() as admin:
        admin.execute(LARGE, [WITH_ROBOT])
    bundle.write("small", turn())
    states: list[str] = []
    while not states or states[-1] == "erasing":
        states.append(erase_step(database))
        if refreshed:
            bundle.refresh()
        assert recounted(database, dry_run=True) == []
    # The refresh also takes a step.
    assert states == (["erasing", "erased"] if refreshed else ["erasing", "erasing", "erased"])
    bundle.refresh()
    assert without_days(sums(database)) == without_days(stored(database))


def test_a_recount_in_the_middle_of_an_erasure_corrects_figures_and_the_erasure_goes_on(
    database: Database, bundle: Bundle
) -> None:
    with database.admin() as admin:
        admin.execute(LARGE, [WITH_ROBOT])
    bundle.write("small", turn())
    bundle.refresh()
    change(database, "update robot_brain.personality_stats set unanswered = unanswered + 7, messages = messages + 1")
    steps: list[str] = []

    def go_on(line: str) -> None:
        # A step before each part of the recount reads, and one before it corrects.
        steps.append(line)
        if len(steps) in (1, 3) or line.endswith("correcting"):
            erase_step(database)

    found = [one for tenant in recount(database.direct_url, progress=go_on) for one in tenant]
    assert [(one.figure, one.name, one.was - one.counted) for one in found] == [
        (f"personality {figure}", name, wrong)
        for name in ("barista", "p0", "p1")
        for figure, wrong in (("messages", 1), ("unanswered", 7))
    ]
    bundle.refresh()
    assert without_days(sums(database)) == without_days(stored(database))
    assert recounted(database) == []


def test_a_personality_without_turns_is_no_difference(database: Database, bundle: Bundle) -> None:
    bundle.write("s", turn(robot_response=""))
    bundle.refresh()
    bundle.remove("s", 0)
    bundle.refresh()
    with database.admin() as admin:
        assert rows(admin) == [("barista", 0, 0, 0)]
        assert recounted(database) == []
        # It is deleted with the next correction.
        change(database, "update robot_brain.tenant_stats set messages = 1")
        assert len(recounted(database)) == 1
        assert rows(admin) == []


def rows(admin: psycopg.Connection) -> list[tuple[object, ...]]:
    """Return the sums of the personalities."""
    return admin.execute(
        "select robot_personality, messages, response_length, unanswered from robot_brain.personality_stats"
    ).fetchall()
