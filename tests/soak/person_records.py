"""What the journals say about people: changes and erasures of users, and what readers saw of them.

A user's members are known by the ids of their texts, or None for one that is absent.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.soak.records import Act

USER_ACTS = ("save_user", "erase_user")
# What a request sends as each member. The id of the request is in the place of {}.
TEXTS = {
    "email": "[{}]@example.org",
    "password_hash": "$argon2id$v=19$m=19456,t=2,p=1$[{}]",
    "first_name": "[{}]",
    "last_name": "[{}] Lee",
    "avatar_url": "https://example.org/[{}]",
}
PROFILE = ("first_name", "last_name", "avatar_url")
SHOWN = ("email", *PROFILE)  # by answers
# Whether there is a row of the user. It is judged as the members are.
ROW = "row"
_ID = re.compile(r"\[([^\]\s]+)\]")

Members = Mapping[str, str | None]


@dataclass(kw_only=True)
class UserAct(Act):
    """A request that changes or erases a user, with all its attempts. `members` has what it sets."""

    members: Members = field(default_factory=dict)

    @property
    def whole_tag(self) -> bool:
        """Return whether the change can happen only once, and only in one state. A user's tag is always whole."""
        return self.match is not None

    @property
    def bound(self) -> int | None:
        """Return None, because a user's tag names no seq of a session."""
        return None


@dataclass(frozen=True, kw_only=True)
class UserSeen:
    """What a reader saw of a user. Of an unknown user it saw no members."""

    request: str
    user: str
    began: float
    ended: float
    members: Members | None


@dataclass(frozen=True, kw_only=True)
class Export:
    """All pages of an export. `turns` has (session, seq, id, digest) in its order."""

    request: str
    user: str
    began: float
    ended: float
    turns: tuple[tuple[str, int, str, str], ...]


def id_in(text: str | None) -> str | None:
    """Return the id in a member's text, the text itself if it has no id, or None for an absent member."""
    found = _ID.search(text or "")
    return found[1] if found else text


def members_of(user: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the members of a user that an answer shows."""
    texts = {**user["profile"], "email": user.get("email")}
    return {member: id_in(texts.get(member)) for member in SHOWN}


def body_of(texts: Members) -> dict[str, Any]:
    """Return members, with their texts, as the body of a PUT or PATCH."""
    body: dict[str, Any] = {member: text for member, text in texts.items() if member not in PROFILE}
    return {**body, "profile": {member: text for member, text in texts.items() if member in PROFILE}}
