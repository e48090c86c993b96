"""The soak's check finds each search that contradicts what was acknowledged, and no other."""

from collections.abc import Callable

import pytest

from tests.faults.diary import Diary
from tests.faults.stories import FIRST, PUT2, SECOND, W1, edited, erased, removed

SEARCHES: list[tuple[str, Callable[[Diary], object], str, tuple[tuple[str, int], ...], set[str]]] = [
    ("a turn that was written", lambda diary: diary.write(1), W1, (("s", 1),), set()),
    ("no turn that was written", lambda diary: diary.write(1), W1, (), {"lost"}),
    ("a turn at another place", lambda diary: diary.write(1), W1, (("s", 2),), {"lost"}),
    ("a turn twice", lambda diary: diary.write(1), W1, (("s", 1), ("s", 1)), {"doubled"}),
    ("no turn whose write had no answer", lambda diary: diary.write(status="lost"), W1, (), set()),
    ("a turn that was refused", lambda diary: diary.write(status="409"), W1, (("s", 1),), {"undead"}),
    ("a text that an edit replaced", edited, W1, (("s", 1),), {"undead"}),
    ("no text that an edit replaced", edited, W1, (), set()),
    ("a text that an edit wrote", edited, PUT2, (("s", 1),), set()),
    ("no text that an edit wrote", edited, PUT2, (), {"lost"}),
    ("a turn that was removed", removed, SECOND, (("s", 2),), {"undead"}),
    ("a turn that a removal left", removed, FIRST, (("s", 1),), set()),
    ("a turn of an erased session", erased, W1, (("s", 1),), {"undead"}),
    ("no turn of an erased session", erased, W1, (), set()),
]


@pytest.mark.parametrize(
    ("act", "name", "places", "kinds"), [each[1:] for each in SEARCHES], ids=[s[0] for s in SEARCHES]
)
def test_the_soak_check_judges_each_search(
    act: Callable[[Diary], object], name: str, places: tuple[tuple[str, int], ...], kinds: set[str]
) -> None:
    searched, silent = Diary(), Diary()
    for diary in (searched, silent):
        act(diary)
    searched.search(name, *places)
    # Nothing is stored, so there are other findings, too.
    assert {
        kind for kind in searched.kinds if len(searched.check().by_kind[kind]) > len(silent.check().by_kind[kind])
    } == (kinds)
