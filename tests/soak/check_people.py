"""Compare what clients know of people with the rows: their members, what was erased, and what readers saw.

Each member of a user is judged by itself, and so is whether there is a row. A value is explained at a time if an act
set it, and if no other act surely set another one in between. An erasure sets all members to nothing.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from tests.soak.history import NEVER, History
from tests.soak.journals import Journals
from tests.soak.person_records import ROW, SHOWN, TEXTS, Export, Members, UserAct, UserSeen
from tests.soak.records import DONE, FOREVER, NOTHING, UNKNOWN
from tests.soak.stored import Stored


@dataclass
class Users:
    """All changes of users, by user."""

    acts: Mapping[str, list[UserAct]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, acts: Sequence[UserAct]) -> "Users":
        """Collect the acts that may have happened."""
        users = cls()
        for act in acts:
            if act.outcome != NOTHING:
                users.acts[act.user or ""].append(act)
        return users

    def is_explained(self, user: str, member: str, value: str | None, began: float, ended: float) -> bool:
        """Return whether a member can have had a value at some time between `began` and `ended`."""
        setters = [act for act in self.acts.get(user, ()) if member in act.members and act.began <= ended]
        candidates = [FOREVER if act.late else act.ended for act in setters if act.members[member] == value]
        # Nothing is there before the first act.
        candidates += [NEVER] if value is None else []
        last = max(candidates, default=None)
        return last is not None and not any(
            act.outcome == DONE and act.members[member] != value and last < act.began and act.ended < began
            for act in setters
        )


def check_people(
    history: History,
    journals: Journals,
    stored: Stored,
    undead: list[str],
    lost_edits: list[str],
    strangers: list[str],
    misread: list[str],
) -> None:
    """Find lost changes, and people or their turns that are left, or that a reader saw, although they were gone."""
    users = Users.of(journals.user_acts)
    for name in sorted(users.acts.keys() | stored.users.keys()):
        members = stored.users.get(name)
        if name not in users.acts:
            strangers.append(f"the user {name} was never made")
        for member, value in _values(members, tuple(TEXTS)):
            if not users.is_explained(name, member, value, FOREVER, FOREVER):
                found = undead if value is not None and _is_erased(users.acts[name]) else lost_edits
                found.append(f"{member} of the user {name} is {value}")
    for name in stored.erasing_users:
        undead.append(f"the user {name} is still being erased")
    for seen in journals.users:
        _check_seen(users, seen, misread)
    for export in journals.exports:
        _check_export(history, export, misread, undead)
    people = {act.user for act in journals.user_acts} | {export.user for export in journals.exports}
    for person in sorted(filter(None, people)):
        _check_owner(history, stored, person, strangers)
    _check_tags(journals.user_acts, lost_edits)


def half_erasures(history: History, acts: Sequence[UserAct], there: Mapping[str, object]) -> Iterator[str]:
    """Yield erasures of users without a known outcome that took only some of the turns that were surely there."""
    for act in acts:
        if act.kind == "erase_user" and act.outcome == UNKNOWN:
            texts = [text for session in history.sessions_of(act.user) for text in history.by_session[session]]
            texts = [text for text in texts if text.turn is not None and text.here and text.ended < act.began]
            left = sum(1 for text in texts if text.name in there)
            took = sum(
                1
                for text in texts
                if text.name not in there and {killer.act.request for killer in text.killers} == {act.request}
            )
            if took and left:
                yield f"{act.request} took {took} turns of {act.user}, and left {left}"


def _values(members: Members | None, names: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    yield ROW, None if members is None else ROW
    for name in names:
        yield name, None if members is None else members.get(name)


def _is_erased(acts: Sequence[UserAct]) -> bool:
    """Return whether an erasure is the last act that was surely done."""
    last = max((act for act in acts if act.outcome == DONE), key=lambda act: act.ended, default=None)
    return last is not None and last.kind == "erase_user"


def _check_seen(users: Users, seen: UserSeen, misread: list[str]) -> None:
    for member, value in _values(seen.members, SHOWN):
        if not users.is_explained(seen.user, member, value, seen.began, seen.ended):
            misread.append(f"{seen.request}: {member} of the user {seen.user} was {value}")


def _check_export(history: History, export: Export, misread: list[str], undead: list[str]) -> None:
    """Find turns in an export that were gone or another's, and those that are missing although they were there."""
    sessions = history.sessions_of(export.user)
    for name, times in Counter(name for _, _, name, _ in export.turns).items():
        if times > 1:
            misread.append(f"{export.request}: {name} is in the export {times} times")
    for session, seq, name, hashed in export.turns:
        text = history.texts.get(name)
        if text is None or text.turn is None or text.act.outcome == NOTHING or session not in sessions:
            misread.append(f"{export.request}: the export of {export.user} has {name} of {session}")
        elif (text.act.session, text.place, text.turn.digest) != (session, seq, hashed):
            misread.append(f"{export.request}: {name} at {session} {seq} is not as it was sent")
        elif text.gone_since < export.began:
            undead.append(f"{export.request}: the export has {name}, which was gone")
    exported = {name for _, _, name, _ in export.turns}
    for session in sessions:
        for text in history.by_session[session]:
            is_there = text.here and text.ended < export.began and text.threatened_since > export.ended
            if text.turn is not None and is_there and text.name not in exported:
                misread.append(f"{export.request}: the export is without {text.name} at {session} {text.place}")


def _check_owner(history: History, stored: Stored, person: str, strangers: list[str]) -> None:
    """Find sessions of a person that have another owner. No client of people makes a session for anyone else."""
    for session in sorted(history.sessions_of(person)):
        owner = stored.owners.get(session, person)
        if owner != person:
            strangers.append(f"{session} of {person} belongs to {owner}")


def _check_tags(acts: Sequence[UserAct], lost_edits: list[str]) -> None:
    """Find two changes that were both acknowledged on the same tag."""
    on: dict[tuple[str | None, str | None], list[str]] = defaultdict(list)
    for act in acts:
        if act.outcome == DONE and act.match is not None and act.tag is not None:
            on[act.user, act.match].append(act.request)
    for (user, tag), requests in on.items():
        if len(requests) > 1:
            lost_edits.append(f"{' and '.join(requests)} changed the user {user} on the same tag {tag}")
