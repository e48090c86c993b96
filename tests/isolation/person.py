"""What a caller knows of a person of another tenant."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tests.isolation.parties import Json, clears_keys

# The states of a person of another tenant. `rowless` has sessions and no row of users. `moved` has lost a session to
# another user. `erasing` has so many sessions that the first step of an erasure only marks them.
PERSON_STATES = ("profile", "rowless", "moved", "erasing", "erased")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TAG = re.compile(r'(\\*")(\d+\.)?[0-9a-f]{6,12}(\\*")')


@dataclass(frozen=True)
class Person:
    """All that a caller may know of a person: every value that the owner of the tenant has sent or received."""

    state: str
    tenant: str
    id: str
    # The body of POST and PUT /users.
    document: Json
    key: str
    # The version in the entity tag.
    version: str
    session_id: str
    # Cursors of the export, of the list of the person's sessions, and of the list of users.
    export_cursor: str
    sessions_cursor: str
    list_cursor: str
    # A cursor of the asker's own export, with the place of the person's.
    asker_cursor: str
    # Who acted for the person in the audit trail, in which request, and since when. `audit_cursor` is of the owner's
    # trail, and `asker_audit_cursor` of the asker's own with the same place.
    actor: str
    request_id: str
    since: str
    audit_cursor: str
    asker_audit_cursor: str
    # Random words that the owner's rows hold. No answer to another caller may hold one that its request lacked.
    canaries: frozenset[str]

    @property
    def email(self) -> str:
        """The e-mail, which is its own key, because all its letters are small."""
        return str(self.document["email"])

    @property
    def without_email(self) -> Json:
        """The document without the e-mail."""
        return {name: value for name, value in self.document.items() if name != "email"}

    def made_up(self) -> Person:
        """Return values of the same form that no caller has ever used."""
        user_id, session_id = str(uuid.uuid4()), f"unknown {secrets.token_hex(8)}"
        return replace(
            self,
            id=user_id,
            document={**self.document, "email": f"unknown-{secrets.token_hex(6)}@example.com"},
            key=key_of(user_id),
            version=f"{secrets.randbits(47) | 1 << 46:x}",
            session_id=session_id,
            export_cursor=export_cursor(self.tenant, user_id, session_id),
            sessions_cursor=sessions_cursor(self.sessions_cursor, user_id, session_id),
            list_cursor=cursor_of(json.loads(bytes.fromhex(self.list_cursor))[0], user_id, "users"),
            actor=f"unknown-{secrets.token_hex(6)}",
            request_id=f"unknown-{secrets.token_hex(6)}",
            audit_cursor=audit_cursor(self.tenant, _place_of(self.audit_cursor), secrets.randbits(50)),
        )

    def asked_by(self, tenant: str) -> Person:
        """Return the same with cursors of an export and of the audit trail of this tenant."""
        place = _place_of(self.audit_cursor)
        return replace(
            self,
            asker_cursor=export_cursor(tenant, self.id, self.session_id),
            asker_audit_cursor=audit_cursor(tenant, place, 1),
        )

    def plain(self, text: str) -> str:
        """Return `text` without what differs between any two people: ids, e-mails, times and entity tags."""
        for name, value in (
            ("id", self.id),
            ("email", self.email),
            ("EMAIL", self.email.upper()),
            ("session", self.session_id),
            ("actor", self.actor),
            ("request", self.request_id),
        ):
            text = text.replace(value, f"<{name}>")
        return _TAG.sub(r"\1\2<tag>\3", _UUID.sub("<uuid>", _TIME.sub("<time>", text)))


def key_of(user_id: str) -> str:
    """Return a new key. A write of the user with it clears no expired keys, so it reads the same indexes as others."""
    return next(key for key in iter(lambda: secrets.token_hex(8), "") if not clears_keys(user_id, key))


def cursor_of(number: int, name: str, listed: str) -> str:
    """Return the cursor that robot_brain.make_cursor makes."""
    return _hexadecimal([number, name, _filter(listed)])


def export_cursor(tenant: str, user_id: str, session_id: str, seq: int = 1) -> str:
    """Return the cursor of a place in the export of a user."""
    return cursor_of(seq, session_id, f"export {tenant} {user_id}")


def audit_cursor(tenant: str, number: int, entry_id: int) -> str:
    """Return the cursor of a place in the whole audit trail of a tenant."""
    return cursor_of(number, str(entry_id), f"audit {json.dumps([tenant, None, None, None, None])}")


def sessions_cursor(cursor: str, user_id: str, session_id: str) -> str:
    """Return a cursor of a list of sessions for another user and place."""
    hour, active, *_ = json.loads(bytes.fromhex(cursor))
    return _hexadecimal([hour, active, session_id, _filter(user_id)])


def _place_of(cursor: str) -> int:
    return int(json.loads(bytes.fromhex(cursor))[0])


def _filter(listed: str) -> str:
    return hashlib.sha256(listed.encode()).hexdigest()[:16]


def _hexadecimal(place: Sequence[object]) -> str:
    return json.dumps(place).encode().hex()
