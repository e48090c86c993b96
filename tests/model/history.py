"""What concurrent clients sent and received, and an order of it that the model can follow.

A history is right if its requests fit into one order. In that order each request takes effect between its sending and
its answer, the model gives every answer and every entry of the audit trail, and no tag stands for two states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.model.answer import MismatchError, check
from tests.model.contract import expected
from tests.model.request import ERASE_USER, Request
from tests.model.store import Session, Store, User
from tests.model.trail import Audited, audited, check_trail
from tests.model.users import FINISHED
from tests.support.bundle import Reply

# An order is found after few steps back. A history without one is given up after so many.
MOST_STEPS_BACK = 20_000


@dataclass(frozen=True)
class Entry:
    """One request with its answer, and the moments (monotonic seconds) of sending and receiving."""

    number: int
    request: Request
    reply: Reply
    began: float
    ended: float
    # The number of the entry that comes before this one.
    after: int | None = None
    # The id of the request, and the entries of the audit trail that have it. Without `trail`, the search does not look
    # at the entries.
    request_id: str = ""
    trail: tuple[Audited, ...] | None = None

    def __str__(self) -> str:
        sent = self.request
        said = (
            f"{sent.route} {sent.session_id}{sent.user_id} seq={sent.seq} {dict(sent.query)} {sent.headers} {sent.body}"
        )
        answered = f"{self.reply.status} {self.reply.headers.get('etag')} {self.reply.body}"
        return f"{self.number}, {sent.user or 'service'}: {said} -> {answered}"


@dataclass(frozen=True)
class Step:
    """An entry at its place in the order, and the state after it."""

    entry: Entry
    after: Store


@dataclass
class _Place:
    """A place in the search: the state, the entries that are left, and those that may come next and change it."""

    store: Store
    left: dict[int, Entry]
    order: list[Step]
    next: list[tuple[Entry, Store]]


def in_order(history: Sequence[Entry], store: Store | None = None) -> list[Step]:
    """Return the history in an order in which the model gives every answer. Raises MismatchError if there is no such.

    Several orders may be right: a read of the same state may come before or after another. Any one will do.
    """
    steps = [*history, *(_last_step(entry) for entry in history if _is_erasure(entry))]
    left = {entry.number: entry for entry in sorted(steps, key=lambda entry: entry.began)}
    search = _Search()
    places = [search.place(store or Store(), left, [])]
    while places[-1].left:
        place = places[-1]
        if not place.next:
            places.pop()
            search.step_back(places)
            continue
        entry, after = place.next.pop(0)
        rest = {number: each for number, each in place.left.items() if number != entry.number}
        if search.is_new(after, rest):
            places.append(search.place(after, rest, [*place.order, Step(entry, after)]))
    _check_tags(places[-1].order)
    return places[-1].order


class _Search:
    """The search for an order. It remembers the longest order so far and why it ended, for the report."""

    def __init__(self) -> None:
        self._longest: list[Step] = []
        self._why: list[str] = []
        self._steps_back = 0
        self._seen: set[tuple[frozenset[object], ...]] = set()

    def is_new(self, store: Store, left: dict[int, Entry]) -> bool:
        """Return whether the search was not here before. Two orders of unrelated changes lead to the same state.

        A tag is not enough: after another order the same tag may be of a session that another request made.
        """
        here = (
            frozenset(left),
            frozenset((session.id, session.tag, session.created_at) for session in store.sessions.values()),
            frozenset((user.id, user.tag) for user in store.users.values()),
            frozenset((id, *left) for id, left in store.erasing.items()),
            frozenset((key, each.answer is None) for key, each in store.keys.items()),
            frozenset(store.days.items()),
        )
        new = here not in self._seen
        self._seen.add(here)
        return new

    def place(self, store: Store, left: dict[int, Entry], order: list[Step]) -> _Place:
        """Take all entries that fit here and change nothing. Find those that fit and change the state."""
        left, order = dict(left), list(order)
        while True:
            changing: list[tuple[Entry, Store]] = []
            misfits: list[str] = []
            fitting = None
            for entry in _first(left):
                try:
                    answer, after = expected(store, entry.request, entry.reply)
                    check(answer, entry.reply)
                    if entry.trail is not None:
                        wanted = audited(store, entry.request, entry.reply, after)
                        check_trail(wanted, entry.trail)
                except MismatchError as error:
                    misfits.append(f"{error}\n    {entry}")
                    continue
                # An erasure that only goes on with another one here may be one of its own later.
                if after is store and not _is_erasure(entry):
                    fitting = entry
                    break
                changing.append((entry, after))
            if fitting is None:
                break
            # If an entry changes nothing, to take it early forbids no order of the others.
            del left[fitting.number]
            order.append(Step(fitting, store))
        if len(order) >= len(self._longest):
            self._longest, self._why = order, misfits
        return _Place(store, left, order, sorted(changing, key=lambda each: _rank(*each)))

    def step_back(self, places: list[_Place]) -> None:
        """Count a step back. Raises MismatchError if nothing is left to try."""
        self._steps_back += 1
        if not places or self._steps_back > MOST_STEPS_BACK:
            before = "\n    ".join(str(step.entry) for step in self._longest[-12:])
            reasons = "\n  ".join(self._why)
            given_up = f"given up after {MOST_STEPS_BACK} steps back; " if places else ""
            raise MismatchError(
                f"{given_up}after {len(self._longest)} answers no next one fits:\n  {reasons}\n"
                f"  the last that fit:\n    {before}"
            )


def _first(left: dict[int, Entry]) -> list[Entry]:
    """Return the entries that may come next: each was sent before any of the others was answered."""
    horizon = min((entry.ended for entry in left.values()), default=0.0)
    return [entry for entry in left.values() if entry.began <= horizon and entry.after not in left]


def _is_erasure(entry: Entry) -> bool:
    return entry.request.route == ERASE_USER and entry.reply.status == 204


def _last_step(entry: Entry) -> Entry:
    """Return the last step of a user's erasure as an entry. Other requests may come between the first step and it."""
    request = Request(FINISHED, user_id=entry.request.user_id)
    return replace(entry, number=-1 - entry.number, request=request, after=entry.number, trail=None)


def with_trail(history: Sequence[Entry], trail: Mapping[str, Sequence[Audited]]) -> list[Entry]:
    """Return the history with the entries of the audit trail. Raises MismatchError if one is of no request.

    The search then finds only orders in which the model leaves each entry, and no other.
    """
    unknown = set(trail) - {entry.request_id for entry in history}
    if unknown:
        raise MismatchError(f"entries of no request: {[(id, *trail[id]) for id in unknown]}")
    return [replace(entry, trail=tuple(trail.get(entry.request_id, ()))) for entry in history]


def _rank(entry: Entry, after: Store) -> tuple[int, int]:
    """Order entries by their tag. Only a hint, so that the search rarely steps back."""
    if entry.request.user_id:
        user = after.users.get(entry.request.user_id)
        return (0, int(user.version, 16) if user else 0)
    session = after.sessions.get(entry.request.session_id)
    return (session.last_seq, int(session.version, 16)) if session else (0, 0)


def _check_tags(order: Sequence[Step]) -> None:
    """Raise MismatchError if a tag stands for two states, in one life of a session or user or in two."""
    states: dict[tuple[type, str, str], Session | User] = {}
    for step in order:
        both: list[Session | User] = [*step.after.sessions.values(), *step.after.users.values()]
        for each in both:
            if states.setdefault((type(each), each.id, each.tag), each) != each:
                raise MismatchError(f"the tag {each.tag} of {each.id} stands for two states, at {step.entry}")
