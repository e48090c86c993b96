"""Journals and stored rows made by hand, for tests of the soak's check. Each request ends before the next begins."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.soak.check import Findings, check
from tests.soak.journal import Line
from tests.soak.journals import Journals, act_of
from tests.soak.records import Act, Page, Search, Turn, Walk, turn_id
from tests.soak.stored import Row, Stored, StoredSession

Texts = Mapping[int, str]  # ids by seq


class Diary:
    """What clients noted and what is stored. `began` and `ended` place a request among the others by hand."""

    def __init__(self) -> None:
        self.journals = Journals()
        self.now = 0.0
        self.turns: dict[str, Turn] = {}
        self.rows: list[Row] = []
        self.sessions: dict[str, StoredSession] = {}
        self.traces: dict[str, list[str]] = {}
        self.orphans: list[str] = []

    def write(self, *seqs: int, turns: int = 1, status: str = "201", **facts: Any) -> Act:
        """Note a POST that was acknowledged with `seqs`, or that had another `status`."""
        count = len(seqs) or turns
        answer: Line = {"status": status, **({"seqs": list(seqs)} if seqs else {})}
        return self._act("write", [answer], count=count, **facts)

    def put(self, seq: int, *statuses: str, **facts: Any) -> Act:
        """Note a PUT with an attempt for each status."""
        return self._act("put", [{"status": each} for each in statuses or ("200",)], seq=seq, count=1, **facts)

    def remove(self, after: int, status: str = "200", last_seq: int | None = None, **facts: Any) -> Act:
        """Note a DELETE of the turns above `after`."""
        said = {} if last_seq is None else {"last_seq": last_seq}
        return self._act("remove", [{"status": status, **said}], after=after, **facts)

    def erase(self, *statuses: str, **facts: Any) -> Act:
        """Note a DELETE of the session with an attempt for each status."""
        return self._act("erase", [{"status": each} for each in statuses or ("204",)], **facts)

    def patch(self, status: str = "200", member: str = "c01", **facts: Any) -> Act:
        """Note a PATCH of a member of user_metadata."""
        return self._act("patch", [{"status": status}], member=member, **facts)

    def page(
        self, low: int, high: int | None, turns: Texts, tag: str | None = "1.1", session: str = "s", **facts: Any
    ) -> Page:
        """Note a page with these turns, read after everything that was noted before."""
        began = self._tick(2)
        page = Page(
            request=self._name(),
            session=session,
            began=began,
            ended=began + 1,
            low=low,
            high=float("inf") if high is None else high,
            turns=tuple((seq, name, self.turns[name].digest) for seq, name in turns.items()),
            tag=tag,
            **facts,
        )
        self.journals.pages.append(page)
        return page

    def walk(
        self, *sessions: str, user: str | None = None, began: float | None = None, ended: float | None = None
    ) -> Walk:
        """Note a walk over the list."""
        now = self._tick(2)
        walk = Walk(
            request=self._name(),
            began=now if began is None else began,
            ended=now + 1 if ended is None else ended,
            user=user,
            sessions=sessions,
        )
        self.journals.walks.append(walk)
        return walk

    def search(self, name: str, *places: tuple[str, int]) -> None:
        """Note a search for the id of a text, and the places of its hits."""
        began = self._tick(2)
        self.journals.searches.append(
            Search(request=self._name(), began=began, ended=began + 1, name=name, places=places)
        )

    def store(
        self,
        turns: Texts,
        session: str = "s",
        orphans: Sequence[str] = (),
        interaction: str | None = None,
        **facts: Any,
    ) -> None:
        """Store a session with these turns. Its counter counts no removed turn, unless `removed` says so."""
        for seq, name in turns.items():
            turn = replace(self.turns[name], interaction_type=interaction)
            self.rows.append(Row(session, seq, turn, f"{seq:06}"))
            self.traces[name] = ["conversations"]
        self.orphans += orphans
        removed = max(turns, default=0) - len(turns)
        self.sessions[session] = StoredSession(**{"count": len(turns), "removed": removed, **facts})

    def check(self) -> Findings:
        """Compare the journals with what is stored."""
        return check(self.journals, Stored(self.rows, self.sessions, self.orphans, self.traces))

    @property
    def kinds(self) -> set[str]:
        """Return the kinds of the findings."""
        return {kind for kind, found in self.check().by_kind.items() if found}

    def _act(
        self,
        kind: str,
        answers: list[Line],
        count: int = 0,
        session: str = "s",
        began: float | None = None,
        ended: float | None = None,
        items: str | None = None,
        interaction: str | None = None,
        **facts: Any,
    ) -> Act:
        name = self._name()
        began = self._tick(1 + len(answers)) if began is None else began
        ended = began + len(answers) if ended is None else ended
        turns = [
            Turn(f"[{turn_id(name, number)}] hello", "good day", "barista", interaction, items)
            for number in range(count)
        ]
        self.turns.update((turn_id(name, number), turn) for number, turn in enumerate(turns))
        lines: list[Line] = []
        tag = facts.pop("tag", None)
        for attempt, answer in enumerate(answers, 1):
            at = began + (ended - began) * (attempt - 1) / len(answers)
            until = began + (ended - began) * attempt / len(answers)
            sent = {"session": session, "turns": [vars(turn).values() for turn in turns], **facts}
            lines.append({"event": "send", "request": name, "attempt": attempt, "kind": kind, "at": at, **sent})
            said = answer if tag is None or answer["status"][0] != "2" else {**answer, "tag": tag}
            lines.append({"event": "answer", "attempt": attempt, "at": until, **said})
        act = act_of(lines)
        self.journals.acts.append(act)
        return act

    def _name(self) -> str:
        journals = self.journals
        return f"c01-{len(journals.acts) + len(journals.pages) + len(journals.walks) + 1:06}"

    def _tick(self, seconds: float) -> float:
        self.now += seconds
        return self.now - seconds
