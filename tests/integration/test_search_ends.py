"""The end of a search: without a cursor once it has looked at all turns, however long that took."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.search_calls import fill_all, turn, write
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

# No time at all, so it looks at one part of the turns: all that wait for their words, or the newest 300 words.
_FIND = """
select cardinality(f.times), f.has_ended
from robot_brain.find_turns(
  'local', 'coffee', robot_brain.lexeme_query(e'\\x01local'), {}, null, '-infinity', 'infinity', null, null, null,
  20, false, {}
) f
"""
FIND = _FIND.format("null", -1)
# Two seconds for the session's turns.
FIND_OF_SESSION = _FIND.format("'few'", 2000)
WAITS = "select from pg_locks where not granted and relation = 'robot_brain.search_queue'::regclass"


@pytest.mark.parametrize("with_words", [False, True])
def test_a_search_that_has_looked_at_all_turns_has_ended_even_if_its_time_is_over(
    database: Database, with_words: bool
) -> None:
    with database.app() as app:
        write(app, "few", turn("a coffee"), turn("a tea"))
        if with_words:
            fill_all(app)
    with database.admin() as admin:
        assert admin.execute(FIND).fetchone() == (1, True)


def test_a_search_whose_time_is_over_before_it_has_looked_at_all_turns_has_not_ended(database: Database) -> None:
    with database.app() as app:
        for n in range(4):
            write(app, f"many-{n}", *[turn("a tea")] * 100)
        fill_all(app)
    with database.admin() as admin:
        assert admin.execute(FIND).fetchone() == (0, False)


def test_a_part_of_turns_that_wait_is_as_large_as_their_texts_allow(database: Database) -> None:
    """Words of a long text take milliseconds. So a part has few of such turns, and always at least one."""
    with database.app() as app:
        for n in range(3):
            write(app, f"long-{n}", turn("tea " * 25_000))
    with database.admin() as admin:
        assert admin.execute(FIND.replace("'coffee'", "'tea'")).fetchone() == (1, False)


def test_what_delays_the_beginning_of_a_search_takes_no_time_from_its_page(database: Database) -> None:
    """A new connection is such a delay, and here it is a lock. The first part is the last day of the month."""
    with database.app() as app:
        write(app, "few", turn("a coffee"), turn("a tea"))
        fill_all(app)
    with database.admin() as admin, database.admin() as locking, ThreadPoolExecutor() as threads:
        with locking.transaction():
            locking.execute("lock table robot_brain.search_queue in access exclusive mode")
            found = threads.submit(lambda: admin.execute(FIND_OF_SESSION).fetchone())
            wait_until(lambda: bool(locking.execute(WAITS).fetchall()))
            time.sleep(2.2)
        assert found.result() == (1, True)
