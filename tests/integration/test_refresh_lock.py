"""The lock of a refresh keeps refreshes apart. It delays neither pg_dump nor a refresh of the release before."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.integration.recounting import stored, sums
from tests.integration.refresh_state import REFRESH_LOCK, make_old, uncounted
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler

# count_uncounted as it was before version 6, under an advisory lock.
_BEFORE = """
do $do$
begin
  execute replace(
    replace(
      pg_get_functiondef('robot_brain.count_uncounted'::regproc),
      'robot_brain.count_uncounted',
      'robot_brain.counted_before'
    ),
    'robot_brain.refresh_lock(p_wait => p_if_older is null)',
    '(select true from pg_advisory_xact_lock(hashtextextended(''robot_brain.refresh_stats'', 0)))'
  );
end
$do$
"""


@pytest.mark.parametrize("end", ["commit", "rollback"])
def test_a_refresh_of_the_release_before_and_one_of_this_release_count_each_row_once(
    bundle: Bundle, database: Database, end: str
) -> None:
    """A refresh that began before a migration holds an advisory lock, which the next one does not take."""
    with database.admin() as old:
        old.execute(_BEFORE)
        row = old.execute("select prosrc from pg_proc where proname = 'counted_before'").fetchone()
        assert row is not None
        assert "pg_advisory_xact_lock" in row[0]
        bundle.write("s", {"messages": [turn(n) for n in range(3)]})
        old.execute("begin")
        old.execute("select robot_brain.counted_before(null)")
        bundle.write("s", turn())
        with ThreadPoolExecutor() as pool, database.app() as new:
            counting = pool.submit(
                lambda: new.execute("select body::json from robot_brain_api.refresh_stats()").fetchone()
            )
            wait_for_waiter(old)
            bundle.write("t", turn())
            old.execute(end.encode())
            # The refresh saw the rows of four turns. If the other one committed, it counted those of three.
            assert counting.result(120) == ({"counted": 1 if end == "commit" else 2},)
    assert uncounted(database) == 1
    assert bundle.refresh()["counted"] == 1
    assert sums(database) == stored(database)


def test_a_dump_and_a_row_of_the_state_do_not_wait_for_the_lock_of_a_refresh(database: Database) -> None:
    with database.admin() as refreshing, database.admin() as other, refreshing.transaction(), other.transaction():
        refreshing.execute(REFRESH_LOCK)
        # pg_dump takes this lock on each table.
        other.execute("lock table robot_brain.refresh_state in access share mode nowait")
        other.execute("set local lock_timeout = '1ms'")
        other.execute("update robot_brain.refresh_state set view_due = true")


def test_a_reader_beside_vacuum_or_analyze_of_the_state_gets_exact_figures_at_once(
    bundle: Bundle, database: Database
) -> None:
    make_old(database)
    bundle.write("s", turn())
    with database.admin() as analyzing, analyzing.transaction():
        analyzing.execute("analyze robot_brain.refresh_state")
        answer = bundle.stats()
        assert (answer.status, answer.json["totals"]["messages"], answer.json["top_sessions"]) == (200, 1, [])
    assert len(bundle.stats().json["top_sessions"]) == 1


def test_a_refresh_that_waits_for_another_one_has_no_transaction_id(database: Database) -> None:
    with database.admin() as holder, database.app() as waiting, ThreadPoolExecutor() as pool:
        with holder.transaction():
            holder.execute(REFRESH_LOCK)
            done = pool.submit(waiting.execute, "select robot_brain_api.refresh_stats()")
            pid = wait_for_waiter(holder)
            assert holder.execute(
                "select count(*) from pg_locks where pid = %s and locktype = 'transactionid'", [pid]
            ).fetchone() == (0,)
        done.result(120)
