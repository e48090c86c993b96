"""Decide from journals which texts must be stored, which must be gone, and which may be either.

Each text has an id of its own and one place: a seq of a session, or a member of its user_metadata. It comes with one
act (a write, put or patch). An erasure, a removal, or another text at its place can end it: its killers. Acts of
several clients overlap, and some have no known outcome. So for each text we keep the killers that may have come after
it, and whether one of them surely did:

    surely ended             must be gone
    no possible killer       must be there, if its act was acknowledged, or if a reader saw the text
    otherwise                may be either

An act surely came before another if it ended before the other began. Readers make the times of texts more exact. A text
was written before a reader saw it. No act that had ended before that read ended it. If no erasure lies between, the
seqs order writes and removals: a removal took exactly the seqs up to the last one it returned.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from tests.soak.journals import Journals
from tests.soak.records import DONE, FOREVER, NOTHING, Act, Turn, turn_id

NEVER = -FOREVER
Place = int | str | None


@dataclass
class Text:
    """A text with the time of its act. `place` stays None until a line names it."""

    name: str
    act: Act
    number: int  # in the act
    turn: Turn | None  # None: the member of a patch
    place: Place
    ended: float  # it was there before, if it ever was
    seen_at: float = NEVER  # the begin of the last read that saw it
    here: bool = False  # whether it surely was there once
    killers: "tuple[Killer, ...]" = ()
    gone_since: float = FOREVER  # it must not be there from then on
    threatened_since: float = FOREVER  # it may be gone from then on

    @property
    def began(self) -> float:
        """Return when the act began."""
        return self.act.began

    @property
    def must_be_gone(self) -> bool:
        """Return whether something surely ended the text."""
        return self.act.gone or any(killer.sure for killer in self.killers)


@dataclass(frozen=True)
class Killer:
    """An act that may have ended a text before `ended`; `sure` if it did."""

    act: Act
    ended: float
    sure: bool


@dataclass
class History:
    """All acts and texts, by session."""

    texts: dict[str, Text] = field(default_factory=dict)
    by_session: dict[str, list[Text]] = field(default_factory=lambda: defaultdict(list))
    by_place: dict[tuple[str, Place], list[Text]] = field(default_factory=lambda: defaultdict(list))
    writes: dict[str, list[Act]] = field(default_factory=lambda: defaultdict(list))  # with patches, which also create
    removals: dict[str, list[Act]] = field(default_factory=lambda: defaultdict(list))
    erasures: dict[str, list[Act]] = field(default_factory=lambda: defaultdict(list))
    _ends: dict[str, float] = field(default_factory=dict)
    _of_user: dict[str | None, set[str]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def of(cls, journals: Journals, stored: Iterable[tuple[str, str, Place]]) -> "History":
        """Collect the acts, and what was seen by readers and at the end, as (id, session, place)."""
        history = cls()
        for act in journals.acts:
            history._add(act)
        for erasure in journals.user_acts:
            if erasure.kind == "erase_user":
                for session in history.sessions_of(erasure.user):
                    history._add(replace(erasure, session=session))
        for page in journals.pages:
            for seq, name, _ in page.turns:
                history._see(name, page.session, seq, page.began, page.ended)
            for member, name in page.members:
                history._see(name, page.session, member, page.began, page.ended)
        for walk in journals.walks:
            for session, seq, name in walk.previews:
                history._see(name, session, seq, walk.began, walk.ended)
        for export in journals.exports:
            for session, seq, name, _ in export.turns:
                history._see(name, session, seq, export.began, export.ended)
        for name, session, place in stored:
            history._see(name, session, place, FOREVER, FOREVER)
        for text in history.texts.values():
            history._place_by_neighbours(text)
            history.by_session[text.act.session].append(text)
            if text.place is not None:
                history.by_place[text.act.session, text.place].append(text)
        history.judge()
        return history

    def sessions_of(self, user: str | None) -> set[str]:
        """Return the sessions that requests gave to a user."""
        return self._of_user.get(user, set())

    def of_act(self, act: Act) -> list[Text]:
        """Return the texts of an act in their order."""
        return [self.texts[turn_id(act.request, number)] for number in range(max(1, len(act.turns)))]

    def killers(self, text: Text) -> Iterator[Killer]:
        """Yield the acts that may have ended a text."""
        session = text.act.session
        for act in (*self.erasures[session], *self.removals[session]):
            if self.is_in_range(act, text):
                yield from self._after(act, text, act.ended, done=act.outcome == DONE)
        for other in self.by_place.get((session, text.place), ()):
            if other.act.kind != "write" and other is not text:
                yield from self._after(other.act, text, other.ended, done=other.here)

    def is_in_range(self, act: Act, text: Text) -> bool:
        """Return whether a removal or erasure would take a text that was there at its time."""
        if act.kind == "remove" and (not isinstance(text.place, int) or text.place <= (act.after or 0)):
            return False
        # If-Match kept it from a session that already had this turn.
        return not (isinstance(text.place, int) and act.bound is not None and text.place > act.bound)

    def judge(self) -> None:
        """Find out since when each text is gone, and since when it may be."""
        for text in self.texts.values():
            text.killers = tuple(self.killers(text))
            if text.act.gone:
                text.gone_since, text.threatened_since = text.act.ended, NEVER
            for killer in text.killers:
                text.threatened_since = min(text.threatened_since, killer.act.began)
                if killer.sure:
                    text.gone_since = min(text.gone_since, killer.ended)
        for act in (act for acts in self.writes.values() for act in acts):
            self._ends[act.request] = act.ended
            if act.outcome != NOTHING:
                self._ends[act.request] = FOREVER if act.late else min(text.ended for text in self.of_act(act))

    def may_be_erased(self, session: str, after: float, before: float) -> bool:
        """Return whether an erasure may have happened between two times."""
        return any(
            act.outcome != NOTHING and (act.ended >= after or act.late) and act.began <= before
            for act in self.erasures[session]
        )

    def must_be_unknown(self, session: str, began: float, ended: float) -> bool:
        """Return whether a session was erased before `began`, and surely not written again before `ended`."""
        erased = max(
            (act.began for act in self.erasures[session] if act.outcome == DONE and act.ended < began), default=NEVER
        )
        if erased == NEVER:
            return False
        return all(act.began > ended or self.surely_ended(act) < erased for act in self.writes[session])

    def surely_ended(self, act: Act) -> float:
        """Return the time before which a write or patch happened, if it did, from its answers and from readers."""
        return self._ends[act.request]

    def happened(self, act: Act) -> bool:
        """Return whether a write or patch was surely done, and no answer says that it was erased later."""
        return not act.gone and self.of_act(act)[0].here

    def _after(self, act: Act, text: Text, ended: float, *, done: bool) -> Iterator[Killer]:
        """Yield `act` as a killer, unless it surely came before the text, or did nothing."""
        if act is text.act or act.outcome == NOTHING:
            return
        before, sure = ended < text.began or ended <= text.seen_at, done and text.ended < act.began
        by_seq = self._removed(act, text)
        if by_seq is not None:
            before, sure = not by_seq, by_seq
        if sure or act.late or not before:
            yield Killer(act, ended, sure)

    def _removed(self, act: Act, text: Text) -> bool | None:
        """Return whether a removal came after a text, or None if the seqs do not say so."""
        if act.kind != "remove" or act.last_seq is None or not isinstance(text.place, int) or not text.here:
            return None
        first, last = min(act.began, text.began), max(act.ended, text.ended)
        # After an erasure the seqs begin again.
        return None if self.may_be_erased(act.session, first, last) else text.place <= act.last_seq

    def _add(self, act: Act) -> None:
        if act.kind in ("erase", "erase_user"):
            self.erasures[act.session].append(act)
            return
        if act.kind == "remove":
            self.removals[act.session].append(act)
            return
        if act.kind in ("write", "patch"):
            self.writes[act.session].append(act)
            if act.user is not None:
                self._of_user[act.user].add(act.session)
        turns: Sequence[Turn | None] = act.turns or (None,)
        for number, turn in enumerate(turns):
            place: Place = act.member if turn is None else None if act.seqs is None else act.seqs[number]
            name = turn_id(act.request, number)
            here = act.outcome == DONE
            self.texts[name] = Text(name, act, number, turn, place, act.ended, here=here)

    def _see(self, name: str, session: str, place: Place, began: float, ended: float) -> None:
        """Note that a text was at a place at some time between `began` and `ended`."""
        text = self.texts.get(name)
        if text is None or text.act.session != session:
            return
        if text.place is None:
            text.place = place
        if text.place == place:
            text.here = True
            text.ended = min(text.ended, ended)
            text.seen_at = max(text.seen_at, began)

    def _place_by_neighbours(self, text: Text) -> None:
        """Place the turns of a batch that are not acknowledged. Its turns come together, so one places all."""
        if text.here or len(text.act.turns) < 2:
            return
        for other in self.of_act(text.act):
            if other.here and isinstance(other.place, int):
                text.place = other.place - other.number + text.number
                text.here, text.ended = True, min(text.ended, other.ended)
                return
