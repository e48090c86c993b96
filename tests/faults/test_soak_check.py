"""The soak's proof works: it finds each violation, which is made in a real database or in a journal."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.soak.check import Findings, check
from tests.soak.journal import Journal, Tail
from tests.soak.journals import Journals
from tests.soak.records import DONE, FOREVER, UNKNOWN, Act, Page, Turn, Walk, turn_id
from tests.soak.stored import read_stored
from tests.support.bundle import Bundle, deployed
from tests.support.servers.databases import Database


class Story:
    """Writes through the functions, and the journal of a client that could have sent them."""

    def __init__(self, database: Database, bundle: Bundle) -> None:
        self.database = database
        self.bundle = bundle
        self.writes: list[Act] = []

    def write(self, session: str, turns: int = 1, *, acknowledged: bool = True, sent: int | None = None) -> Act:
        """Write the turns of a request, or only the first `sent`. Note the request as `acknowledged` or not."""
        request = f"c01-{len(self.writes) + 1:06}"
        said = tuple(
            Turn(f"[{turn_id(request, number)}] hello", "good day", interaction_type="speech" if number == 0 else None)
            for number in range(turns)
        )
        began = float(len(self.writes))
        write = Act(request=request, kind="write", session=session, began=began, keyed=True, turns=said)
        stored = said[: turns if sent is None else sent]
        seqs = [self.store(session, *stored)] if stored else []
        if acknowledged:
            first = seqs[0] if seqs else 1
            write.seqs = tuple(range(first, first + turns))
            write.outcome, write.ended = DONE, began + 0.5
        self.writes.append(write)
        return write

    def store(self, session: str, *turns: Turn) -> int:
        """Write turns to a session in one request. Return the seq of the first one."""
        reply = self.bundle.write(session, {"messages": [turn.body for turn in turns]})
        assert reply.status == 201, reply.body
        first: int = reply.json["messages"][0]["seq"]
        return first

    def spoil(self, statement: str, *parameters: object) -> None:
        """Change rows without the functions."""
        with self.database.admin() as admin:
            admin.execute(statement, parameters)

    def check(self) -> Findings:
        """Compare the journal with the database."""
        with self.database.admin() as admin:
            return check(Journals(self.writes), read_stored(admin))


@pytest.fixture
def story(embedded_database: Database) -> Iterator[Story]:
    """A story without a violation: one turn, a batch, and a request that never arrived and got no answer."""
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
        story = Story(embedded_database, bundle)
        story.write("one")
        story.write("one", 3)
        story.write("one", 2, acknowledged=False, sent=0)
        yield story


def kinds(findings: Findings) -> set[str]:
    return {kind for kind, found in findings.by_kind.items() if found}


def test_the_soak_check_has_no_findings_without_a_violation(story: Story) -> None:
    story.write("two", 4, acknowledged=False)  # written, and the answer was lost
    assert story.check().all == []


@pytest.mark.parametrize(
    ("spoil", "found"),
    [
        pytest.param(lambda story: story.write("two", sent=0), {"lost"}, id="an acknowledged turn is nowhere"),
        pytest.param(lambda story: story.write("two", 3, sent=0), {"lost"}, id="an acknowledged batch is nowhere"),
        pytest.param(
            lambda story: story.spoil("update robot_brain.conversations set robot_response = 'other' where seq = 1"),
            {"lost"},
            id="an acknowledged turn has another text",
        ),
        pytest.param(
            lambda story: setattr(story.writes[0], "seqs", (2,)),
            {"gaps", "lost"},
            id="an acknowledged turn has another seq",
        ),
        pytest.param(
            lambda story: setattr(story.writes[0], "session", "two"), {"lost"}, id="a turn is in another session"
        ),
        pytest.param(
            lambda story: story.store("one", story.writes[0].turns[0]), {"doubled"}, id="a turn is there twice"
        ),
        pytest.param(
            lambda story: story.store("two", story.writes[0].turns[0]), {"doubled"}, id="a turn is in two sessions"
        ),
        pytest.param(
            lambda story: story.write("two", 3, acknowledged=False, sent=2),
            {"half_batches"},
            id="two of three turns that were not acknowledged",
        ),
        pytest.param(
            lambda story: story.write("two", 3, sent=2),
            {"half_batches", "lost"},
            id="two of three turns that were acknowledged",
        ),
        pytest.param(
            lambda story: story.spoil("delete from robot_brain.conversations where seq = 1"),
            {"gaps", "lost", "undead"},
            id="the first turn has gone, and its interaction has not",
        ),
        pytest.param(
            lambda story: story.spoil("update robot_brain.conversations set seq = 9 where seq = 4"),
            {"gaps", "half_batches", "lost"},
            id="a seq was left out",
        ),
        pytest.param(
            lambda story: story.spoil("update robot_brain.sessions set message_count = 7"),
            {"gaps"},
            id="a session counts more turns than it has",
        ),
        pytest.param(
            lambda story: story.spoil(
                "update robot_brain.conversations set created_at = created_at - interval '1 ms' where seq = 3"
            ),
            {"out_of_time"},
            id="a turn is older than the one before it",
        ),
        pytest.param(
            lambda story: story.spoil(
                "update robot_brain.sessions set created_at = created_at + interval '1 ms', "
                "last_active = last_active + interval '1 ms'"
            ),
            {"out_of_time"},
            id="a session begins after its first turn",
        ),
        pytest.param(
            lambda story: story.spoil("update robot_brain.conversations set robot_personality = 'nurse' where seq = 1"),
            {"lost"},
            id="an acknowledged turn has another personality",
        ),
        pytest.param(
            lambda story: story.spoil("delete from robot_brain.robot_interactions"),
            {"lost"},
            id="an acknowledged interaction is nowhere",
        ),
        pytest.param(
            lambda story: story.spoil(
                """update robot_brain.conversations set metadata = '{"a": "[c09-000009.0]"}' where seq = 1"""
            ),
            {"undead"},
            id="a text that is not there is left in another column",
        ),
        pytest.param(
            lambda story: story.spoil("""update robot_brain.sessions set user_metadata = '{"a": "[c09-000009.0]"}'"""),
            {"strangers"},
            id="never sent, in user_metadata",
        ),
        pytest.param(
            lambda story: story.store("two", Turn("[c09-000001.0] who am I", "")), {"strangers"}, id="never sent"
        ),
        pytest.param(
            lambda story: story.store("two", Turn("no id", "")), {"strangers"}, id="never sent, without an id"
        ),
    ],
)
def test_the_soak_check_finds_a_violation(story: Story, spoil: Callable[[Story], object], found: set[str]) -> None:
    spoil(story)
    assert kinds(story.check()) == found


def test_a_journal_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "c01.jsonl"
    journal = Journal(path)
    turns = [["[c01-1.0] ü", "r", "nurse", "gaze", '[{"a": 1}]']]
    journal.write("send", request="c01-1", attempt=1, kind="write", session="s", keyed=True, turns=turns)
    journal.write("answer", request="c01-1", attempt=1, kind="write", status="503 problem")
    journal.write("send", request="c01-1", attempt=2, kind="write")
    journal.write("answer", request="c01-1", attempt=2, kind="write", status="201", seqs=[7], tag="7.a")
    journal.write("send", request="c01-2", attempt=1, kind="read")
    journal.write("misread", request="c01-2", what="seqs [1, 3]")
    journal.write("send", request="c01-3", attempt=1, kind="remove", session="s", after=5, match="7")
    journal.write("answer", request="c01-3", attempt=1, kind="remove", status="504 problem")
    journal.write("send", request="c01-4", attempt=1, kind="list")
    journal.write("answer", request="c01-4", attempt=1, kind="list", status="200")
    journal.write("seen", request="c01-4", began=1.0, user=None, sessions=["s"], previews=[["s", 7, "c01-1.0"]])
    journal.write("send", request="c01-5", attempt=1, kind="read")
    journal.write("answer", request="c01-5", attempt=1, kind="read", status="200")
    seen = {"from": 7, "to": None, "turns": [[7, "c01-1.0", "d"]], "members": [["c01", "c01-6.0"]]}
    journal.write("seen", request="c01-5", session="s", tag="7.a", count=1, **seen)
    journal.close()
    with path.open("a") as file:
        file.write('{"event": "answer", "request": "c01-2", "att')  # cut off by a crash

    journals = Journals.read([path])

    write, remove = journals.acts
    assert (write.request, write.session, write.keyed, write.seqs, write.tag) == ("c01-1", "s", True, (7,), "7.a")
    assert write.turns == (Turn("[c01-1.0] ü", "r", "nurse", "gaze", '[{"a": 1}]'),)
    assert (write.outcome, remove.outcome) == (DONE, UNKNOWN)
    assert write.began < write.ended < remove.began < remove.ended == FOREVER
    assert (remove.after, remove.match, remove.bound) == (5, "7", 7)
    assert [(each.client, each.kind, each.status) for each in journals.answers[:3]] == [
        ("c01", "write", "503 problem"),
        ("c01", "write", "201"),
        ("c01", "remove", "504 problem"),
    ]
    (walk,), (page,) = journals.walks, journals.pages
    assert walk == Walk(
        request="c01-4",
        began=1.0,
        ended=walk.ended,
        user=None,
        sessions=("s",),
        previews=(("s", 7, "c01-1.0"),),
    )
    assert page == Page(
        request="c01-5",
        session="s",
        began=page.began,
        ended=page.ended,
        low=7,
        high=FOREVER,
        turns=((7, "c01-1.0", "d"),),
        members=(("c01", "c01-6.0"),),
        tag="7.a",
        count=1,
    )
    assert journals.acknowledged == 1
    assert journals.misread == ["c01-2: seqs [1, 3]"]
    assert journals.unanswered == ["c01-2, attempt 1"]
    tail = Tail([path, tmp_path / "not there yet.jsonl"])
    assert [line["status"] for _, line in tail.read()] == ["503 problem", "201", "504 problem", "200", "200"]
    assert list(tail.read()) == []
