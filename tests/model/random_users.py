"""Random requests about users, from few ids and e-mails, so that their conflicts are frequent."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence

from tests.model.request import (
    DRY_RUN,
    ERASE_USER,
    GET_USER,
    LIST_USERS,
    PATCH_USER,
    POST_USER,
    PUT_USER,
    Request,
)
from tests.model.store import Json
from tests.support.bundle import Reply

EMAILS = ("ann@example.com", "Ann@Example.COM", "ben@example.com", "c@example.com")
HASHES = ("$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA", "$2b$12$abcdefghijklmnopqrstuv")
_WEIGHTS = (("put", 30), ("patch", 22), ("post", 8), ("get", 16), ("erase", 9), ("count", 8), ("find", 7))
_ACTS = [name for name, _ in _WEIGHTS]
_ROUTES = {"put": PUT_USER, "patch": PATCH_USER, "get": GET_USER, "erase": ERASE_USER, "count": ERASE_USER}


class Known:
    """The users that clients know, and their entity tags."""

    def __init__(self, ids: Sequence[str]) -> None:
        """Begin with the users that may sign in."""
        self.ids = list(ids)
        self._tags: dict[str, list[str]] = defaultdict(list)

    def learn(self, request: Request, reply: Reply) -> None:
        """Learn the tag of an answer, and the id of a user that a service made. A few made users are enough."""
        id = request.user_id
        if request.route == POST_USER and reply.status == 201:
            id = reply.json["id"]
            if id not in self.ids and len(self.ids) < 5:
                self.ids.append(id)
        if id and "etag" in reply.headers:
            self._tags[id].append(reply.headers["etag"])

    def request(self, chance: random.Random, user: str | None, keys: Sequence[str]) -> Request:
        """Return a request of a caller. An end user names itself, and rarely another."""
        act = chance.choices(_ACTS, [weight for _, weight in _WEIGHTS])[0]
        if act == "post":
            key = chance.choice(keys) if chance.random() < 0.5 else None
            return Request(POST_USER, body=random_user(chance), key=key, user=user)
        if act == "find":
            return Request(LIST_USERS, query={"email": chance.choice(EMAILS)}, user=user)
        id = user if user is not None and chance.random() < 0.9 else chance.choice(self.ids)
        known = self._tags[id][-3:]
        return Request(
            _ROUTES[act],
            user_id=id,
            user=user,
            query=DRY_RUN if act == "count" else {},
            body=random_user(chance) if act == "put" else random_user_patch(chance) if act == "patch" else None,
            if_match=chance.choice(known)
            if known and act in ("put", "patch", "erase") and chance.random() < 0.3
            else None,
            if_none_match=chance.choice(known) if known and act == "get" and chance.random() < 0.3 else None,
        )


def random_user(chance: random.Random) -> Json:
    """Return the body of a new user or a replacement."""
    made: Json = {}
    if chance.random() < 0.5:
        made["email"] = chance.choice(EMAILS)
    if chance.random() < 0.3:
        made["password_hash"] = chance.choice(HASHES)
    if chance.random() < 0.5:
        made["profile"] = {name: chance.choice("xyz") for name in ("first_name", "last_name") if chance.random() < 0.6}
    return made


def random_user_patch(chance: random.Random) -> Json:
    """Return a merge patch of a user."""
    made = random_user(chance)
    for name in ("email", "password_hash", "profile"):
        if chance.random() < 0.12:
            made[name] = None
    if isinstance(made.get("profile"), dict) and chance.random() < 0.5:
        made["profile"][chance.choice(("first_name", "last_name"))] = None
    return made
