"""Replace and remove turns, and patch sessions, as a careful client does.

A change with a whole tag in If-Match happens at most once, so the client repeats it until it knows the outcome. A 412
may then come because an earlier attempt was done: the client reads the session again. Any other change that gets no
answer is never repeated, because another client may have written meanwhile. After 409 each may be repeated.
"""

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from tests.soak import reading
from tests.soak.asking import Asker, Reply, Request, session_path
from tests.soak.records import turn_id
from tests.soak.sessions import Session
from tests.soak.writing import make_turn

# How a change names the state that it expects. The rest names none.
WHOLE, DIGITS = 0.6, 0.15
MOST = 200  # turns of a page, and more than a session of one client has
COMPLETED = 0.8  # the share of puts that leave an answer


def put(asker: Asker, session: Session) -> None:
    """Replace a turn that the client knows of: complete it, edit it, or take its answer and items away."""
    match = choose_match(asker, session)
    if not session.kinds:
        return
    name, seq = asker.next_name(), asker.chance.choice(list(session.kinds))
    turn = make_turn(asker, name, answered=asker.chance.random() < COMPLETED)
    replacement = turn.replacement
    if session.is_certain and session.kinds[seq] in (None, turn.interaction_type):
        session.kinds[seq] = session.kinds[seq] or turn.interaction_type
    else:
        # A turn keeps its interaction, and another one is refused.
        replacement.pop("interaction", None)
        turn = type(turn)(turn.user_message, turn.robot_response, turn.robot_personality, None, turn.items)
    request = _change("put", "PUT", session, f"/messages/{seq}", match, seq=seq, turns=[astuple(turn)])
    request.name, request.body = name, replacement
    reply = _settle(asker, session, request, match)
    if reply.status == "200":
        asker.remember(turn_id(name))
    if reply.status == "404":
        session.kinds.pop(seq, None)
    if reply.status == "412" and session.is_certain and request.attempts == 1:
        # The layer may have repeated the request, so its 412 may come after the change was done.
        shown = reading.read(asker, session, after=seq - 1, limit=1)
        if shown is not None and turn_id(name) not in shown:
            asker.misread(request, f"412 on the session's own tag {match}, and nothing was changed")


def remove(asker: Asker, session: Session) -> None:
    """Remove the last turns of a session, or all."""
    match = choose_match(asker, session, always=session.shared)
    if not session.last_seq or (session.shared and match is None):
        return
    chance = asker.chance
    after = 0 if chance.random() < 0.05 else max(0, session.last_seq - chance.randint(0, 6))
    request = _change("remove", "DELETE", session, f"/messages?after={after}", match, after=after)
    reply = _settle(asker, session, request, match)
    if reply.status == "200":
        last = reply.body["last_seq"]
        session.last_seq = max(session.last_seq, last)
        session.kinds = {seq: kind for seq, kind in session.kinds.items() if seq <= after or seq > last}
        if session.is_certain and request.attempts == 1 and reply.body["message_count"] != len(session.kinds):
            asker.misread(request, f"{reply.body} and not {len(session.kinds)} turns")
    elif not session.shared:
        # An attempt may have been done, so the client looks which turns are left.
        left = reading.read(asker, session, after, limit=MOST) or {}
        session.kinds = {seq: kind for seq, kind in session.kinds.items() if seq <= after or seq in left.values()}


def patch(asker: Asker, session: Session, user: str | None = None) -> None:
    """Set the client's own member of user_metadata, which no other client sets. Set the user, too, if it is given."""
    match = choose_match(asker, session) if session.last_seq else None
    name = asker.next_name()
    request = _change("patch", "PATCH", session, "", match, member=asker.client, user=user or asker.user)
    request.name = name
    body: dict[str, Any] = {"user_metadata": {asker.client: f"[{turn_id(name)}]"}}
    request.body = body if user is None else {**body, "user_id": user}
    reply = _settle(asker, session, request, match)
    if reply.status == "200":
        answered = reply.body["session"]
        if answered["user_metadata"].get(asker.client) != f"[{turn_id(name)}]":
            asker.misread(request, f"answered {answered['user_metadata']}")
        if user is not None and answered.get("user_id") != user:
            asker.misread(request, f"answered user_id {answered.get('user_id')}")


def choose_match(asker: Asker, session: Session, *, always: bool = False) -> str | None:
    """Choose what If-Match says, or None. Read the session first if the client does not know its state."""
    chance = asker.chance.random()
    if not always and chance >= WHOLE + DIGITS:
        return None
    if session.tag is None or session.shared:
        reading.read(asker, session)
    if session.tag is None:
        return None
    return session.tag if chance < WHOLE else session.tag.split(".")[0]


def _change(kind: str, method: str, session: Session, rest: str, match: str | None, **facts: Any) -> Request:
    headers = {} if match is None else {"If-Match": f'"{match}"'}
    noted: Mapping[str, Any] = {"session": session.name, "match": match, **facts}
    return Request(kind, method, session_path(session.name, rest), None, headers, noted)


def _settle(asker: Asker, session: Session, request: Request, match: str | None) -> Reply:
    """Send a change until its outcome is known, or no retry is safe. Return the last reply."""
    certain, whole = session.is_certain, match is not None and "." in match
    while True:
        reply = asker.ask(request)
        if reply.succeeded:
            session.tag = reply.tag
            return reply
        session.tag = None
        if reply.status == "409":
            # Nothing was changed, because the session is being erased or other requests were in the way.
            if asker.may_repeat:
                continue
            return reply
        if reply.refused:
            # An attempt that the layer or the client repeated may have been done before.
            expected = reply.status == "412" and whole
            if reply.status not in ("404", "412") or (certain and request.attempts == 1 and not expected):
                asker.misread(request, f"refused with {reply.status}: {reply.body}")
            if reply.status == "404" and session.shared:
                session.doubt = False
            return reply
        if not whole or not asker.may_repeat:
            session.doubt = True
            return reply
