"""Clients that send random requests about few sessions at the same time, each from an environment of its own."""

from __future__ import annotations

import itertools
import random
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import stats
from tests.model.forbidden import is_forbidden
from tests.model.history import Entry
from tests.model.lists import Walk
from tests.model.random_bodies import TEXTS, optional_members, random_patch, random_turn
from tests.model.random_users import Known
from tests.model.request import ERASE, EXPORT, GET, LIST, LIST_USERS, PATCH, POST, PUT, REMOVE, STATS, Request, send
from tests.model.store import Json
from tests.model.threads import in_threads
from tests.support.bundle import Context, Reply, event

CLIENTS = 8
SESSIONS = ("a", "b", "c", "d", "é f")
USERS = ("guest-7", "guest-8")
# Every second request is a service's, which moves sessions between the users.
CALLERS = (None, None, *USERS)
KEYS = tuple(f"key {number}" for number in range(12))


@dataclass
class Recorded:
    """All answers that the clients received, except those of lists and exports, which are in `walks` and `exports`."""

    entries: list[Entry] = field(default_factory=list)
    walks: list[Walk] = field(default_factory=list)
    exports: list[Entry] = field(default_factory=list)


class Clients:
    """Random clients of one tenant. Each request is a service's or one of two end users'.

    They learn tags and keys from each other's answers, also from those of other callers.
    """

    def __init__(self, seed: str, tags: Mapping[str, list[str]] | None = None) -> None:
        """Make the same requests for the same seed, as far as the answers are the same."""
        self.recorded = Recorded()
        self._seed = seed
        self._numbers = itertools.count()
        self._tags: dict[str, list[str]] = {id: list((tags or {}).get(id, [])) for id in SESSIONS}
        self._with_key: list[Request] = []
        # The user of each session, as the last answer shows it.
        self._owners: dict[str, str | None] = {}
        self._users = Known(USERS)

    @property
    def users(self) -> tuple[str, ...]:
        """Return the users that the requests named, and some that they made."""
        return tuple(self._users.ids)

    def run(self, requests: int) -> Recorded:
        """Let all clients send `requests` requests together. Return what they recorded."""
        barrier = threading.Barrier(CLIENTS)

        def work(client: int) -> None:
            chance = random.Random(f"{self._seed}/{client}")
            barrier.wait(60)
            for _ in range(requests // CLIENTS):
                self._act(chance)

        in_threads([lambda client=client: work(client) for client in range(CLIENTS)])  # type: ignore[misc]  # bound
        return self.recorded

    def record(self, request: Request) -> Reply:
        """Send one request and record it."""
        entry = self._sent(request)
        self.recorded.entries.append(entry)
        tag = entry.reply.headers.get("etag")
        if not request.session_id:
            self._users.learn(request, entry.reply)
        elif tag is not None:
            self._tags[request.session_id].append(tag)
        if request.key is not None:
            self._with_key.append(request)
        if request.user is not None and tag is not None and request.session_id:
            self._owners[request.session_id] = request.user
        elif "session" in entry.reply.json:
            self._owners[request.session_id] = entry.reply.json["session"].get("user_id")
        return entry.reply

    def walk(self, user: str | None, **query: Any) -> Walk:
        """Follow the cursors of GET /sessions to the end, and record it."""
        first = Request(LIST, query=query, user=user)
        pages = [self._sent(first)]
        while pages[-1].reply.status == 200 and (cursor := pages[-1].reply.json["page"]["cursor"]) is not None:
            pages.append(self._sent(replace(first, query={**query, "cursor": cursor})))
        walk = Walk(pages)
        self.recorded.walks.append(walk)
        return walk

    def walk_users(self, **query: Any) -> None:
        """Follow the cursors of GET /users to the end. Each page is recorded with what its cursor stands for."""
        request = Request(LIST_USERS, query=query)
        while (cursor := (page := self.record(request).json)["page"]["cursor"]) is not None:
            last = page["users"][-1]
            position = (last["created_at"], last["id"])
            request = replace(request, query={**query, "cursor": cursor}, position=position)

    def export(self, user_id: str, user: str | None = None) -> None:
        """Record an export that may run beside changes."""
        self.recorded.exports.append(self._sent(Request(EXPORT, user_id=user_id, user=user)))

    def _sent(self, request: Request) -> Entry:
        request_id = str(uuid.uuid4())
        began = time.monotonic()
        reply = send(request, request_id)
        return Entry(next(self._numbers), request, reply, began, time.monotonic(), request_id=request_id)

    def _act(self, chance: random.Random) -> None:
        act = chance.choices(_ACTS, [weight for _, weight in _WEIGHTS])[0]
        user = chance.choice(CALLERS)
        if act == "again":
            if self._with_key:
                known = chance.choice(self._with_key)
                self.record(known if chance.random() < 0.7 else replace(known, user=user))
        elif act == "walk":
            named = {"user_id": chance.choice(USERS)} if chance.random() < 0.3 else {}
            preview = {"preview": "true"} if chance.random() < 0.5 else {}
            self.walk(user, limit=chance.choice((1, 2, 3, 100)), **named, **preview)
        elif act == "walk users":
            self.walk_users(limit=chance.choice((1, 2, 100)))
        elif act == "export":
            self.export(user or chance.choice(self._users.ids), user)
        elif act == "refresh":
            stats.handler(event("schedule"), Context())
        else:
            if act == "user":
                request = self._users.request(chance, user, KEYS)
            else:
                request = replace(_MAKERS[act](self, chance, self._session_for(user, chance)), user=user)
            if is_forbidden(request) and chance.random() < 0.8:
                request = replace(request, user=None)
            self.record(request)

    def _session_for(self, user: str | None, chance: random.Random) -> str:
        """Return any session, or as often one that is probably the user's."""
        own = [id for id, owner in list(self._owners.items()) if owner == user]
        return chance.choice(own) if user and own and chance.random() < 0.5 else chance.choice(SESSIONS)

    def _if_match(self, chance: random.Random, session_id: str) -> str | None:
        """Return no tag, or a tag of this session in one of both forms, more often a recent one."""
        known = self._tags[session_id]
        if chance.random() < 0.6:
            return None
        if not known or chance.random() < 0.15:
            return f'"{chance.choice((0, 0, 1, 2, 3))}"'
        tag = known[-1] if chance.random() < 0.7 else chance.choice(known[-8:])
        return tag if chance.random() < 0.6 else tag.partition(".")[0] + '"'

    def _post(self, chance: random.Random, session_id: str) -> Request:
        body: Json = random_turn(chance)
        if chance.random() < 0.3:
            body = {"messages": [random_turn(chance) for _ in range(chance.choice((1, 2, 4)))]}
        if chance.random() < 0.3:
            body["user_metadata"] = random_patch(chance)
        key = chance.choice(KEYS) if chance.random() < 0.3 else None
        return Request(POST, session_id, body=body, if_match=self._if_match(chance, session_id), key=key)

    def _put(self, chance: random.Random, session_id: str) -> Request:
        body = {
            "user_message": chance.choice(TEXTS),
            "robot_response": chance.choice(TEXTS),
            **optional_members(chance),
        }
        seq = chance.choice((1, 1, 2, 3, self._last_seq(session_id)))
        return Request(PUT, session_id, seq, body=body, if_match=self._if_match(chance, session_id))

    def _remove(self, chance: random.Random, session_id: str) -> Request:
        last = self._last_seq(session_id)
        after = chance.choice((0, 1, last, max(last - 1, 0), max(last - 2, 0), max(last - 5, 0)))
        return Request(REMOVE, session_id, query={"after": after}, if_match=self._if_match(chance, session_id))

    def _erase(self, chance: random.Random, session_id: str) -> Request:
        return Request(ERASE, session_id, if_match=self._if_match(chance, session_id))

    def _patch(self, chance: random.Random, session_id: str) -> Request:
        body: Json = {"user_metadata": random_patch(chance)} if chance.random() < 0.8 else {}
        if chance.random() < 0.4:
            body["user_id"] = chance.choice((None, *USERS, *USERS, *self._users.ids[-1:]))
        return Request(PATCH, session_id, body=body, if_match=self._if_match(chance, session_id))

    def _get(self, chance: random.Random, session_id: str) -> Request:
        query: Json = {} if chance.random() < 0.4 else {"limit": chance.choice((1, 2, 5, 200))}
        cursor = chance.choice((None, None, "before", "after", "max_chars"))
        if cursor is not None:
            query[cursor] = chance.choice((1, 2, 3, 7, 40, self._last_seq(session_id) + 1))
        known = None
        if self._tags[session_id] and chance.random() < 0.3:
            known = chance.choice(("W/", "", '"0.0", ')) + chance.choice(self._tags[session_id][-2:])
        return Request(GET, session_id, query=query, if_none_match=known)

    def _stats(self, chance: random.Random, session_id: str) -> Request:
        return Request(STATS, query={} if chance.random() < 0.5 else {"session_id": session_id})

    def _last_seq(self, session_id: str) -> int:
        known = self._tags[session_id]
        return max(int(known[-1][1:].partition(".")[0]), 1) if known else 1


_WEIGHTS = (
    ("post", 30),
    ("put", 16),
    ("remove", 10),
    ("erase", 5),
    ("patch", 12),
    ("get", 24),
    ("stats", 6),
    ("walk", 5),
    ("user", 36),
    ("walk users", 2),
    ("export", 5),
    ("again", 8),
    ("refresh", 1),
)
_ACTS = [name for name, _ in _WEIGHTS]
_MAKERS: dict[str, Callable[[Clients, random.Random, str], Request]] = {
    "post": Clients._post,
    "put": Clients._put,
    "remove": Clients._remove,
    "erase": Clients._erase,
    "patch": Clients._patch,
    "get": Clients._get,
    "stats": Clients._stats,
}
