"""Compare what clients know with the audit trail: each change has one entry, and each entry has one change.

An entry and a change belong together if they name the same place: a turn, the last turns of a session, the owner or the
erasure of a session, a user, or the erasure of a user. A change without a known outcome may have an entry or none.
A change that was done twice shows as one entry too many, and as two entries with the same request id.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from tests.soak.journals import Journals
from tests.soak.records import NOTHING, Act
from tests.soak.stored import Entry, Stored

# The subject of a token that is not an end user's.
SERVICE = "a service"
Place = tuple[object, ...]


@dataclass(frozen=True)
class Chain:
    """The trail at the end: its entries, how many calls chained them, and what is wrong with the chain."""

    entries: int
    chainings: int
    broken: list[str] = field(default_factory=list)


def check_audit(journals: Journals, stored: Stored) -> Iterator[str]:
    """Yield what is wrong, one line each."""
    acts: Sequence[Act] = [*journals.acts, *journals.user_acts]
    entries = [entry for entry in stored.entries if entry.action != "EXPORT"]
    yield from _check_places(acts, entries)
    yield from _check_answers(acts, entries)
    exports = len(stored.entries) - len(entries)
    pages = sum(answer.kind == "export" and answer.status == "200" for answer in journals.answers)
    if exports < pages:
        yield f"{pages} pages were exported, and {exports} have an entry"
    for request, times in Counter(entry.request for entry in entries).items():
        if request is None or times > 1:
            yield f"{times} entries have the request id {request}"
    for name in stored.leaked:
        yield f"the trail has the text {name}"


def _check_places(acts: Sequence[Act], entries: Sequence[Entry]) -> Iterator[str]:
    """Find places with too few or too many entries, and entries with another actor."""
    possible: dict[Place, list[Act]] = defaultdict(list)
    for act in acts:
        if act.outcome != NOTHING and (place := _place(act)) is not None:
            possible[place].append(act)
    found: dict[Place, list[Entry]] = defaultdict(list)
    for entry in entries:
        found[_place_of(entry)].append(entry)
    least = _least(acts, possible)
    for place in sorted(possible.keys() | found.keys(), key=str):
        count, most = len(found[place]), len(possible[place])
        if not least[place] <= count <= most:
            yield f"{_text(place)} has {count} entries, must have {least[place]} to {most}"
        actors = {act.by or SERVICE for act in possible[place]}
        if count and (others := {entry.actor for entry in found[place]} - actors):
            yield f"{_text(place)} was changed by {others}, not by {actors}"


def _least(acts: Sequence[Act], possible: dict[Place, list[Act]]) -> Counter[Place]:
    """Return how many entries each place must have, from the changes that were acknowledged."""
    erased = {act.user for act in acts if act.kind == "erase_user" and act.outcome != NOTHING}
    # The erasure of a user takes its sessions, too. These have no entry of their own.
    with_user = {act.session for act in acts if act.user in erased}
    beginnings = {}
    for act in sorted(acts, key=lambda each: each.began, reverse=True):
        if act.kind in ("write", "patch"):
            beginnings[act.session] = act
    least: Counter[Place] = Counter()
    for place, candidates in possible.items():
        done = [act for act in candidates if act.answer]
        if place[0] in ("edit", "save"):
            least[place] = len(done)
        elif place[0] == "remove":
            least[place] = sum(act.answer["removed"] > 0 for act in done)
        elif place[0] == "owner":
            # A later one may name the user that the session has.
            least[place] = sum(act is beginnings[act.session] for act in done)
        # Two erasures may be one: the second went on with what the first had marked.
        elif place[0] == "erase user" or place[1] not in with_user:
            least[place] = min(1, len(done))
    return least


def _check_answers(acts: Sequence[Act], entries: Sequence[Entry]) -> Iterator[str]:
    """Find entries that do not have what the answers to edits and removals said."""
    edits: Counter[Place] = Counter(
        (entry.record, entry.new.get("seq"), entry.new.get("updated_at")) for entry in entries
    )
    removals = Counter(
        (entry.record, *(entry.new.get(name) for name in ("after", "removed", "message_count"))) for entry in entries
    )
    # A clock that stepped back gives several edits of a turn one time, the time at which the turn was written.
    answered: Counter[Place] = Counter()
    unanswered: Counter[Place] = Counter()
    expected: Counter[Place] = Counter()
    for act in acts:
        if act.kind == "put" and act.seqs is not None:
            if act.answer:
                answered[act.session, act.seqs[0], act.answer["updated_at"]] += 1
            elif act.outcome != NOTHING:
                unanswered[act.session, act.seqs[0]] += 1
        elif act.kind == "remove" and act.answer and act.answer["removed"]:
            expected[act.session, act.after, act.answer["removed"], act.answer["message_count"]] += 1
    for edit, times in answered.items():
        if not times <= edits[edit] <= times + unanswered[edit[:2]]:
            yield f"{edits[edit]} of {times} entries of the edit {edit}"
    for removal, times in expected.items():
        if removals[removal] < times:
            yield f"{removals[removal]} of {times} entries of the removal {removal}"


def _place(act: Act) -> Place | None:
    """Return the place of a change's entry, or None if it leaves none."""
    if act.kind == "put" and act.seqs is not None:
        return "edit", act.session, act.seqs[0]
    if act.kind == "patch":
        return None if act.user is None else ("owner", act.session)
    return {
        "remove": ("remove", act.session, act.after),
        "erase": ("erase", act.session),
        "save_user": ("save", act.user),
        "erase_user": ("erase user", act.user),
    }.get(act.kind)


def _place_of(entry: Entry) -> Place:
    kinds: dict[tuple[str, str], Place] = {
        ("conversations", "UPDATE"): ("edit", entry.record, entry.new.get("seq")),
        ("conversations", "DELETE"): ("remove", entry.record, entry.new.get("after")),
        ("sessions", "INSERT"): ("owner", entry.record),
        ("sessions", "UPDATE"): ("owner", entry.record),
        ("sessions", "ERASE"): ("erase", entry.record),
        ("users", "INSERT"): ("save", entry.record),
        ("users", "UPDATE"): ("save", entry.record),
        ("user_profiles", "UPDATE"): ("save", entry.record),
        ("users", "ERASE"): ("erase user", entry.record),
    }
    unknown: Place = (entry.action, entry.table, entry.record)
    return kinds.get((entry.table, entry.action), unknown)


def _text(place: Place) -> str:
    return " ".join(map(str, place))
