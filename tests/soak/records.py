"""What the journals say: which request changed what, when, with which outcome, and what readers saw.

A request that changes something is an Act, from its first attempt (`began`) to `ended`. Its outcome is DONE, NOTHING
or UNKNOWN. If it is DONE, it happened before `ended`. If it is UNKNOWN, it may have happened before `ended`, or not at
all. `ended` is FOREVER if an attempt had no answer and may still arrive.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

FOREVER = math.inf
DONE, NOTHING, UNKNOWN = "done", "nothing", "unknown"
ACTS = ("write", "put", "remove", "erase", "patch")
SUCCESSES = frozenset({"200", "201", "202", "204"})
# After these nothing was changed.
REFUSALS = frozenset({"400", "401", "403", "404", "409", "410", "412", "413", "415", "422"})
_ID = re.compile(r"\[([^\]\s]+)\]")


@dataclass(frozen=True)
class Turn:
    """What a client sent as one turn. Its user_message begins with an id that no other turn has, in brackets."""

    user_message: str
    robot_response: str
    robot_personality: str = "barista"
    interaction_type: str | None = None
    items: str | None = None  # JSON with sorted keys

    @property
    def body(self) -> dict[str, Any]:
        """The turn as the body of a POST."""
        return {"robot_personality": self.robot_personality, **self.replacement}

    @property
    def replacement(self) -> dict[str, Any]:
        """The turn as the body of a PUT, which cannot change the personality."""
        body: dict[str, Any] = {"user_message": self.user_message, "robot_response": self.robot_response}
        if self.items is not None:
            body["items"] = json.loads(self.items)
        if self.interaction_type is not None:
            body["interaction"] = {"interaction_type": self.interaction_type, "duration_ms": 40, "success": True}
        return body

    @property
    def digest(self) -> str:
        """A short hash of what a reader sees and a PUT can change."""
        return digest(self.user_message, self.robot_response, self.items)


def digest(user_message: str, robot_response: str, items: str | None) -> str:
    """Return a short hash of a turn's texts and items."""
    return hashlib.sha256(repr((user_message, robot_response, items)).encode()).hexdigest()[:10]


def as_items(value: Any) -> str | None:
    """Return items, as a JSON value, in the form of Turn.items."""
    return None if value is None else json.dumps(value, sort_keys=True, ensure_ascii=False)


def turn_id(request: str, number: int = 0) -> str:
    """Return the id of a turn of a request. The turn's user_message begins with it, in brackets."""
    return f"{request}.{number}"


def id_of(text: str) -> str | None:
    """Return the id at the beginning of a text, or None without one."""
    match = _ID.match(text)
    return match and match[1]


@dataclass(kw_only=True)
class Act:
    """A request that changes a session, with all its attempts."""

    request: str
    kind: str  # of ACTS
    session: str
    began: float = 0.0
    ended: float = FOREVER
    outcome: str = UNKNOWN
    keyed: bool = False
    turns: tuple[Turn, ...] = ()
    # Of a write from its acknowledgement, of a put from its request.
    seqs: tuple[int, ...] | None = None
    after: int | None = None  # of a removal
    member: str | None = None  # of user_metadata, set by a patch to `[id]`
    user: str | None = None  # set by a patch
    match: str | None = None  # If-Match
    tag: str | None = None  # of the acknowledgement
    last_seq: int | None = None  # of a removal's acknowledgement
    gone: bool = False  # a 410 said that the write was done, and that its session was erased later
    late: bool = False  # an unanswered attempt may still arrive, though a later one was acknowledged
    disturbed: bool = False  # an attempt had no answer
    by: str | None = None  # the end user whose token it has, or None for a service
    answer: Mapping[str, Any] = field(default_factory=dict)  # the line of the acknowledgement

    @property
    def whole_tag(self) -> bool:
        """Return whether the change can happen only once, and only in one state."""
        return self.match is not None and "." in self.match

    @property
    def bound(self) -> int | None:
        """Return the session's last seq when this changed it, if If-Match says so."""
        return None if self.match is None else int(self.match.split(".")[0])


@dataclass(frozen=True)
class Answer:
    """The result of an attempt. `status` is the HTTP status and its origin, or what came instead of an answer."""

    client: str
    kind: str
    status: str
    at: float
    seconds: float
    replayed: bool = False


@dataclass(frozen=True, kw_only=True)
class Page:
    """What a reader saw of a session: all turns from seq `low` to `high`. Of an unknown session it saw no turn."""

    request: str
    session: str
    began: float
    ended: float
    low: float
    high: float
    turns: tuple[tuple[int, str, str], ...] = ()  # (seq, id, digest)
    members: tuple[tuple[str, str], ...] = ()  # of user_metadata, with their ids
    tag: str | None = None  # None: the session is unknown
    count: int = 0


@dataclass(frozen=True, kw_only=True)
class Search:
    """All that a search for the id of a text found, as (session, seq)."""

    request: str
    began: float
    ended: float
    name: str
    places: tuple[tuple[str, int], ...]


@dataclass(frozen=True, kw_only=True)
class Walk:
    """The sessions that a whole walk over the list held, in its order; of one user if `user` is set."""

    request: str
    began: float
    ended: float
    user: str | None
    sessions: tuple[str, ...]
    previews: tuple[tuple[str, int, str], ...] = ()  # (session, seq, id)
