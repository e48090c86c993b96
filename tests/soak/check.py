"""Compare journals with the database: what must be there, what must be gone, and what readers may have seen."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from tests.soak.check_people import check_people, half_erasures
from tests.soak.check_search import check_searches
from tests.soak.history import NEVER, History, Text
from tests.soak.journals import Journals
from tests.soak.readers import check_pages, check_walks
from tests.soak.records import DONE, NOTHING, UNKNOWN, Act, id_of
from tests.soak.stored import Row, Stored


@dataclass
class Findings:
    """Violations, one line each. A store that keeps its promises produces no line."""

    # Acknowledged, never removed or replaced, but missing, changed, or not at the acknowledged place.
    lost: list[str] = field(default_factory=list)
    # The same for what a PUT or PATCH wrote. Also two changes that were made on one tag.
    lost_edits: list[str] = field(default_factory=list)
    # Surely removed, erased or replaced, but still in a table, in a read or in a list.
    undead: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    # A seq that was used twice, one that is missing although nothing removed it, and counts that are wrong.
    gaps: list[str] = field(default_factory=list)
    # Only a part of a batch was written, or only a part of what a removal names was removed.
    half_batches: list[str] = field(default_factory=list)
    # The time of a turn contradicts its seq, or lies outside the time of its session.
    out_of_time: list[str] = field(default_factory=list)
    # Stored, but never sent, or refused, or sent with another content or to another session.
    strangers: list[str] = field(default_factory=list)
    # What readers saw contradicts what was acknowledged.
    misread: list[str] = field(default_factory=list)
    # A change without its entry in the audit trail, one with two, and an entry without its change (check_audit).
    audit: list[str] = field(default_factory=list)

    # How many texts were judged, by what must be with them at the end: there, gone, or either.
    judged: Counter[str] = field(default_factory=Counter)

    @property
    def by_kind(self) -> dict[str, list[str]]:
        """Return the violations by their kind."""
        return {kind: found for kind, found in vars(self).items() if isinstance(found, list)}

    @property
    def all(self) -> list[str]:
        """Return every violation with its kind."""
        return [f"{kind}: {each}" for kind, found in self.by_kind.items() for each in found]


def check(journals: Journals, stored: Stored) -> Findings:
    """Compare what clients know with what is stored."""
    findings = Findings()
    places: dict[str, list[Row]] = defaultdict(list)
    for row in stored.rows:
        places[id_of(row.turn.user_message) or f"without an id: {row.turn.user_message[:40]!r}"].append(row)
    ends = [(name, row.session, row.seq) for name, rows in places.items() for row in rows]
    members = [
        (name, session, member) for session, each in stored.sessions.items() for member, name in each.members.items()
    ]
    history = History.of(journals, [*ends, *members])
    for act in journals.acts:
        if act.kind in ("write", "put"):
            _check_turns(history, act, places, findings)
        elif act.kind == "patch":
            _check_patch(history.of_act(act)[0], stored, findings)
    for name, rows in places.items():
        if len(rows) > 1:
            findings.doubled.append(f"{name} is there {len(rows)} times: {_places(rows)}")
        if name not in history.texts:
            findings.strangers.append(f"{name} was never sent: {_places(rows)}")
    for name, session, member in members:
        if name not in history.texts:
            findings.strangers.append(f"{name} was never sent: user_metadata of {session}, {member}")
    _check_half_removals(history, places, findings)
    _check_traces(history, stored, places, findings)
    _check_sequences(history, stored, findings)
    _check_reuse(history, findings)
    _check_tags(journals.acts, findings)
    _check_times(stored, findings)
    for text in history.texts.values():
        findings.judged["gone" if text.must_be_gone else "there" if text.here and not text.killers else "either"] += 1
    check_pages(history, journals.pages, findings.misread, findings.undead)
    check_walks(history, journals.walks, findings.misread, findings.undead)
    check_searches(history, journals.searches, findings.lost, findings.undead, findings.doubled)
    to = findings
    check_people(history, journals, stored, to.undead, to.lost_edits, to.strangers, to.misread)
    findings.half_batches += half_erasures(history, journals.user_acts, places)
    return findings


def _check_turns(history: History, act: Act, places: dict[str, list[Row]], findings: Findings) -> None:
    """Check the texts of one write or put."""
    texts = history.of_act(act)
    lost = findings.lost if act.kind == "write" else findings.lost_edits
    found = [places.get(text.name, []) for text in texts]
    missing = 0
    for text, rows in zip(texts, found, strict=True):
        as_sent = [row for row in rows if _as_sent(row, text, history)]
        if rows and act.outcome == NOTHING:
            findings.strangers.append(f"{text.name} was refused, and is there: {_places(rows)}")
        elif not rows:
            absent = text.here and not text.killers and not act.gone
            missing += absent
            if absent and (act.outcome == DONE or text.seen_at > NEVER):
                lost.append(f"{text.name}, acknowledged or seen at {act.session} {text.place}, is nowhere")
        elif text.must_be_gone:
            findings.undead.append(f"{text.name} was removed, and is there: {_places(rows)}")
        elif act.outcome != DONE:
            if len(as_sent) < len(rows):
                findings.strangers.append(f"{text.name} is not as it was sent: {_places(rows)}")
        elif not as_sent:
            lost.append(f"{text.name}, acknowledged as {act.session} {text.place}, is changed: {_places(rows)}")
        elif text.place not in [row.seq for row in as_sent]:
            lost.append(f"{text.name}, acknowledged as seq {text.place}, is elsewhere: {_places(rows)}")
    if missing and any(found):
        findings.half_batches.append(f"{act.request}: {missing} of {len(texts)} turns are missing")
    firsts = [rows[0] for rows in found if rows]
    starts = {(rows[0].session, rows[0].seq - number) for number, rows in enumerate(found) if rows}
    if len(starts) > 1 and not any(len(rows) > 1 for rows in found):
        findings.half_batches.append(f"{act.request}: its turns are not together: {_places(firsts)}")


def _as_sent(row: Row, text: Text, history: History) -> bool:
    sent, there = text.turn, row.turn
    assert sent is not None
    if row.session != text.act.session or sent.digest != there.digest:
        return False
    if text.act.kind == "put":
        # A put names no personality. It keeps the turn's interaction, or adds one.
        written = [each.turn for each in history.by_place[row.session, row.seq] if each.act.kind == "write"]
        kinds = {turn.interaction_type for turn in written if turn is not None} if len(written) == 1 else {None}
        return (kinds | {sent.interaction_type}) <= {None, there.interaction_type}
    return (sent.robot_personality, sent.interaction_type) == (there.robot_personality, there.interaction_type)


def _check_patch(text: Text, stored: Stored, findings: Findings) -> None:
    session = stored.sessions.get(text.act.session)
    there = session is not None and session.members.get(str(text.place)) == text.name
    if there and text.act.outcome == NOTHING:
        findings.strangers.append(f"{text.name} was refused, and is in user_metadata of {text.act.session}")
    elif there and text.must_be_gone:
        findings.undead.append(f"{text.name} was replaced or erased, and is in user_metadata of {text.act.session}")
    elif not there and text.here and not text.killers:
        findings.lost_edits.append(f"{text.name} is not in user_metadata of {text.act.session}")


def _check_half_removals(history: History, places: dict[str, list[Row]], findings: Findings) -> None:
    """Find removals without a known outcome that took only some of the turns that were surely there before them."""
    for removals in (history.removals, history.erasures):
        for act in (act for acts in removals.values() for act in acts if act.outcome == UNKNOWN):
            texts = [each for each in history.by_session[act.session] if each.here and each.ended < act.began]
            texts = [each for each in texts if history.is_in_range(act, each)]
            left = sum(1 for each in texts if places.get(each.name))
            took = sum(1 for each in texts if not places.get(each.name) and [k.act for k in each.killers] == [act])
            if took and left:
                findings.half_batches.append(f"{act.request} took {took} turns, and left {left}")


def _check_traces(history: History, stored: Stored, places: dict[str, list[Row]], findings: Findings) -> None:
    """Find what is left in any table of a text or a session that is not there."""
    current = {name for session in stored.sessions.values() for name in session.members.values()} | places.keys()
    current |= {value for members in stored.users.values() for value in members.values() if value is not None}
    current |= stored.users.keys() | {owner for owner in stored.owners.values() if owner is not None}
    for name, tables in stored.traces.items():
        if name not in current and name not in stored.sessions:
            findings.undead.append(f"{name} is left in {', '.join(tables)}")
    for orphan in stored.orphans:
        findings.undead.append(f"{orphan} has an interaction, and no turn")
    for name, session in stored.sessions.items():
        if session.erasing:
            findings.undead.append(f"{name} is still marked for erasure")
        elif history.must_be_unknown(name, float("inf"), float("inf")):
            findings.undead.append(f"{name} was erased, and is there")


def _check_sequences(history: History, stored: Stored, findings: Findings) -> None:
    seqs: dict[str, Counter[int]] = defaultdict(Counter)
    unanswered: Counter[str] = Counter()
    for row in stored.rows:
        seqs[row.session][row.seq] += 1
        unanswered[row.session] += not row.turn.robot_response
    for name in sorted(seqs.keys() | stored.sessions.keys()):
        have, session = seqs[name], stored.sessions.get(name)
        if session is None:
            findings.gaps.append(f"{name}: {have.total()} turns without a session")
            continue
        if session.erasing:
            continue
        last = session.count + session.removed
        if twice := [seq for seq, times in have.items() if times > 1]:
            findings.gaps.append(f"{name}: seqs twice {twice[:5]}")
        if session.count != have.total():
            findings.gaps.append(f"{name}: counts {session.count} turns and has {have.total()}")
        if session.unanswered != unanswered[name]:
            findings.gaps.append(f"{name}: counts {session.unanswered} turns without an answer, has {unanswered[name]}")
        if have and max(have) > last:
            findings.gaps.append(f"{name}: its last seq is {last}, and seq {max(have)} is there")
        lowest = min((act.after or 0 for act in history.removals[name] if act.outcome != NOTHING), default=last)
        if unexplained := [seq for seq in range(1, min(lowest, last) + 1) if seq not in have]:
            findings.gaps.append(f"{name}: of {have.total()} turns, seqs missing {unexplained[:5]}")


def _check_reuse(history: History, findings: Findings) -> None:
    """Find seqs that were given to two turns, without an erasure between them."""
    for (session, place), texts in history.by_place.items():
        written = sorted(
            (text for text in texts if text.act.kind == "write" and text.here), key=lambda each: each.began
        )
        for first, second in pairwise(written):
            # The first attempt may have failed, so the write that began first may have been done last.
            if not history.may_be_erased(session, first.began, max(first.ended, second.ended)):
                findings.gaps.append(f"{session}: seq {place} was given to {first.name} and to {second.name}")


def _check_tags(acts: Sequence[Act], findings: Findings) -> None:
    """Find two changes that were both acknowledged on the same whole tag."""
    on: dict[tuple[str, str], list[str]] = defaultdict(list)
    for act in acts:
        if act.outcome == DONE and act.whole_tag and act.tag is not None and act.tag != act.match:
            on[act.session, str(act.match)].append(act.request)
    for (session, tag), requests in on.items():
        if len(requests) > 1:
            findings.lost_edits.append(f"{session}: {' and '.join(requests)} were both done on tag {tag}")


def _check_times(stored: Stored, findings: Findings) -> None:
    latest: dict[str, Row] = {}
    for row in sorted(stored.rows, key=lambda row: (row.session, row.seq)):
        before = latest.get(row.session)
        if before is not None and row.created_at < before.created_at:
            findings.out_of_time.append(f"{row.session} {row.seq} is older than {before.seq}")
        latest[row.session] = row
        session = stored.sessions.get(row.session)
        if session is not None and not session.began <= row.created_at <= session.active:
            findings.out_of_time.append(f"{row.session} {row.seq} lies outside its session's time: no read shows it")


def _places(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.session} {row.seq}" for row in rows[:5]) or "nowhere"
