"""The soak's check over journals and rows made by hand: a state that may not be has the finding that names it."""

from collections.abc import Callable

import pytest

from tests.faults.diary import Diary
from tests.faults.stories import (
    FIRST,
    PUT2,
    PUT3,
    SECOND,
    W1,
    W3,
    edited,
    edited_interaction,
    erased,
    lost_answer,
    patched,
    removed,
    tagged,
)

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


@pytest.mark.parametrize(("story", "store", "found"), [each[1:] for each in FOUND], ids=[each[0] for each in FOUND])
def test_the_soak_check_finds(
    story: Callable[[Diary], object], store: Callable[[Diary], object], found: set[str]
) -> None:
    diary = Diary()
    story(diary)
    store(diary)
    assert diary.kinds == found, diary.check().all
