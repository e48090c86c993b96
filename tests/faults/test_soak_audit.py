"""The soak's check of the audit trail: a change without its entry, or with two, has a finding."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.soak.check_audit import SERVICE, check_audit
from tests.soak.journals import Journals, act_of, user_act_of
from tests.soak.person_records import UserAct
from tests.soak.records import Act, Answer
from tests.soak.stored import Entry, Stored, read_stored
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database

TIME = "2026-11-28T12:00:00.000001Z"
OTHER_TIME = "2026-11-28T12:00:00.000002Z"


def _act(kind: str, status: str, began: float = 0.0, *, by: str | None = None, **facts: object) -> Act:
    """Return a change of the session `s` that had one answer."""
    answers: dict[str, dict[str, object]] = {
        "put": {"updated_at": TIME},
        "remove": {"removed": 2, "message_count": 1, "last_seq": 3},
    }
    answer = answers.get(kind, {})
    lines = [
        {"event": "send", "request": f"{kind} {began}", "kind": kind, "session": "s", "at": began, "by": by, **facts},
        {"event": "answer", "at": began + 0.5, "status": status, **(answer if status == "200" else {})},
    ]
    return act_of(lines)


def _user_act(kind: str, status: str = "200", began: float = 0.0) -> UserAct:
    """Return a change of the user ann, by a service, that had one answer."""
    sent = {"event": "send", "request": f"{kind} {began}", "kind": kind, "at": began, "user": "ann", "match": None}
    return user_act_of([sent, {"event": "answer", "at": began + 0.5, "status": status}])


ACTS = [
    _act("write", "201", user="ann"),
    _act("put", "200", 1.0, seq=1, by="ann"),
    _act("remove", "200", 2.0, after=1),
    _act("erase", "204", 3.0),
    _user_act("save_user"),
    _user_act("save_user", began=1.0),
    _user_act("erase_user", "204", 2.0),
]
# The session is not ann's, so that its erasure is its own.
ACTS[0].user = None
EDIT = Entry("conversations", "s", "UPDATE", {"seq": 1}, {"seq": 1, "updated_at": TIME}, "ann", "r1")
REMOVAL = Entry("conversations", "s", "DELETE", {}, {"after": 1, "removed": 2, "message_count": 1}, SERVICE, "r2")
ENTRIES = [
    EDIT,
    REMOVAL,
    Entry("sessions", "s", "ERASE", {}, {}, SERVICE, "r3"),
    Entry("users", "ann", "INSERT", {}, {}, SERVICE, "r4"),
    Entry("user_profiles", "ann", "UPDATE", {}, {}, SERVICE, "r5"),
    Entry("users", "ann", "ERASE", {}, {}, SERVICE, "r6"),
    Entry("users", "ann", "EXPORT", {}, {}, SERVICE, "r7"),
]
EXPORTED = Answer("c01", "export", "200", 0.0, 0.1)


def _findings(
    acts: list[Act] | None = None, entries: list[Entry] | None = None, leaked: tuple[str, ...] = ()
) -> list[str]:
    of_users = [act for act in acts or ACTS if isinstance(act, UserAct)]
    of_sessions = [act for act in acts or ACTS if not isinstance(act, UserAct)]
    journals = Journals(of_sessions, of_users, answers=[EXPORTED])
    return list(check_audit(journals, Stored([], {}, entries=ENTRIES if entries is None else entries, leaked=leaked)))


def test_the_soak_finds_nothing_in_a_trail_that_has_each_change_once() -> None:
    assert _findings() == []


@pytest.mark.parametrize("number", range(len(ENTRIES)))
def test_the_soak_finds_a_change_without_its_entry(number: int) -> None:
    assert _findings(entries=[*ENTRIES[:number], *ENTRIES[number + 1 :]])


@pytest.mark.parametrize("number", range(len(ENTRIES) - 1))
def test_the_soak_finds_a_change_with_two_entries(number: int) -> None:
    assert _findings(entries=[*ENTRIES, replace(ENTRIES[number], request="r8")])


@pytest.mark.parametrize(
    "entry",
    [
        pytest.param(replace(EDIT, record="t"), id="an edit in another session"),
        pytest.param(replace(EDIT, new={"seq": 2, "updated_at": TIME}), id="an edit of another turn"),
        pytest.param(replace(EDIT, new={"seq": 1, "updated_at": OTHER_TIME}), id="an edit at another time"),
        pytest.param(replace(EDIT, actor=SERVICE), id="an edit by another actor"),
        pytest.param(replace(EDIT, request=None), id="an edit without a request id"),
        pytest.param(replace(EDIT, request="r2"), id="an edit with the request id of another change"),
    ],
)
def test_the_soak_finds_an_entry_that_says_something_else(entry: Entry) -> None:
    assert _findings(entries=[entry, *ENTRIES[1:]])


def test_the_soak_finds_a_removal_with_other_counts() -> None:
    other = replace(REMOVAL, new={"after": 1, "removed": 1, "message_count": 2})
    assert _findings(entries=[other if entry is REMOVAL else entry for entry in ENTRIES])


def test_the_soak_finds_an_entry_of_a_kind_that_no_client_asked_for() -> None:
    assert _findings(entries=[*ENTRIES, Entry("tenant_stats", "local", "UPDATE", {}, {}, None, "r8")])


def test_the_soak_finds_the_text_of_a_client_in_the_trail() -> None:
    assert _findings(leaked=("[c01-000001.0]",)) == ["the trail has the text [c01-000001.0]"]


def test_a_change_without_an_answer_may_have_an_entry_or_none() -> None:
    acts = [*ACTS, _act("put", "lost", 4.0, seq=1)]
    assert _findings(acts) == []
    late = replace(EDIT, request="r8", actor=SERVICE, new={"seq": 1, "updated_at": OTHER_TIME})
    assert _findings(acts, [*ENTRIES, late]) == []


def test_two_edits_of_one_turn_may_have_the_same_time_because_the_clock_stepped_back() -> None:
    again = replace(next(act for act in ACTS if act.kind == "put"), request="r8")
    twin = replace(EDIT, request="r8")
    assert _findings([*ACTS, again], [*ENTRIES, twin]) == []
    assert _findings([*ACTS, again], ENTRIES)
    assert _findings([*ACTS, again], [*ENTRIES, twin, replace(EDIT, request="r9")])


def test_a_change_that_was_refused_must_have_no_entry() -> None:
    acts = [*ACTS, _act("put", "412", 4.0, seq=2)]
    assert _findings(acts) == []
    entry = replace(EDIT, request="r8", actor=SERVICE, new={"seq": 2, "updated_at": OTHER_TIME})
    assert _findings(acts, [*ENTRIES, entry])


def test_the_owner_of_a_new_session_must_have_an_entry() -> None:
    acts = [_act("patch", "200", user="ann")]
    entry = Entry("sessions", "s", "INSERT", {}, {"user_id": "ann"}, SERVICE, "r1")
    exported = ENTRIES[-1]
    assert _findings(acts, [exported])
    assert _findings(acts, [exported, entry]) == []


@pytest.fixture
def functions(embedded_database: Database) -> Iterator[Bundle]:
    """The functions, on a database of their own."""
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
        yield bundle


def test_the_soak_reads_the_entries_that_the_functions_write(functions: Bundle, embedded_database: Database) -> None:
    functions.write("s", {"messages": [turn(number) for number in range(1, 4)]})
    put = functions.replace("s", 1, {"user_message": "[c01-000002.0] other", "robot_response": "yes"}).json
    functions.remove("s", 1)
    with embedded_database.admin() as admin:
        stored = read_stored(admin)
    assert [(entry.table, entry.record, entry.action) for entry in stored.entries] == [
        ("conversations", "s", "UPDATE"),
        ("conversations", "s", "DELETE"),
    ]
    assert stored.entries[0].new["updated_at"] == put["updated_at"]
    assert stored.entries[1].new == {"after": 1, "removed": 2, "message_count": 1}
    assert not stored.leaked
