"""Write turns as a careful client does: with a key it repeats until it knows the outcome, without one never.

409 says that nothing was written, because the session is being erased or other requests were in the way. So each write
may be repeated after it. 410 says that an earlier attempt was written, and that its session was erased since.
"""

import time
from collections.abc import Sequence
from dataclasses import astuple
from datetime import UTC, datetime
from typing import Any

from tests.bench.texts import pairs
from tests.soak.asking import Asker, Reply, Request, session_path
from tests.soak.records import Turn, as_items, turn_id
from tests.soak.sessions import Remembered, Session

BATCH = (2, 12)  # turns
# A third of the writes are batches, and three quarters have a key.
BATCHES = 0.33
KEYED = 0.75
MATCHED = 0.1  # have If-Match, if the client knows the session's state
PERSONALITIES = ("barista", "guide", "nurse", "pilot", "teacher")
KINDS = ("speech", "gesture", "gaze")
INTERACTIONS = 0.2
ITEMS = 0.15
UNANSWERED = 0.1  # the share of turns that get their answer later, by PUT
# The share of writes in which the client leaves before the answer. Such a write may be stored.
IMPATIENT = 0.02
REMEMBERED = 8  # writes of a session that are sent again later
# The clock of a fault steps by at most 20 hours. So a key that was made at the true time is still valid.
TRUE_TIME_SECONDS = 120.0


def make_turn(asker: Asker, name: str, number: int = 0, *, answered: bool | None = None) -> Turn:
    """Return a turn of a request, with its id in both texts and in its items."""
    chance, label = asker.chance, f"[{turn_id(name, number)}]"
    said, reply = chance.choice(pairs())
    kind = chance.choice(KINDS) if chance.random() < INTERACTIONS else None
    items = None
    if chance.random() < ITEMS:
        call = {"type": "function_call", "call_id": label, "arguments": {"words": said, "n": chance.randrange(1000)}}
        items = as_items([call] * chance.randint(1, 3))
    if answered is None:
        answered = chance.random() >= UNANSWERED
    text = f"{reply} {label}" if answered else ""
    return Turn(f"{label} {said}", text, chance.choice(PERSONALITIES), kind, items)


def write(asker: Asker, session: Session, match: str | None = None) -> Reply:
    """Write a turn or a batch to a session, at times with If-Match, or with `match`. Return the last reply."""
    chance, name = asker.chance, asker.next_name()
    count = chance.randint(*BATCH) if chance.random() < BATCHES else 1
    keyed = chance.random() < KEYED
    impatient = chance.uniform(0.002, 0.1) if chance.random() < IMPATIENT else None
    turns = [make_turn(asker, name, number) for number in range(count)]
    if match is None and session.tag is not None and chance.random() < MATCHED:
        match = session.tag if chance.random() < 0.5 else session.tag.split(".")[0]
    return send(asker, session, name, turns, keyed=keyed, match=match, timeout=impatient)


def send(
    asker: Asker,
    session: Session,
    name: str,
    turns: Sequence[Turn],
    *,
    keyed: bool = True,
    match: str | None = None,
    timeout: float | None = None,
) -> Reply:
    """Write turns, and repeat that if it is safe. Return the last reply."""
    bodies = [turn.body for turn in turns]
    request = _request(session, name, bodies, keyed=keyed, match=match)
    request.facts = {
        "session": session.name,
        "keyed": keyed,
        "match": match,
        "turns": [astuple(turn) for turn in turns],
        "user": asker.user,
    }
    certain = session.is_certain
    while True:
        reply = asker.ask(request, timeout if request.attempts == 0 else None)
        if reply.status == "201":
            _written(session, request, turns, reply, keyed)
            asker.remember(*(turn_id(name, number) for number in range(len(turns))))
            return reply
        if reply.status == "410":
            session.erased()
            if certain:
                asker.misread(request, f"410 in a session that no client erased: {reply.body}")
            return reply
        if reply.status == "412":
            session.tag = None
            if certain and request.attempts == 1:
                asker.misread(request, f"412 on the session's own tag {match}: {reply.body}")
            return reply
        if reply.refused and reply.status != "409":
            asker.misread(request, f"refused with {reply.status}: {reply.body}")
            return reply
        if not asker.may_repeat or not (keyed or reply.status == "409"):
            session.tag, session.doubt = None, session.doubt or reply.status != "409"
            return reply


def send_again(asker: Asker, session: Session, *, erased: bool) -> None:
    """Send an acknowledged write with a key again. `erased`: the session was erased since, so 410 must come."""
    if not session.remembered:
        return
    old = asker.chance.choice(session.remembered)
    request = _request(session, old.request, old.turns, keyed=True, match=None)
    request.attempts = 1000  # a number that no attempt of the write itself has
    reply = asker.ask(request)
    if erased and reply.status == "201":
        asker.misread(request, "a key of an erased session was answered with 201")
    elif reply.status == "201":
        seqs = [each["seq"] for each in reply.body["messages"]]
        if not reply.replayed or seqs != old.seqs:
            asker.misread(request, f"a repeated key answered seqs {seqs} instead of {old.seqs}")
    elif reply.refused and not (reply.status == "410" and (erased or not session.is_certain)):
        asker.misread(request, f"a repeated key answered {reply.status}: {reply.body}")
    session.remembered.remove(old)


def _request(session: Session, name: str, bodies: list[Any], *, keyed: bool, match: str | None) -> Request:
    headers = {"Idempotency-Key": name} if keyed else {}
    if match is not None:
        headers["If-Match"] = f'"{match}"'
    body = bodies[0] if len(bodies) == 1 else {"messages": bodies}
    return Request("write", "POST", session_path(session.name, "/messages"), body, headers, name=name)


def _written(session: Session, request: Request, turns: Sequence[Turn], reply: Reply, keyed: bool) -> None:
    seqs = [each["seq"] for each in reply.body["messages"]]
    session.last_seq = max(session.last_seq, seqs[-1])
    # A replay has no tag, and after a retry the session may have another one than before.
    session.tag = reply.tag
    session.kinds |= {seq: turn.interaction_type for seq, turn in zip(seqs, turns, strict=True)}
    written_at = datetime.strptime(reply.body["messages"][0]["created_at"], "%Y-%m-%dT%H:%M:%S.%f%z")
    true_time = datetime.fromtimestamp(time.time(), UTC)
    if keyed and abs((true_time - written_at).total_seconds()) < TRUE_TIME_SECONDS:
        session.remembered.append(Remembered(request.name, [turn.body for turn in turns], seqs))
        del session.remembered[:-REMEMBERED]
