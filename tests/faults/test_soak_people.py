"""The soak's check of people: wrong users and exports, and what is left of an erased person, have a finding."""

from collections.abc import Callable

import pytest

from tests.faults.diary import Diary
from tests.soak.check import Findings, check
from tests.soak.journals import user_act_of
from tests.soak.person_records import SHOWN, TEXTS, Export, Members, UserAct, UserSeen
from tests.soak.records import Act
from tests.soak.stored import Stored

# The person of all stories. Its session is `s`.
ANN = "soak-person-0-1"
TURN = "c01-000001.0"


class PeopleDiary(Diary):
    """A diary with changes and erasures of users, exports, and rows of users."""

    def __init__(self) -> None:
        super().__init__()
        self.users: dict[str, Members] = {}
        self.owners: dict[str, str | None] = {}
        self.erasing: list[str] = []

    def say(self) -> Act:
        """Note a turn that the person wrote and that was acknowledged."""
        return self.write(1, user=ANN)

    def save(self, value: str, *statuses: str, makes: bool = True, match: str | None = None) -> UserAct:
        """Note a PUT or PATCH of all members, with an attempt for each status."""
        return self._user_act(
            "save_user", statuses or ("200",), match, members=dict.fromkeys(TEXTS, value), makes=makes
        )

    def erase_user(self, *statuses: str, match: str | None = None) -> UserAct:
        """Note a DELETE of the user with an attempt for each status."""
        return self._user_act("erase_user", statuses or ("204",), match)

    def see(self, value: str | None) -> None:
        """Note a read that saw a value as each member, or with None no user."""
        members = None if value is None else dict.fromkeys(SHOWN, value)
        began = self._tick(2)
        self.journals.users.append(UserSeen(request="look", user=ANN, began=began, ended=began + 1, members=members))

    def export(self, *names: str, seq: int = 1, session: str = "s") -> None:
        """Note an export that held these turns."""
        began = self._tick(2)
        turns = tuple((session, seq, name, self.turns[name].digest) for name in names)
        self.journals.exports.append(Export(request="export", user=ANN, began=began, ended=began + 1, turns=turns))

    def keep(self, value: str, **others: str) -> None:
        """Store a row of the user with a value as each member."""
        self.users[ANN] = dict.fromkeys(TEXTS, value) | others

    def check(self) -> Findings:
        """Compare the journals with what is stored."""
        stored = Stored(
            self.rows, self.sessions, self.orphans, self.traces, self.users, self.owners, erasing_users=self.erasing
        )
        return check(self.journals, stored)

    def _user_act(self, kind: str, statuses: tuple[str, ...], match: str | None, **facts: object) -> UserAct:
        began, lines = self._tick(1 + len(statuses)), []
        for attempt, status in enumerate(statuses, 1):
            sent = {"request": f"{kind} at {began:g}", "attempt": attempt, "kind": kind, "at": began + attempt - 1}
            lines.append({"event": "send", **sent, "user": ANN, "match": match, **facts})
            tag = {"tag": f"tag {began:g}"} if status[0] == "2" and kind == "save_user" else {}
            lines.append({"event": "answer", "attempt": attempt, "at": began + attempt - 0.5, "status": status, **tag})
        act = user_act_of(lines)
        self.journals.user_acts.append(act)
        return act


Step = Callable[[PeopleDiary], object]

RIGHT: list[tuple[str, list[Step]]] = [
    ("a user as it was saved", [lambda ann: ann.save("a"), lambda ann: ann.keep("a")]),
    ("the last of two changes", [lambda ann: ann.save("a"), lambda ann: ann.save("b"), lambda ann: ann.keep("b")]),
    ("a change without an answer, done", [lambda ann: ann.save("a", "lost"), lambda ann: ann.keep("a")]),
    ("a change without an answer, not done", [lambda ann: ann.save("a", "lost"), lambda ann: ann.see(None)]),
    (
        "a change without an answer that came late",
        [
            lambda ann: ann.save("a", "lost"),
            lambda ann: ann.save("b"),
            lambda ann: ann.see("b"),
            lambda ann: ann.keep("a"),
        ],
    ),
    (
        "a change by its tag that was done before its 412",
        [lambda ann: ann.save("a"), lambda ann: ann.save("b", "lost", "412", match="1"), lambda ann: ann.keep("b")],
    ),
    ("a refused patch", [lambda ann: ann.save("a", "404", makes=False)]),
    ("an erased user", [lambda ann: ann.save("a"), lambda ann: ann.erase_user(), lambda ann: ann.see(None)]),
    (
        "a user made after the erasure",
        [lambda ann: ann.erase_user(), lambda ann: ann.save("a"), lambda ann: ann.keep("a")],
    ),
    ("an erasure ends the turns of the user's sessions", [lambda ann: ann.say(), lambda ann: ann.erase_user("202")]),
    (
        "an erasure without an answer, not done",
        [lambda ann: ann.say(), lambda ann: ann.erase_user("lost"), lambda ann: ann.store({1: TURN})],
    ),
    ("an erasure without an answer, done", [lambda ann: ann.say(), lambda ann: ann.erase_user("lost")]),
    ("an erasure whose retry finds no user", [lambda ann: ann.say(), lambda ann: ann.erase_user("lost", "404")]),
    (
        "a turn after the erasure",
        [lambda ann: ann.erase_user(), lambda ann: ann.say(), lambda ann: ann.store({1: TURN})],
    ),
    (
        "an export with the turn",
        [lambda ann: ann.say(), lambda ann: ann.export(TURN), lambda ann: ann.store({1: TURN})],
    ),
    (
        "an export with a turn whose write got no answer",
        [
            lambda ann: ann.write(status="lost", user=ANN),
            lambda ann: ann.export(TURN),
            lambda ann: ann.store({1: TURN}),
        ],
    ),
    (
        "an export without the erased turn",
        [lambda ann: ann.say(), lambda ann: ann.erase_user(), lambda ann: ann.export()],
    ),
    (
        "an export without a turn that came later",
        [lambda ann: ann.export(), lambda ann: ann.say(), lambda ann: ann.store({1: TURN})],
    ),
]

WRONG: list[tuple[str, list[Step], set[str]]] = [
    (
        "a turn that only an export had is not there",
        [lambda ann: ann.write(status="lost", user=ANN), lambda ann: ann.export(TURN)],
        {"lost"},
    ),
    ("a saved user is not there", [lambda ann: ann.save("a")], {"lost_edits"}),
    (
        "a user has the older of two values",
        [lambda ann: ann.save("a"), lambda ann: ann.save("b"), lambda ann: ann.keep("a")],
        {"lost_edits"},
    ),
    (
        "one member has its older value",
        [lambda ann: ann.save("a"), lambda ann: ann.save("b"), lambda ann: ann.keep("b", password_hash="a")],
        {"lost_edits"},
    ),
    (
        "a refused change is there",
        [lambda ann: ann.save("a", "422"), lambda ann: ann.keep("a")],
        {"strangers", "lost_edits"},
    ),
    ("a user that no client made", [lambda ann: ann.keep("a")], {"strangers", "lost_edits"}),
    (
        "an erased user is there",
        [lambda ann: ann.save("a"), lambda ann: ann.erase_user(), lambda ann: ann.keep("a")],
        {"undead"},
    ),
    (
        "an erased user's name is left in another table",
        [lambda ann: ann.save("a"), lambda ann: ann.erase_user(), lambda ann: ann.traces.update({ANN: ["sessions"]})],
        {"undead"},
    ),
    (
        "a member's text is left in another table",
        [
            lambda ann: ann.save("a"),
            lambda ann: ann.erase_user(),
            lambda ann: ann.traces.update({"a": ["idempotency_keys"]}),
        ],
        {"undead"},
    ),
    (
        "an erasure of a user never ends",
        [lambda ann: ann.erase_user("202"), lambda ann: ann.erasing.append(ANN)],
        {"undead"},
    ),
    (
        "a turn of an erased user is there",
        [lambda ann: ann.say(), lambda ann: ann.erase_user(), lambda ann: ann.store({1: TURN})],
        {"undead"},
    ),
    (
        "an erasure without an answer took one of two sessions",
        [
            lambda ann: ann.say(),
            lambda ann: ann.write(1, user=ANN, session="t"),
            lambda ann: ann.erase_user("lost"),
            lambda ann: ann.store({1: TURN}),
        ],
        {"half_batches"},
    ),
    (
        "two changes on one tag",
        [lambda ann: ann.save("a", match="1"), lambda ann: ann.save("b", match="1"), lambda ann: ann.keep("b")],
        {"lost_edits"},
    ),
    (
        "a reader saw a value that was replaced",
        [lambda ann: ann.save("a"), lambda ann: ann.save("b"), lambda ann: ann.see("a"), lambda ann: ann.keep("b")],
        {"misread"},
    ),
    (
        "a reader saw a value that was sent later",
        [lambda ann: ann.see("a"), lambda ann: ann.save("a"), lambda ann: ann.keep("a")],
        {"misread"},
    ),
    (
        "a reader saw an erased user",
        [lambda ann: ann.save("a"), lambda ann: ann.erase_user(), lambda ann: ann.see("a")],
        {"misread"},
    ),
    (
        "a reader did not see a user who was there",
        [lambda ann: ann.save("a"), lambda ann: ann.see(None), lambda ann: ann.keep("a")],
        {"misread"},
    ),
    (
        "an export is without a turn that was there",
        [lambda ann: ann.say(), lambda ann: ann.export(), lambda ann: ann.store({1: TURN})],
        {"misread"},
    ),
    (
        "an export has a turn twice",
        [lambda ann: ann.say(), lambda ann: ann.export(TURN, TURN), lambda ann: ann.store({1: TURN})],
        {"misread"},
    ),
    (
        "an export has a turn at another seq",
        [lambda ann: ann.say(), lambda ann: ann.export(TURN, seq=2), lambda ann: ann.store({1: TURN})],
        {"misread"},
    ),
    (
        "an export has a turn of another user",
        [
            lambda ann: ann.write(1),
            lambda ann: ann.export(TURN),
            lambda ann: ann.store({1: TURN}),
        ],
        {"misread"},
    ),
    (
        "an export has an erased turn",
        [lambda ann: ann.say(), lambda ann: ann.erase_user(), lambda ann: ann.export(TURN)],
        {"undead"},
    ),
    (
        "a session has lost its user",
        [
            lambda ann: ann.say(),
            lambda ann: ann.export(TURN),
            lambda ann: ann.store({1: TURN}),
            lambda ann: ann.owners.update(s=None),
        ],
        {"strangers"},
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(steps, id=name) for name, steps in RIGHT])
def test_the_check_of_people_allows_what_may_be(steps: list[Step]) -> None:
    ann = PeopleDiary()
    for step in steps:
        step(ann)
    assert ann.check().all == []


@pytest.mark.parametrize(("steps", "kinds"), [pytest.param(steps, kinds, id=name) for name, steps, kinds in WRONG])
def test_the_check_of_people_finds_a_violation(steps: list[Step], kinds: set[str]) -> None:
    ann = PeopleDiary()
    for step in steps:
        step(ann)
    assert ann.kinds == kinds
