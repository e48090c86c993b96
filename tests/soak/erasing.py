"""Erase sessions as a careful client does, also sessions of more than 5,000 turns, which takes several steps.

A DELETE that names no state is repeated only in a session that no other client writes to. In a shared session another
client may begin a namesake once the session is erased, and a repeated DELETE would erase it. With a whole tag each
attempt may be repeated, because no namesake ever has that tag. Its 412 says that the session is gone or was changed.
A shared session that was erased without a tag is left to the scheduled refresh after 202. After an attempt without an
answer it gets another name, because that attempt may still arrive. So does a session of one client.
"""

from tests.soak import reading, writing
from tests.soak.asking import Asker, Request, session_path
from tests.soak.changing import choose_match
from tests.soak.records import Turn, turn_id
from tests.soak.sessions import Session

LARGE = (5_050, 7_000)  # turns
LARGE_BATCH = 100
LEFT_TO_OTHERS = 0.3  # the share of erasures that a client does not continue after 202


def erase(asker: Asker, session: Session) -> bool:
    """Erase a session. Return whether its name may be used again."""
    match = choose_match(asker, session)
    if match is not None and "." not in match and session.shared:
        match = None  # a namesake may have the same last seq
    whole = match is not None and "." in match
    request = Request("erase", "DELETE", session_path(session.name))
    request.headers = {} if match is None else {"If-Match": f'"{match}"'}
    request.facts = {"session": session.name, "match": match}
    certain, leaves = session.is_certain, asker.chance.random() < LEFT_TO_OTHERS
    unanswered = False
    while True:
        reply = asker.ask(request)
        if reply.status == "204" or (reply.status == "202" and (leaves or (session.shared and not whole))):
            break
        if reply.status in ("404", "412"):
            if certain and request.attempts == 1 and not whole:
                asker.misread(request, f"refused with {reply.status}: {reply.body}")
            session.tag = None
            if reply.status == "412":
                return not session.doubt
            break
        if reply.status == "409" and asker.may_repeat:
            continue
        if reply.refused and reply.status != "409":
            asker.misread(request, f"refused with {reply.status}: {reply.body}")
            return False
        unanswered = unanswered or reply.status != "202"
        if not asker.may_repeat or (session.shared and not whole):
            session.tag, session.doubt = None, True
            return False
    session.erased()
    if certain and (shown := reading.read(asker, session)):
        asker.misread(request, f"{len(shown)} turns can be read after the erasure")
    if certain or reply.status == "204":
        writing.send_again(asker, session, erased=certain)
    session.remembered.clear()
    return whole or not unanswered


def build_large(asker: Asker, session: Session) -> bool:
    """Fill a session with more turns than one step erases. Return False if time is over."""
    wanted = asker.chance.randint(*LARGE)
    while session.last_seq < wanted:
        name = asker.next_name()
        turns = [Turn(f"[{turn_id(name, number)}]", "yes") for number in range(LARGE_BATCH)]
        if writing.send(asker, session, name, turns).status != "201":
            return False
    return True
