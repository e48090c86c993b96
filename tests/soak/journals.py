"""Read the journals: each request with its attempts becomes an act with an outcome, or a page or walk that was seen."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.soak.journal import Line, lines
from tests.soak.person_records import ROW, TEXTS, USER_ACTS, Export, UserAct, UserSeen
from tests.soak.records import ACTS, DONE, FOREVER, NOTHING, REFUSALS, SUCCESSES, Act, Answer, Page, Search, Turn, Walk


@dataclass
class Journals:
    """The content of all journals."""

    acts: list[Act] = field(default_factory=list)
    user_acts: list[UserAct] = field(default_factory=list)
    pages: list[Page] = field(default_factory=list)
    walks: list[Walk] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)
    users: list[UserSeen] = field(default_factory=list)
    exports: list[Export] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    misread: list[str] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, paths: Sequence[Path]) -> Self:
        """Read the journals, one file per client."""
        journals = cls()
        for path in paths:
            journals._add(path)
        return journals

    @property
    def acknowledged(self) -> int:
        """The number of turns whose writing was acknowledged."""
        return sum(len(act.turns) for act in self.acts if act.kind == "write" and act.seqs is not None)

    def _add(self, path: Path) -> None:
        requests: dict[str, list[Line]] = {}
        open_sends: dict[tuple[str, int], Line] = {}
        for line in lines(path):
            request, event = line["request"], line["event"]
            if event == "misread":
                self.misread.append(f"{request}: {line['what']}")
            elif event == "seen":
                self._see(requests[request], line)
            elif event == "found":
                self._see_search(line)
            elif event in ("user", "export"):
                self._see_person(line)
            elif event == "send":
                open_sends[request, line["attempt"]] = line
                requests.setdefault(request, []).append(line)
            else:
                sent = open_sends.pop((request, line["attempt"]))
                seconds = line["at"] - sent["at"]
                answer = Answer(path.stem, sent["kind"], line["status"], line["at"], seconds, "replayed" in line)
                self.answers.append(answer)
                requests[request].append(line)
        self.acts += [act_of(each) for each in requests.values() if each[0]["kind"] in ACTS]
        self.user_acts += [user_act_of(each) for each in requests.values() if each[0]["kind"] in USER_ACTS]
        self.unanswered += [f"{request}, attempt {attempt}" for request, attempt in open_sends]

    def _see_person(self, line: Line) -> None:
        request, user, began, ended = line["request"], line["user"], line["began"], line["at"]
        if line["event"] == "user":
            self.users.append(UserSeen(request=request, user=user, began=began, ended=ended, members=line["members"]))
            return
        turns = tuple((session, seq, name, hashed) for session, seq, name, hashed in line["turns"])
        self.exports.append(Export(request=request, user=user, began=began, ended=ended, turns=turns))

    def _see_search(self, line: Line) -> None:
        places = tuple((session, seq) for session, seq in line["places"])
        self.searches.append(
            Search(request=line["request"], began=line["began"], ended=line["at"], name=line["name"], places=places)
        )

    def _see(self, request: Sequence[Line], line: Line) -> None:
        if "sessions" in line:
            sessions = tuple(line["sessions"])
            self.walks.append(
                Walk(
                    request=line["request"],
                    began=line["began"],
                    ended=line["at"],
                    user=line["user"],
                    sessions=sessions,
                    previews=tuple((session, seq, name) for session, seq, name in line["previews"]),
                )
            )
            return
        sent = next(each for each in reversed(request) if each["event"] == "send")
        low, high = line["from"], line["to"]
        self.pages.append(
            Page(
                request=line["request"],
                session=line["session"],
                began=sent["at"],
                ended=line["at"],
                low=low,
                high=FOREVER if high is None else high,
                turns=tuple((seq, name, hashed) for seq, name, hashed in line["turns"]),
                members=tuple((member, name) for member, name in line.get("members", ())),
                tag=line["tag"],
                count=line["count"],
            )
        )


def act_of(request: Sequence[Line]) -> Act:
    """Return what a request did, from its lines in the order of time. The first line says what it asked for."""
    first = request[0]
    act = Act(
        request=first["request"],
        kind=first["kind"],
        session=first["session"],
        began=first["at"],
        keyed=first.get("keyed", False),
        turns=tuple(Turn(*texts) for texts in first.get("turns", ())),
        seqs=(first["seq"],) if "seq" in first else None,
        after=first.get("after"),
        member=first.get("member"),
        user=first.get("user"),
        match=first.get("match"),
    )
    _settle(act, request)
    return act


def user_act_of(request: Sequence[Line]) -> UserAct:
    """Return what a request did with a user, from its lines in the order of time."""
    first = request[0]
    # An erasure takes all members and the row. A PUT makes the row.
    members = first.get("members", dict.fromkeys((*TEXTS, ROW))) | ({ROW: ROW} if first.get("makes") else {})
    act = UserAct(
        request=first["request"],
        kind=first["kind"],
        session="",
        began=first["at"],
        user=first["user"],
        match=first["match"],
        members=members,
    )
    _settle(act, request)
    return act


def _settle(act: Act, request: Sequence[Line]) -> None:
    """Note the outcome of a request."""
    answers = [line for line in request if line["event"] == "answer"]
    sends = [line for line in request if line["event"] == "send"]
    open_ones = [line for line in answers if line["status"] not in SUCCESSES | REFUSALS]
    unanswered = len(open_ones) + len(sends) - len(answers)
    act.disturbed = unanswered > 0
    act.by = request[0].get("by")
    done = next((line for line in answers if line["status"] in SUCCESSES), None)
    last = answers[-1] if answers else None
    if done is not None:
        _acknowledge(act, done)
        act.late = bool(unanswered) and not act.keyed and not act.whole_tag
    elif act.kind == "write" and last is not None and last["status"] == "410":
        act.outcome, act.ended, act.gone = DONE, last["at"], True
    elif last is not None and last["status"] in REFUSALS:
        _refuse(act, last, hidden=bool(unanswered))


def _acknowledge(act: Act, answer: Line) -> None:
    act.outcome, act.ended, act.answer = DONE, answer["at"], answer
    act.tag, act.last_seq = answer.get("tag"), answer.get("last_seq")
    if "seqs" in answer:
        act.seqs = tuple(answer["seqs"])


def _refuse(act: Act, answer: Line, hidden: bool) -> None:
    """Note a request whose last attempt was refused. `hidden`: an earlier attempt had no answer.

    The layer repeats a change with a whole tag by itself. So even the only 412 may come after the change was done.
    """
    status, changes = answer["status"], act.kind != "write"
    if act.kind in ("erase", "erase_user") and status == "404" and (hidden or act.whole_tag):
        # Everything that was there before the first attempt has gone.
        act.outcome, act.ended = DONE, answer["at"]
        act.late = hidden and not act.whole_tag
    elif changes and act.whole_tag and status in ("404", "412"):
        # The session has another state now, and never this one again. So no attempt can arrive later.
        act.ended = answer["at"]
    elif not hidden:
        act.outcome, act.ended = NOTHING, answer["at"]
