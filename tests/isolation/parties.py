"""The callers of the suite, and what one of them knows of a session of another."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tests.integration.keys import CLEARS_BELOW

Json = dict[str, Any]

# Words of the turns of all callers.
SOUGHT = "secret or q"
# The states of a session that another caller owns.
STATES = ("turns", "bare", "removed", "emptied", "erasing", "erased")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_AGE = re.compile(r'(age_seconds\\*" ?: ?)\d+')
_VERSION = re.compile(r"(\d+)\.[0-9a-f]{6,}")


@dataclass(frozen=True)
class Party:
    """A caller: its tenant, and its user if it is an end user. A caller without a user sees all of its tenant."""

    tenant: str
    user: str | None = None


@dataclass(frozen=True)
class Axis:
    """The caller that asks, and the caller that owns what is asked for."""

    name: str
    asker: Party
    owner: Party

    @property
    def within_tenant(self) -> bool:
        """Return whether both belong to one tenant, so that only the user separates them."""
        return self.asker.tenant == self.owner.tenant

    def fresh_asker(self) -> Party:
        """Return a caller that stands for the asker and has made nothing yet."""
        name = f"fresh-{secrets.token_hex(8)}"
        if self.within_tenant:
            return replace(self.asker, user=name)
        # A tenant that is a role begins with its account.
        account, colon, _ = self.asker.tenant.partition(":")
        return replace(self.asker, tenant=f"{account}:{name}" if colon else name)


@dataclass(frozen=True)
class Known:
    """All that a caller may know of a session: every value that the owner has sent or received."""

    state: str
    id: str
    # The user of the session, or an empty text if it belongs to the tenant.
    user: str
    key: str
    # The id of the first turn of the write that only a retry has written.
    first_id: str
    last_seq: int
    # The whole entity tag without its quotes.
    etag: str
    # The turns of the write with the key, and the turn of the write without a key.
    messages: Sequence[Json]
    retried: Json
    metadata: Json
    cursors: Sequence[str]
    # A cursor of the owner's search for SOUGHT.
    search_cursor: str
    # Random words that the owner's rows hold. No answer to another caller may hold one that its request lacked.
    canaries: frozenset[str]

    @property
    def turn(self) -> Json:
        """The owner's first turn as PUT and replace_turn take it."""
        return {name: value for name, value in self.messages[0].items() if name != "robot_personality"}

    def cursor_for(self, user: str | None) -> str:
        """Return the owner's first cursor, changed so that it fits the list of another user."""
        place = json.loads(bytes.fromhex(self.cursors[0]))
        return _cursor([*place[:3], hashlib.sha256((user or "").encode()).hexdigest()[:16]])

    def search_cursor_for(self, user: str | None) -> str:
        """Return the owner's search cursor, changed so that it fits the search of another user."""
        place, _ = json.loads(bytes.fromhex(self.search_cursor))
        searched = ["search", SOUGHT, None, user, None, None, None, None, None, False, False]
        return _cursor([place, hashlib.sha256(json.dumps(searched).encode()).hexdigest()[:16]])

    def for_asker(self, asker: Party) -> Known:
        """Return the same with cursors that fit the asker's own list and search."""
        return replace(self, cursors=[self.cursor_for(asker.user)], search_cursor=self.search_cursor_for(asker.user))

    def made_up(self, asker: Party) -> Known:
        """Return values of the same form that no caller has ever used. The asker's own user stays."""
        hour, active, _, filters = json.loads(bytes.fromhex(self.cursors[0]))
        (time, _, seq), searched = json.loads(bytes.fromhex(self.search_cursor))
        return replace(
            self,
            id=f"unknown-{secrets.token_hex(8)}",
            user=self.user if self.user in ("", asker.user) else f"unknown-{secrets.token_hex(8)}",
            key=next(key for key in iter(lambda: secrets.token_hex(8), "") if not clears_keys(asker.user, key)),
            first_id=str(uuid.uuid4()),
            etag=f"{self.last_seq}.{secrets.randbits(47) | 1 << 46:x}",
            cursors=[_cursor([hour, active, secrets.token_hex(8), filters])],
            search_cursor=_cursor([[time, secrets.token_hex(8), seq], searched]),
        )

    def plain(self, text: str) -> str:
        """Return `text` without what differs between any two sessions: the id, the user, times, ids and versions."""
        text = text.replace(self.id, "<id>")
        if self.user:
            text = text.replace(self.user, "<user>")
        text = _AGE.sub(r"\1<age>", text)
        return _VERSION.sub(r"\1.<version>", _UUID.sub("<uuid>", _TIME.sub("<time>", text)))


def clears_keys(user: str | None, key: str) -> bool:
    """Return whether a write with this key clears expired keys. A few do, chosen by the hash, and read more indexes."""
    return hashlib.sha256((key if user is None else f"{user}\n{key}").encode()).digest()[0] < CLEARS_BELOW


def canary_turn(words: Iterator[str], **more: Any) -> Json:
    """Return a turn in which each text has a word of its own."""
    return {
        "robot_personality": next(words),
        "user_message": f"my secret is {next(words)}",
        "robot_response": f"your secret is {next(words)}",
        "metadata": {"mood": next(words)},
        **more,
    }


def new_words(made: list[str]) -> Iterator[str]:
    """Yield random words without end, and add each to `made`."""
    while True:
        made.append(secrets.token_hex(6))
        yield made[-1]


def _cursor(place: Sequence[object]) -> str:
    return json.dumps(place).encode().hex()
