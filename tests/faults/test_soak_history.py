"""The soak's check over journals and rows made by hand: a state that may be has no finding."""

from collections.abc import Callable

import pytest

from tests.faults.diary import Diary
from tests.faults.stories import (
    FIRST,
    PUT2,
    PUT3,
    SECOND,
    W1,
    W2,
    W3,
    edited,
    edited_interaction,
    erased,
    lost_answer,
    patched,
    removed,
    tagged,
)

ALLOWED: list[tuple[str, Callable[[Diary], object], Callable[[Diary], object]]] = [
    ("a removed turn is gone", removed, lambda diary: diary.store({1: FIRST}, removed=1)),
    ("an edited turn has its new text", edited, lambda diary: diary.store({1: PUT2})),
    ("an erased session is unknown", erased, lambda diary: None),
    ("a removal without an answer was done", lost_answer, lambda diary: diary.store({}, removed=2)),
    ("a removal without an answer was not done", lost_answer, lambda diary: diary.store({1: FIRST, 2: SECOND})),
    ("a put that ended with 412 was done", tagged, lambda diary: diary.store({1: PUT2})),
    ("a put that ended with 412 was not done", tagged, lambda diary: diary.store({1: W1})),
    (
        "an edited turn keeps its interaction",
        edited_interaction,
        lambda diary: diary.store({1: PUT2}, interaction="gaze"),
    ),
    (
        "two puts at the same time, and the second one stands",
        lambda diary: (diary.write(1), diary.put(1, began=10, ended=20), diary.put(1, began=15, ended=18)),
        lambda diary: diary.store({1: PUT3}),
    ),
    (
        "two puts at the same time, and the first one stands",
        lambda diary: (diary.write(1), diary.put(1, began=10, ended=20), diary.put(1, began=15, ended=18)),
        lambda diary: diary.store({1: PUT2}),
    ),
    (
        "an erasure and a write at the same time, and the write came later",
        lambda diary: (diary.erase(began=5, ended=9), diary.write(1, began=6, ended=7)),
        lambda diary: diary.store({1: W2}),
    ),
    (
        "an erasure and a write at the same time, and the erasure came later",
        lambda diary: (diary.erase(began=5, ended=9), diary.write(1, began=6, ended=7)),
        lambda diary: None,
    ),
    (
        "a namesake of an erased session begins with seq 1",
        lambda diary: (erased(diary), diary.write(1)),
        lambda diary: diary.store({1: W3}),
    ),
    (
        "a write whose first attempt failed before an erasure gets a seq of the erased session",
        lambda diary: (
            diary.write(1, began=1, ended=20),
            diary.write(1, began=2, ended=3),
            diary.erase(began=10, ended=11),
        ),
        lambda diary: diary.store({1: W1}),
    ),
    (
        "a namesake is shorter than a session that lost turns",
        lambda diary: (diary.write(1, 2, 3), diary.remove(2, last_seq=3), diary.erase(), diary.write(1)),
        lambda diary: diary.store({1: "c01-000004.0"}),
    ),
    (
        "a removal by last seq cannot take a later turn",
        lambda diary: (diary.write(1), diary.remove(0, "lost", match="1"), diary.write(2)),
        lambda diary: diary.store({2: W3}, removed=1),
    ),
    (
        "a removal spares the turn that was written at the same time and has a higher seq",
        lambda diary: (diary.write(1), diary.remove(0, last_seq=1, began=5, ended=9), diary.write(2, began=6, ended=7)),
        lambda diary: diary.store({2: W3}, removed=1),
    ),
    (
        "a key that answered 410 belongs to a write that was erased",
        lambda diary: diary.write(status="410"),
        lambda diary: None,
    ),
    ("a refused write is nowhere", lambda diary: diary.write(status="409"), lambda diary: None),
    ("a write without an answer is nowhere", lambda diary: diary.write(status="lost", turns=2), lambda diary: None),
    (
        "a write without an answer is there, but for the turn that was removed",
        lambda diary: (diary.write(status="lost", turns=2), diary.remove(1)),
        lambda diary: diary.store({1: FIRST}, removed=1),
    ),
    (
        "an erasure repeated after a lost answer finds nothing",
        lambda diary: (diary.write(1), diary.erase("lost", "404")),
        lambda diary: None,
    ),
    (
        "an unanswered first attempt of an erasure took a namesake",
        lambda diary: (diary.write(1), diary.erase("lost", "204"), diary.write(1)),
        lambda diary: None,
    ),
    ("the last patch of a member is there", patched, lambda diary: diary.store({}, members={"c01": W2})),
    ("a patch went with its session", lambda diary: (diary.patch(), diary.erase()), lambda diary: None),
    (
        "a page and a list show what there is",
        lambda diary: (diary.write(1), diary.page(1, None, {1: W1}, count=1), diary.walk("s")),
        lambda diary: diary.store({1: W1}),
    ),
    (
        "a page and a list do not show an erased session",
        lambda diary: (erased(diary), diary.page(1, None, {}, tag=None), diary.walk()),
        lambda diary: None,
    ),
    (
        "a list has a session and its namesake, which was made under a clock that stepped back",
        lambda diary: (
            diary.write(1),
            diary.erase(began=2, ended=3),
            diary.write(1, began=4, ended=5),
            diary.walk("s", "s", began=1.5, ended=6),
        ),
        lambda diary: diary.store({1: W3}),
    ),
    (
        "a list is without a session that was written meanwhile",
        lambda diary: (diary.write(1), diary.walk(), diary.write(2, began=2.5, ended=9)),
        lambda diary: diary.store({1: W1, 2: W3}),
    ),
]


@pytest.mark.parametrize(("story", "store"), [each[1:] for each in ALLOWED], ids=[each[0] for each in ALLOWED])
def test_the_soak_check_allows(story: Callable[[Diary], object], store: Callable[[Diary], object]) -> None:
    diary = Diary()
    story(diary)
    store(diary)
    assert diary.check().all == []
