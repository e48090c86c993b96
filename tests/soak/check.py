"""Compare journals with rows: lost turns, doubled turns, gaps in sequences, and batches that are half written."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg

from tests.soak.journal import Turn, Write

_ID = re.compile(r"\[([^\]\s]+)\] ")


@dataclass(frozen=True)
class Row:
    """A turn as the database has it."""

    session: str
    seq: int
    turn: Turn
    created_at: str  # in the format of the API, which sorts by time


@dataclass(frozen=True)
class Stored:
    """All turns of a tenant, by session and seq, and each session's own count and times."""

    rows: Sequence[Row]
    counts: Mapping[str, int]
    # From the first turn to the last. A read looks only at this time.
    lived: Mapping[str, tuple[str, str]]


@dataclass
class Findings:
    """Violations, one line each. A store that keeps its promises produces no line."""

    # Acknowledged, but missing, changed, or not at the acknowledged place.
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    half_batches: list[str] = field(default_factory=list)
    # The time of a turn contradicts its seq, or lies outside the time of its session.
    out_of_time: list[str] = field(default_factory=list)
    # Stored, but never sent, or sent with another content or to another session.
    strangers: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        """Return every violation with its kind."""
        return [f"{kind}: {each}" for kind, found in vars(self).items() for each in found]


def turn_id(number: str, turn_number: int) -> str:
    """Return the id of a turn of a request. The turn's user_message begins with it, in brackets."""
    return f"{number}.{turn_number}"


def id_of(user_message: str) -> str | None:
    """Return the id at the beginning of a text, or None without one."""
    match = _ID.match(user_message)
    return match and match[1]


def read_stored(observer: psycopg.Connection, tenant: str = "local") -> Stored:
    """Read all turns of `tenant`. The observer is a superuser, so row-level security hides no row."""
    with observer.transaction():
        rows = observer.execute(
            """
            select
              c.session_id, c.seq, robot_brain.iso_time(c.created_at),
              c.user_message, c.robot_response, c.robot_personality, i.types
            from robot_brain.conversations c
            left join (
              select session_id, seq, string_agg(interaction_type, ' and ') as types
              from robot_brain.robot_interactions where tenant_id = %(tenant)s group by 1, 2
            ) i using (session_id, seq)
            where c.tenant_id = %(tenant)s order by c.session_id, c.seq
            """,
            {"tenant": tenant},
        ).fetchall()
        sessions = observer.execute(
            """
            select id, message_count, robot_brain.iso_time(created_at), robot_brain.iso_time(last_active)
            from robot_brain.sessions where tenant_id = %s
            """,
            [tenant],
        ).fetchall()
    return Stored(
        [Row(session, seq, Turn(*turn), created_at) for session, seq, created_at, *turn in rows],
        {name: count for name, count, *_ in sessions},
        {name: (began, ended) for name, _, began, ended in sessions},
    )


def check(writes: Iterable[Write], stored: Stored) -> Findings:
    """Compare what clients know with what is stored."""
    findings = Findings()
    places: dict[str, list[Row]] = defaultdict(list)
    for row in stored.rows:
        places[id_of(row.turn.user_message) or f"without an id: {row.turn.user_message[:40]!r}"].append(row)
    known: set[str] = set()
    for write in writes:
        found = [places.get(turn_id(write.request, number), []) for number in range(len(write.turns))]
        known.update(turn_id(write.request, number) for number in range(len(write.turns)))
        _check_write(write, found, findings)
    for name, rows in places.items():
        if len(rows) > 1:
            findings.doubled.append(f"{name} is there {len(rows)} times: {_places(rows)}")
        if name not in known:
            findings.strangers.append(f"{name} was never sent: {_places(rows)}")
    _check_sequences(stored, findings)
    _check_times(stored, findings)
    return findings


def _check_write(write: Write, found: Sequence[Sequence[Row]], findings: Findings) -> None:
    there = sum(1 for rows in found if rows)
    if 0 < there < len(write.turns):
        findings.half_batches.append(f"{write.request}: {there} of {len(write.turns)} turns are there")
    elif there > 1 and not any(len(rows) > 1 for rows in found):
        first = found[0][0]
        expected = [(first.session, first.seq + number) for number in range(len(found))]
        if [(rows[0].session, rows[0].seq) for rows in found] != expected:
            findings.half_batches.append(f"{write.request}: its turns are not together: {_places(found[0])}")
    for number, (turn, rows) in enumerate(zip(write.turns, found, strict=True)):
        name = turn_id(write.request, number)
        as_sent = [row for row in rows if row.turn == turn and row.session == write.session]
        if write.seqs is None:
            if len(as_sent) < len(rows):
                findings.strangers.append(f"{name} is not as it was sent: {_places(rows)}")
        elif not as_sent:
            findings.lost.append(f"{name}, acknowledged as {write.session} {write.seqs[number]}: {_places(rows)}")
        elif write.seqs[number] not in [row.seq for row in as_sent]:
            findings.lost.append(f"{name}, acknowledged as seq {write.seqs[number]}, is elsewhere: {_places(rows)}")


def _check_sequences(stored: Stored, findings: Findings) -> None:
    seqs: dict[str, Counter[int]] = defaultdict(Counter)
    for row in stored.rows:
        seqs[row.session][row.seq] += 1
    for session in sorted(seqs.keys() | stored.counts.keys()):
        have = seqs[session]
        count = stored.counts.get(session)
        if sorted(have.elements()) != list(range(1, have.total() + 1)):
            missing = sorted(set(range(1, max(have) + 1)) - set(have))
            findings.gaps.append(f"{session}: of {have.total()} turns, seqs missing {missing[:5]}")
        if count != have.total():
            findings.gaps.append(f"{session}: counts {count} turns and has {have.total()}")


def _check_times(stored: Stored, findings: Findings) -> None:
    latest: dict[str, Row] = {}
    for row in sorted(stored.rows, key=lambda row: (row.session, row.seq)):
        before = latest.get(row.session)
        if before is not None and row.created_at < before.created_at:
            findings.out_of_time.append(f"{row.session} {row.seq} is older than {before.seq}")
        latest[row.session] = row
        began, ended = stored.lived.get(row.session, (row.created_at, row.created_at))
        if not began <= row.created_at <= ended:
            findings.out_of_time.append(f"{row.session} {row.seq} lies outside its session's time: no read shows it")


def _places(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.session} {row.seq}" for row in rows[:5]) or "nowhere"
