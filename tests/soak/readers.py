"""Compare what readers saw, in pages of a session and in walks over the list of sessions, with the history."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise

from tests.soak.history import History, Place
from tests.soak.records import NOTHING, Page, Walk


def check_pages(history: History, pages: Iterable[Page], misread: list[str], undead: list[str]) -> None:
    """Find pages with a text that was gone, or without one that was there, and two states with one tag."""
    highest: dict[str, int] = defaultdict(int)
    members: dict[str, set[str]] = defaultdict(set)
    for session, place in history.by_place:
        if isinstance(place, int):
            highest[session] = max(highest[session], place)
        elif place is not None:
            members[session].add(place)
    states: dict[tuple[str, str], tuple[int, dict[int, str]]] = {}
    for page in pages:
        _check_shown(history, page, misread, undead)
        shown = {name for _, name, _ in page.turns} | {name for _, name in page.members}
        covered: list[Place] = [*range(int(page.low), int(min(page.high, highest[page.session])) + 1)]
        for place in (*covered, *members[page.session]):
            for text in history.by_place.get((page.session, place), ()):
                is_there = text.here and text.ended < page.began and text.threatened_since > page.ended
                if is_there and text.name not in shown:
                    misread.append(f"{page.request}: {page.session} without {text.name} at {place}")
        if page.tag is not None:
            count, turns = states.setdefault((page.session, page.tag), (page.count, {}))
            now = {seq: hashed for seq, _, hashed in page.turns}
            if count != page.count or any(turns.get(seq, hashed) != hashed for seq, hashed in now.items()):
                misread.append(f"{page.request}: {page.session} had another state with the same tag {page.tag}")
            turns.update(now)


def _check_shown(history: History, page: Page, misread: list[str], undead: list[str]) -> None:
    seqs = [seq for seq, _, _ in page.turns]
    if any(later <= seq for seq, later in pairwise(seqs)):
        misread.append(f"{page.request}: seqs {seqs}")
    shown: Sequence[tuple[Place, str, str]] = [*page.turns, *((member, name, "") for member, name in page.members)]
    for place, name, hashed in shown:
        text = history.texts.get(name)
        if text is None:
            misread.append(f"{page.request}: {name}, which was never sent")
        elif text.act.outcome == NOTHING:
            misread.append(f"{page.request}: {name}, which was refused")
        elif text.act.session != page.session or text.place != place:
            misread.append(f"{page.request}: {name} at {page.session} {place}, not at {text.act.session} {text.place}")
        elif text.turn is not None and text.turn.digest != hashed:
            misread.append(f"{page.request}: {name} is not as it was sent")
        elif text.gone_since < page.began:
            undead.append(f"{page.request}: {name}, which was gone")


def check_walks(history: History, walks: Iterable[Walk], misread: list[str], undead: list[str]) -> None:
    """Find walks with a session twice, with one that was erased, or without one that no client touched meanwhile."""
    of_user: dict[str | None, set[str]] = defaultdict(set)
    for name, acts in history.writes.items():
        for act in acts:
            of_user[act.user].add(name)
    of_user[None] = set(history.writes)
    for walk in walks:
        listed = set(walk.sessions)
        # A namesake of an erased session is another session. A clock that stepped back gives it a place further down.
        if twice := [
            name
            for name, times in Counter(walk.sessions).items()
            if times > 1 and not (times == 2 and history.may_be_erased(name, walk.began, walk.ended))
        ]:
            misread.append(f"{walk.request}: the list has {twice[:5]} twice")
        for name in sorted(listed):
            if history.must_be_unknown(name, walk.began, walk.ended):
                undead.append(f"{walk.request}: the list has {name}, which was erased")
            if name not in of_user[walk.user]:
                misread.append(f"{walk.request}: the list of {walk.user} has {name}")
        for session, seq, name in walk.previews:
            text = history.texts.get(name)
            if text is None or text.act.session != session or text.place != seq:
                misread.append(f"{walk.request}: the preview of {session} has {name} at {seq}")
            elif text.gone_since < walk.began:
                undead.append(f"{walk.request}: the preview of {session} has {name}, which was gone")
        for name in sorted(of_user[walk.user] - listed):
            if _must_be_listed(history, name, walk):
                misread.append(f"{walk.request}: the list is without {name}")


def _must_be_listed(history: History, name: str, walk: Walk) -> bool:
    """Return whether a session was surely there, and neither written nor erased, during the whole walk."""
    made = False
    for act in history.writes[name]:
        ended = history.surely_ended(act)
        if act.outcome == NOTHING:
            continue
        if act.began <= walk.ended and ended >= walk.began:
            return False
        if ended < walk.began and history.happened(act) and (walk.user is None or act.user == walk.user):
            made = made or not history.may_be_erased(name, act.began, walk.ended)
    return made
