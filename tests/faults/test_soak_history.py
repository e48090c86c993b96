"""The soak's check over journals and rows made by hand: each state that may be has no finding, each other one has."""

from collections.abc import Callable

import pytest

from tests.faults.diary import Diary
from tests.soak.records import Act

W1, W2, W3 = "c01-000001.0", "c01-000002.0", "c01-000003.0"
PUT2, PUT3 = W2, W3  # the text of a put has the id of its request, as a turn of a write has


def removed(diary: Diary) -> Act:
    """Two turns, and the second is removed."""
    diary.write(1, 2)
    return diary.remove(1, last_seq=2)


def edited(diary: Diary) -> Act:
    """One turn, which was replaced."""
    diary.write(1)
    return diary.put(1)


def erased(diary: Diary) -> Act:
    """One turn in a session that was erased."""
    diary.write(1)
    return diary.erase()


def lost_answer(diary: Diary) -> Act:
    """Two turns, and a removal of both that got no answer."""
    diary.write(1, 2)
    return diary.remove(0, "lost")


def tagged(diary: Diary) -> Act:
    """One turn, and a PUT with a whole tag whose first answer was lost, and whose second was 412."""
    diary.write(1)
    return diary.put(1, "lost", "412", match="1.a")


def patched(diary: Diary) -> Act:
    """Two patches of one member."""
    diary.patch()
    return diary.patch()


def edited_interaction(diary: Diary) -> Act:
    """A turn with an interaction, which a put kept."""
    diary.write(1, interaction="gaze")
    return diary.put(1)


FIRST, SECOND = "c01-000001.0", "c01-000001.1"  # the turns of a first write of two

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
        "a list is without a session that was written meanwhile",
        lambda diary: (diary.write(1), diary.walk(), diary.write(2, began=2.5, ended=9)),
        lambda diary: diary.store({1: W1, 2: W3}),
    ),
]

FOUND: list[tuple[str, Callable[[Diary], object], Callable[[Diary], object], set[str]]] = [
    ("a removed turn is there", removed, lambda diary: diary.store({1: FIRST, 2: SECOND}), {"undead"}),
    ("a turn below the removed ones is gone", removed, lambda diary: diary.store({}, removed=2), {"lost", "gaps"}),
    ("an edited turn has its old text", edited, lambda diary: diary.store({1: W1}), {"undead", "lost_edits"}),
    ("an erased turn is there", erased, lambda diary: diary.store({1: W1}), {"undead"}),
    ("an erased session is there without a turn", erased, lambda diary: diary.store({}), {"undead"}),
    (
        "an erased turn is left in another table",
        erased,
        lambda diary: diary.traces.update({W1: ["idempotency_keys"]}),
        {"undead"},
    ),
    (
        "an erased session's name is left in another table",
        erased,
        lambda diary: diary.traces.update({"soak-s": ["session_stats"]}),
        {"undead"},
    ),
    (
        "an interaction is left without its turn",
        removed,
        lambda diary: diary.store({1: FIRST}, removed=1, orphans=["s 2"]),
        {"undead"},
    ),
    (
        "a session is still marked for erasure",
        lambda diary: (diary.write(1), diary.erase("202")),
        lambda diary: diary.store({}, removed=1, erasing=True),
        {"undead"},
    ),
    (
        "a removal without an answer took one of two",
        lost_answer,
        lambda diary: diary.store({1: FIRST}, removed=1),
        {"half_batches"},
    ),
    (
        "a put that ended with 412 was seen, and is not there",
        lambda diary: (tagged(diary), diary.page(1, 1, {1: PUT2}, count=1)),
        lambda diary: diary.store({1: W1}),
        {"undead", "lost_edits"},
    ),
    (
        "a put that was refused is there",
        lambda diary: (diary.write(1), diary.put(1, "422")),
        lambda diary: diary.store({1: PUT2}),
        {"strangers", "lost"},
    ),
    (
        "the older of two puts is there",
        lambda diary: (edited(diary), diary.put(1)),
        lambda diary: diary.store({1: PUT2}),
        {"undead", "lost_edits"},
    ),
    ("an edited turn lost its interaction", edited_interaction, lambda diary: diary.store({1: PUT2}), {"lost_edits"}),
    (
        "two puts were done on one tag",
        lambda diary: (diary.write(1), diary.put(1, match="1.a", tag="1.b"), diary.put(1, match="1.a", tag="1.c")),
        lambda diary: diary.store({1: PUT3}),
        {"lost_edits"},
    ),
    (
        "a key that answered 410 wrote its turn again",
        lambda diary: diary.write(status="410"),
        lambda diary: diary.store({1: W1}),
        {"undead"},
    ),
    ("a refused write is there", lambda diary: diary.write(status="409"), lambda diary: diary.store({1: W1}),
     {"strangers"}),
    (
        "the seq of a removed turn was used again",
        lambda diary: (removed(diary), diary.write(2)),
        lambda diary: diary.store({1: FIRST, 2: W3}),
        {"gaps", "undead"},
    ),
    (
        "a removal took a turn that was written at the same time and has a higher seq",
        lambda diary: (diary.write(1), diary.remove(0, last_seq=1, began=5, ended=9), diary.write(2, began=6, ended=7)),
        lambda diary: diary.store({}, removed=2),
        {"lost"},
    ),
    (
        "a turn that was removed is read",
        lambda diary: (removed(diary), diary.page(1, None, {1: FIRST, 2: SECOND}, count=2)),
        lambda diary: diary.store({1: FIRST}, removed=1),
        {"undead"},
    ),
    (
        "a turn that is there is not read",
        lambda diary: (diary.write(1, 2), diary.page(1, 2, {1: FIRST}, count=2)),
        lambda diary: diary.store({1: FIRST, 2: SECOND}),
        {"misread"},
    ),
    (
        "a session that is there is unknown to a reader",
        lambda diary: (diary.write(1), diary.page(1, None, {}, tag=None)),
        lambda diary: diary.store({1: W1}),
        {"misread"},
    ),
    (
        "an edit is read at another seq",
        lambda diary: (diary.write(1, 2), diary.put(1), diary.page(2, 2, {2: PUT2}, count=2)),
        lambda diary: diary.store({1: PUT2, 2: SECOND}),
        {"misread"},
    ),
    (
        "one tag stands for two states",
        lambda diary: (
            diary.write(1),
            diary.page(1, 1, {1: W1}, count=1, tag="1.a"),
            diary.put(1),
            diary.page(1, 1, {1: W3}, count=1, tag="1.a"),
        ),
        lambda diary: diary.store({1: W3}),
        {"misread"},
    ),
    (
        "the list has an erased session",
        lambda diary: (erased(diary), diary.walk("s")),
        lambda diary: None,
        {"undead"},
    ),
    (
        "the list has a session twice",
        lambda diary: (diary.write(1), diary.walk("s", "s")),
        lambda diary: diary.store({1: W1}),
        {"misread"},
    ),
    (
        "the list is without a session",
        lambda diary: (diary.write(1), diary.walk()),
        lambda diary: diary.store({1: W1}),
        {"misread"},
    ),
    (
        "the list of a user is without a session",
        lambda diary: (diary.patch(user="c01"), diary.walk(user="c01")),
        lambda diary: diary.store({}, members={"c01": W1}),
        {"misread"},
    ),
    (
        "the list of a user has another user's session",
        lambda diary: (diary.patch(user="c01"), diary.walk("s", user="c02")),
        lambda diary: diary.store({}, members={"c01": W1}),
        {"misread"},
    ),
    ("a patch is not there", patched, lambda diary: diary.store({}), {"lost_edits"}),
    (
        "an older patch is there",
        patched,
        lambda diary: diary.store({}, members={"c01": W1}),
        {"lost_edits", "undead"},
    ),
    (
        "an edit is stored with other items",
        lambda diary: (diary.write(1), diary.put(1, items='[{"a": 1}]'), diary.turns.update({PUT2: diary.turns[W1]})),
        lambda diary: diary.store({1: W1}),
        {"undead", "lost_edits"},
    ),
    ("the turns without an answer are miscounted", edited, lambda diary: diary.store({1: PUT2}, unanswered=1),
     {"gaps"}),
]  # fmt: skip


@pytest.mark.parametrize(("story", "store"), [each[1:] for each in ALLOWED], ids=[each[0] for each in ALLOWED])
def test_the_soak_check_allows(story: Callable[[Diary], object], store: Callable[[Diary], object]) -> None:
    diary = Diary()
    story(diary)
    store(diary)
    assert diary.check().all == []


@pytest.mark.parametrize(("story", "store", "found"), [each[1:] for each in FOUND], ids=[each[0] for each in FOUND])
def test_the_soak_check_finds(
    story: Callable[[Diary], object], store: Callable[[Diary], object], found: set[str]
) -> None:
    diary = Diary()
    story(diary)
    store(diary)
    assert diary.kinds == found, diary.check().all
