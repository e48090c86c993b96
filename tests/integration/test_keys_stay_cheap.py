"""A write with a key reads little more than its own key.

This holds after many keys were cleared, during a long transaction, and without the planner's statistics.
"""

import itertools
import statistics

import psycopg
import pytest

from tests.integration.keys import STEP, clear, expired, fill, keys, never_vacuumed, old_snapshot, touched, write
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

MANY = 24_000
pytestmark = without_pooler


def measure(connection: psycopg.Connection, clearing: bool, name: str) -> tuple[float, float, int]:
    """Return the medians of pages and entries of 30 writes, and the most pages of one write."""
    taken = [touched(connection, key) for key in itertools.islice(keys(clearing, name), 30)]
    pages, entries = zip(*taken, strict=True)
    return statistics.median(pages), statistics.median(entries), max(pages)


@pytest.mark.parametrize("clearing", [False, True], ids=["a write that clears nothing", "a write that clears"])
def test_thousands_of_cleared_keys_slow_no_write_during_a_dump(database: Database, clearing: bool) -> None:
    with database.admin() as admin:
        never_vacuumed(admin)
        fill(admin, MANY, "1 day", "live ")
    with database.admin() as connection:
        without = measure(connection, clearing, "without")
    with old_snapshot(database), database.admin() as admin:
        fill(admin, MANY, "-2 hours")
        while clear(admin, whole=True):
            pass
        assert expired(admin) == 0
        with database.admin() as connection:
            measured = measure(connection, clearing, "with")
    print(f"pages, entries, most pages: without {without}, with {measured}")
    assert measured[0] <= without[0] + 2
    assert measured[1] <= without[1] + 2
    # A write may split a page of an index, or be the first one to read the entries that a clearing left.
    assert measured[2] <= without[2] + 10


def test_steps_that_clear_thousands_of_keys_do_not_grow_during_a_dump(database: Database) -> None:
    with old_snapshot(database), database.admin() as admin:
        never_vacuumed(admin)
        fill(admin, MANY, "-2 hours")
        with database.admin() as connection:
            steps = [touched(connection, key) for key in itertools.islice(keys(clearing=True), MANY // STEP)]
            assert expired(admin) == 0
            after = [touched(connection, key) for key in itertools.islice(keys(True, "after"), 10)]
    print(f"pages, entries: first {steps[0]}, last {steps[-1]}, after them {after[-1]}")
    assert steps[-1][0] <= steps[1][0] * 1.2
    assert steps[-1][1] <= steps[1][1] * 1.2
    assert after[-1][0] <= 40


@pytest.mark.parametrize("kept", [False, True], ids=["a new connection", "plans of a small table"])
@pytest.mark.parametrize("known", ["nothing", "an empty table", "a few keys"])
def test_a_key_is_found_by_its_index_with_any_statistics_of_the_planner(
    database: Database, known: str, kept: bool
) -> None:
    """A restart of the server loses its counters of changed rows, so autovacuum does not notice that the table grew."""
    table = "robot_brain.idempotency_keys"
    with database.admin() as admin, database.admin() as connection:
        never_vacuumed(admin)
        if known == "a few keys":
            fill(admin, 5, "1 day", "few ")
        if known != "nothing":
            admin.execute(f"vacuum analyze {table}".encode())
        if kept:
            for key in (*itertools.islice(keys(False, "early"), 10), *itertools.islice(keys(True, "early"), 10)):
                write(connection, key)
        fill(admin, MANY, "1 day", "live ")
        row = admin.execute("select reltuples::int from pg_class where oid = %s::regclass", [table]).fetchone()
        assert row == ({"nothing": -1, "an empty table": 0, "a few keys": 5}[known],)
        for clearing in (False, True):
            pages, entries, _ = measure(connection, clearing, "late")
            print(f"clearing {clearing}: pages {pages}, entries {entries}")
            assert pages <= 30
            assert entries <= 10
        # A replay is as cheap.
        key = next(keys(False, "late"))
        assert write(connection, key)[1]
        assert touched(connection, key)[0] <= 10


def test_a_write_without_a_key_reads_no_key(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        never_vacuumed(admin)
        fill(admin, 2_000, "-2 hours")
        for _ in range(40):
            assert touched(connection, None) == (0, 0)
        assert expired(admin) == 2_000


def test_a_write_that_clears_nothing_reads_no_expired_key(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        never_vacuumed(admin)
        fill(admin, 2_000, "-2 hours")
        for key in itertools.islice(keys(clearing=False), 20):
            pages, entries = touched(connection, key)
            assert (pages <= 20, entries) == (True, 0)
        assert expired(admin) == 2_000
