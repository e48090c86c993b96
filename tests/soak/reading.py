"""Read pages of sessions, walk over the list of sessions, and look at the statistics."""

from typing import Any

from tests.soak.asking import Asker, Request, session_path
from tests.soak.records import as_items, digest, id_of
from tests.soak.sessions import Session

PAGE = 20  # turns
OF_USER = 0.8  # the share of walks that ask for the sessions of one user
PREVIEWS = 0.3


def read(asker: Asker, session: Session, after: int | None = None, limit: int = PAGE) -> dict[str, int] | None:
    """Read a page, the newest one without `after`. Return its ids with their seqs, or None if no attempt succeeded."""
    query = f"?limit={limit}" if after is None else f"?after={after}&limit={limit}"
    request = Request("read", "GET", session_path(session.name, query))
    while True:
        reply = asker.ask(request)
        if reply.status == "200":
            return _seen(asker, session, request, reply.body, reply.tag, after, limit)
        if reply.status == "404":
            session.tag = None
            if session.shared:
                session.erased()
            asker.see(request, session=session.name, turns=[], members=[], tag=None, count=0, **{"from": 1, "to": None})
            return {}
        if reply.refused:
            asker.misread(request, f"{reply.status}: {reply.body}")
            return None
        if not asker.may_repeat:
            return None


def _seen(
    asker: Asker, session: Session, request: Request, page: Any, tag: str | None, after: int | None, limit: int
) -> dict[str, int]:
    """Note what a page holds, and learn the session's state from it."""
    turns = []
    for message in page["messages"]:
        said, answered = message["user_message"], message["robot_response"]
        name = id_of(said) or said[:40]
        turns.append([message["seq"], name, digest(said, answered, as_items(message.get("items")))])
    seqs = [seq for seq, _, _ in turns]
    state = page["session"]
    members = [[member, id_of(str(value)) or str(value)] for member, value in state["user_metadata"].items()]
    low = after + 1 if after is not None else seqs[0] if page["page"]["before"] is not None else 1
    high = seqs[-1] if after is not None and len(seqs) == limit else None
    asker.see(
        request,
        session=session.name,
        turns=turns,
        members=members,
        tag=tag,
        count=state["message_count"],
        **{"from": low, "to": high},
    )
    if len(seqs) < limit and after is None and len(seqs) != state["message_count"]:
        asker.misread(request, f"a page of {len(seqs)} turns in a session of {state['message_count']}")
    if tag != f"{state['last_seq']}.{str(tag).partition('.')[2]}":
        asker.misread(request, f"tag {tag} at last_seq {state['last_seq']}")
    session.tag, session.last_seq = tag, state["last_seq"]
    if session.shared:
        session.kinds = dict.fromkeys(seqs)
    return {name: seq for seq, name, _ in turns}


def walk(asker: Asker, user: str | None) -> None:
    """Walk over the whole list of sessions, of one user or of all, and note what it held."""
    query = f"/sessions?limit={asker.chance.randint(20, 100)}"
    query += "&preview=true" if asker.chance.random() < PREVIEWS else ""
    query += "" if user is None else f"&user_id={user}"
    sessions: list[str] = []
    previews: list[list[Any]] = []
    cursor, began = "", asker.now()
    while True:
        request = Request("list", "GET", query + (f"&cursor={cursor}" if cursor else ""))
        reply = asker.ask(request)
        while not reply.succeeded and not reply.refused and asker.may_repeat:
            reply = asker.ask(request)
        if reply.refused:
            asker.misread(request, f"{reply.status}: {reply.body}")
        if not reply.succeeded:
            return
        for each in reply.body["sessions"]:
            sessions.append(each["id"])
            if "preview" in each:
                said = each["preview"]["user_message"]
                previews.append([each["id"], each["preview"]["seq"], id_of(said) or said])
        cursor = reply.body["page"]["cursor"]
        if cursor is None:
            break
    asker.see(request, began=began, user=user, sessions=sessions, previews=previews)


def stats(asker: Asker) -> None:
    """Read the statistics, which are of one moment."""
    request = Request("stats", "GET", "/stats")
    reply = asker.ask(request)
    if reply.status == "200" and (wrong := _wrong_figures(reply.body)):
        asker.misread(request, wrong)


def look(asker: Asker) -> None:
    """Ask for the database's health."""
    asker.ask(Request("health/database", "GET", "/health/database"))


def _wrong_figures(figures: Any) -> str | None:
    """Return what is wrong with figures."""
    messages = figures["totals"]["messages"]
    if messages != sum(each["messages"] for each in figures["personalities"]):
        return f"counts {messages} turns, and others by personality"
    if min(messages, *figures["totals"].values(), *(each["messages"] for each in figures["daily"])) < 0:
        return f"counts {figures['totals']}, less than nothing"
    if figures["age_seconds"] < 0:
        return f"is {figures['age_seconds']} seconds old"
    return None
