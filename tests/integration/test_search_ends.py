"""The end of a search: without a cursor once it has looked at all turns, however long that took."""

import pytest

from tests.support.search_calls import fill_all, turn, write
from tests.support.servers.databases import Database

# No time at all, so it looks at one part of the turns: all that wait for their words, or the newest 300 words.
FIND = """
select cardinality(f.times), f.has_ended
from robot_brain.find_turns(
  'local', 'coffee', robot_brain.lexeme_query(e'\\x01local'), null, null, '-infinity', 'infinity', null, null, null,
  20, false, -1
) f
"""


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
