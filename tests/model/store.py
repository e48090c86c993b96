"""What a tenant has stored, as values that never change: the states of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Json = dict[str, Any]
Key = tuple[str | None, str]


@dataclass(frozen=True)
class Turn:
    """One turn. Absent `items` and `interaction` are `None`, and so is `updated_at` of an unchanged turn."""

    id: str
    seq: int
    robot_personality: str
    user_message: str
    robot_response: str
    items: list[Json] | None
    metadata: Json
    interaction: Json | None
    created_at: str
    updated_at: str | None = None

    @property
    def chars(self) -> int:
        """Return what `max_chars` counts: the code points of both texts."""
        return len(self.user_message) + len(self.robot_response)


@dataclass(frozen=True)
class Session:
    """One session. `version` is the second part of its tag, `turns` are the turns that exist."""

    id: str
    version: str
    created_at: str
    last_active: str
    last_seq: int = 0
    turns: tuple[Turn, ...] = ()
    user_metadata: Json = field(default_factory=dict)
    user_id: str | None = None

    @property
    def tag(self) -> str:
        """Return the entity tag of this state, with its quotes."""
        return f'"{self.last_seq}.{self.version}"'

    def turn(self, seq: int) -> Turn | None:
        """Return the turn with this seq, or None if no such turn exists."""
        return next((turn for turn in self.turns if turn.seq == seq), None)


@dataclass(frozen=True)
class User:
    """One user with its profile. `document` is what requests may change: email, password_hash and profile."""

    id: str
    version: str
    created_at: str
    updated_at: str
    document: Json

    @property
    def tag(self) -> str:
        """Return the entity tag of this state, with its quotes."""
        return f'"{self.version}"'


@dataclass(frozen=True)
class Remembered:
    """The first answer to a request with an Idempotency-Key. An erasure empties `answer`.

    It is the answer of a write to a session, or else of the request that made a user.
    """

    session_id: str
    fingerprint: str
    answer: Json | None
    user_id: str = ""


@dataclass(frozen=True)
class Store:
    """Everything of one tenant. `days` has the sessions and messages of each day, whatever was removed since.

    `keys` has each key with the end user that used it, or None for the keys of services.
    `erasing` has the users whose erasure has begun, each with the sessions that may still have rows.
    """

    sessions: Mapping[str, Session] = field(default_factory=dict)
    keys: Mapping[Key, Remembered] = field(default_factory=dict)
    days: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    users: Mapping[str, User] = field(default_factory=dict)
    erasing: Mapping[str, Mapping[str, Session]] = field(default_factory=dict)

    def visible(self, session_id: str, user: str | None) -> Session | None:
        """Return the session if it exists and the caller sees it: an end user sees its own, and a service sees all."""
        found = self.sessions.get(session_id)
        return found if found is not None and user in (None, found.user_id) else None

    def keeping(self, session: Session) -> Store:
        """Return this store with another state of one session, or this store itself if the state is the same."""
        if self.sessions.get(session.id) == session:
            return self
        return replace(self, sessions={**self.sessions, session.id: session})

    def remembering(self, key: Key, remembered: Remembered) -> Store:
        """Return this store with one more key."""
        return replace(self, keys={**self.keys, key: remembered})

    def without(self, *session_ids: str) -> Store:
        """Return this store after an erasure of sessions. The keys stay until they expire, without their answers."""
        return replace(
            self,
            sessions={id: session for id, session in self.sessions.items() if id not in session_ids},
            keys={
                key: replace(each, answer=None) if each.session_id in session_ids else each
                for key, each in self.keys.items()
            },
        )

    def of_user(self, user_id: str) -> dict[str, Session]:
        """Return the sessions of a user."""
        return {id: session for id, session in self.sessions.items() if session.user_id == user_id}

    def keeping_user(self, user: User) -> Store:
        """Return this store with another state of one user, or this store itself if the state is the same."""
        return self if self.users.get(user.id) == user else replace(self, users={**self.users, user.id: user})

    def marking(self, user_id: str) -> Store:
        """Return this store after the first step of a user's erasure: the user and its sessions are unknown."""
        sessions = self.of_user(user_id)
        store = self.without(*sessions)
        return replace(
            store,
            users={id: user for id, user in store.users.items() if id != user_id},
            keys={
                key: replace(each, answer=None) if each.user_id == user_id else each for key, each in store.keys.items()
            },
            erasing={**store.erasing, user_id: sessions},
        )

    def finishing(self, user_id: str) -> Store:
        """Return this store after the last step of a user's erasure."""
        return replace(self, erasing={id: left for id, left in self.erasing.items() if id != user_id})

    def user_erased_with(self, session_id: str) -> str | None:
        """Return the user that is being erased with this session, or None."""
        return next((user_id for user_id, left in self.erasing.items() if session_id in left), None)

    def erased_with(self, user_id: str, session_id: str) -> Store:
        """Return this store after the end of a session in the erasure of its user."""
        left = {id: session for id, session in self.erasing[user_id].items() if id != session_id}
        return replace(self, erasing={**self.erasing, user_id: left})

    def counting(self, day: str, sessions: int, messages: int) -> Store:
        """Return this store with more sessions and messages said on a day."""
        before = self.days.get(day, (0, 0))
        return replace(self, days={**self.days, day: (before[0] + sessions, before[1] + messages)})
