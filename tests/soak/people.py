"""Change, read, export and erase users, as careful clients do.

A change with an entity tag happens at most once, so the client repeats it until it knows the outcome. Any other change
that gets no answer is never repeated, because another client may have changed the user meanwhile. After 409 each may be
repeated: the user is being erased, or other requests were in the way.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tests.soak.asking import Asker, Reply, Request
from tests.soak.person_records import TEXTS, body_of, members_of
from tests.soak.records import as_items, digest, id_of, turn_id
from tests.soak.sessions import Session

SHARED_PEOPLE = 3
MATCHED = 0.7  # the share of changes and erasures with If-Match
PATCHES = 0.5
GIVEN = 0.6  # the share of the members that a change sets
REMOVED = 0.2
LEFT_TO_OTHERS = 0.3  # the share of erasures that a client does not continue after 202


@dataclass
class Person:
    """What one client knows of a person. `itself`: the requests have the person's own token, not that of a service."""

    name: str
    itself: bool
    tag: str | None = None
    sessions: list[Session] = field(default_factory=list)  # of this client

    @property
    def path(self) -> str:
        """Return the path of the user."""
        return f"/users/{quote(self.name, safe='')}"


def save(asker: Asker, person: Person) -> None:
    """Replace or patch a user. Each text has the id of the request."""
    chance, name = asker.chance, asker.next_name()
    is_patch = chance.random() < PATCHES
    given = [member for member in TEXTS if chance.random() < GIVEN] or ["last_name"]
    members: dict[str, str | None] = {member: turn_id(name) for member in given}
    if is_patch:
        members |= {member: None for member in TEXTS if member not in given and chance.random() < REMOVED}
    texts = {member: None if value is None else TEXTS[member].format(value) for member, value in members.items()}
    if not is_patch:
        # An absent password hash is kept. Any other absent member is removed.
        members = dict.fromkeys(member for member in TEXTS if member != "password_hash") | members
    match = _choose_match(asker, person)
    facts = {"user": person.name, "match": match, "members": members, "makes": not is_patch}
    request = Request("save_user", "PATCH" if is_patch else "PUT", person.path, body_of(texts), _if(match), facts, name)
    reply = _settle(asker, person, request)
    if reply.succeeded:
        shown = {member: value for member, value in members.items() if member != "password_hash"}
        if not shown.items() <= members_of(reply.body).items():
            asker.misread(request, f"set {members}, and was answered {reply.body}")


def look(asker: Asker, person: Person) -> None:
    """Read a user, and learn its state."""
    began = asker.now()
    reply, request = _ask(asker, Request("read_user", "GET", person.path))
    if reply.status in ("200", "404"):
        person.tag = reply.tag
        _see(asker, request, began, person.name, reply.body if reply.status == "200" else None)


def find(asker: Asker, person: Person) -> None:
    """Look a user up by its e-mail, as a service does."""
    began = asker.now()
    reply, _ = _ask(asker, Request("read_user", "GET", person.path))
    if reply.status != "200" or "email" not in reply.body:
        return
    email = reply.body["email"]
    reply, request = _ask(asker, Request("read_user", "GET", f"/users?email={quote(email.upper(), safe='')}"))
    for user in reply.body["users"] if reply.succeeded else ():
        if user["email"] != email:
            asker.misread(request, f"found {user}")
        _see(asker, request, began, user["id"], user)


def walk(asker: Asker) -> None:
    """Walk over the list of all users, as a service does."""
    cursor, began, listed = "", asker.now(), set[str]()
    while cursor is not None:
        path = f"/users?limit={asker.chance.randint(1, 5)}" + (f"&cursor={cursor}" if cursor else "")
        reply, request = _ask(asker, Request("read_user", "GET", path))
        if not reply.succeeded:
            return
        for user in reply.body["users"]:
            # A user who was erased and made again may have another place in the list.
            if user["id"] not in listed:
                _see(asker, request, began, user["id"], user)
            listed.add(user["id"])
        cursor = reply.body["page"]["cursor"]


def export(asker: Asker, person: Person) -> None:
    """Read all pages of a person's export, and note their turns."""
    turns: list[list[Any]] = []
    cursor, began = "", asker.now()
    while cursor is not None:
        path = f"{person.path}/export" + (f"?cursor={cursor}" if cursor else "")
        reply, request = _ask(asker, Request("export", "GET", path))
        if reply.status == "404" and not cursor:
            break
        if not reply.succeeded:
            return
        for turn in reply.body["turns"]:
            said = turn["user_message"]
            hashed = digest(said, turn["robot_response"], as_items(turn.get("items")))
            turns.append([turn["session_id"], turn["seq"], id_of(said) or said[:40], hashed])
        if strangers := {each["user_id"] for each in reply.body["sessions"]} - {person.name}:
            asker.misread(request, f"an export with sessions of {strangers}")
        cursor = reply.body["page"]["cursor"]
    asker.see_person("export", request, began=began, user=person.name, turns=turns)


def erase(asker: Asker, person: Person) -> bool:
    """Erase a user until nothing is left, or leave the rest to others. Return whether the name may be used again."""
    match = _choose_match(asker, person)
    leaves = asker.chance.random() < LEFT_TO_OTHERS
    while True:
        # Each continuation is a request of its own, which also erases what was written since the one before.
        facts = {"user": person.name, "match": match}
        request = Request("erase_user", "DELETE", person.path, None, _if(match), facts)
        reply = _settle(asker, person, request)
        if reply.status == "202" and not leaves and asker.may_repeat:
            match = None
            continue
        for session in person.sessions:
            session.erased()
        return reply.succeeded or reply.status in ("404", "412")


def _choose_match(asker: Asker, person: Person) -> str | None:
    """Choose what If-Match says, or None. Read the user first if the client does not know the tag."""
    if asker.chance.random() >= MATCHED:
        return None
    if person.tag is None:
        look(asker, person)
    return person.tag


def _if(match: str | None) -> dict[str, str]:
    return {} if match is None else {"If-Match": f'"{match}"'}


def _ask(asker: Asker, request: Request) -> tuple[Reply, Request]:
    """Ask until there is an answer, or time is over."""
    while True:
        reply = asker.ask(request)
        if reply.refused and reply.status != "404":
            asker.misread(request, f"{reply.status}: {reply.body}")
        if reply.succeeded or reply.refused or not asker.may_repeat:
            return reply, request


def _see(asker: Asker, request: Request, began: float, user: str, body: Any) -> None:
    """Note what a reader saw of a user, or with `body` None that the user is unknown."""
    asker.see_person("user", request, began=began, user=user, members=None if body is None else members_of(body))


def _settle(asker: Asker, person: Person, request: Request) -> Reply:
    """Send a change until its outcome is known, or no retry is safe. Return the last reply."""
    while True:
        reply = asker.ask(request)
        person.tag = reply.tag if reply.succeeded else None
        if reply.succeeded or not asker.may_repeat:
            return reply
        if reply.refused and reply.status not in ("404", "409", "412"):
            asker.misread(request, f"refused with {reply.status}: {reply.body}")
        if reply.status != "409" and (reply.refused or "If-Match" not in request.headers):
            return reply
