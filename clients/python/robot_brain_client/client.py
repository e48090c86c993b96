"""The client.

Each method is one route of the API. It returns an Answer, or raises an error of robot_brain_client.errors.
`if_match` is an entity tag, or an answer that has one. With it a change happens once and only in that state, so the
client can repeat the request if an answer is lost. Without it such a change raises OutcomeUnknownError.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from robot_brain_client import calls
from robot_brain_client.answers import Answer
from robot_brain_client.calls import Tag
from robot_brain_client.sender import Sender

if TYPE_CHECKING:
    from robot_brain_client import types

_MOST_TURNS = 200


class RobotBrain(Sender):
    """The API at an address.

    Args:
        url: The address of the API, such as the output ApiUrl of the stack or http://127.0.0.1:3000.
        auth: `Bearer` or `SigV4`; None for the API of `make run`.
        timeout: The seconds that one attempt may stay without an answer.
        patience: The seconds after which no attempt of a call begins.
    """

    # Turns

    def write(
        self,
        session_id: str,
        body: types.OneTurn | types.Batch,
        *,
        idempotency_key: str | None = None,
        if_match: Tag = None,
    ) -> Answer[types.Written]:
        """Append a turn, or up to 100 turns as `messages`, all or none. Without a key it makes one for all attempts."""
        return self._send(calls.write(session_id, body, idempotency_key, if_match))

    def replace(
        self, session_id: str, seq: int, turn: types.Replacement, *, if_match: Tag = None
    ) -> Answer[types.Replaced]:
        """Complete, edit or redact a turn. What `turn` leaves out becomes absent."""
        return self._send(calls.replace(session_id, seq, turn, if_match))

    def remove(self, session_id: str, *, after: int, if_match: Tag = None) -> Answer[types.Removed]:
        """Remove the turns above `after`; 0 removes all. The session stays."""
        return self._send(calls.remove(session_id, after, if_match))

    def read(
        self,
        session_id: str,
        *,
        limit: int | None = None,
        before: int | None = None,
        after: int | None = None,
        max_chars: int | None = None,
        if_none_match: Tag = None,
    ) -> Answer[types.Page]:
        """Read a page of turns, oldest first: the newest, those before a seq, or those after one.

        With `if_none_match` the status is 304 and the body None if nothing changed.
        """
        query = {"limit": limit, "before": before, "after": after, "max_chars": max_chars}
        return self._send(calls.read(session_id, query, if_none_match))

    def turns(self, session_id: str, *, after: int = 0) -> Iterator[types.StoredTurn]:
        """Read the turns after a seq, oldest first, page by page."""
        while True:
            answer = self._send(calls.read(session_id, {"after": after, "limit": _MOST_TURNS}))
            for turn in answer.body["messages"]:
                yield turn
            if (next_page := answer.body["page"]["after"]) is None or not answer.body["messages"]:
                return
            after = next_page

    # Sessions

    def edit_session(
        self, session_id: str, patch: types.SessionPatch, *, if_match: Tag = None
    ) -> Answer[types.Patched]:
        """Change user_metadata by a merge patch, or the session's user. It creates a session that does not exist."""
        return self._send(calls.edit_session(session_id, patch, if_match))

    def erase_session(self, session_id: str, *, if_match: Tag = None) -> bool:
        """Erase a session and everything of it. Returns False if patience ended before a part that is left."""
        return self._erase(calls.erase_session(session_id, if_match))

    def sessions(
        self,
        *,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        path: str | None = None,
        preview: bool | None = None,
        limit: int | None = None,
    ) -> Iterator[types.ListedSession]:
        """List the sessions, newest activity first. `limit` is the size of a page."""
        query = {"user_id": user_id, "metadata": metadata, "path": path, "preview": preview, "limit": limit}
        for page in self._pages("/sessions", query):
            for session in page["sessions"]:
                yield session

    def search(self, q: str, **filters: Any) -> Iterator[types.Hit]:
        """Find turns by words. `filters` are the query's parameters; write `from_` and `in_` for `from` and `in`."""
        for page in self._pages("/search", {"q": q, **{name.rstrip("_"): each for name, each in filters.items()}}):
            for hit in page["hits"]:
                yield hit

    # Users

    def create_user(self, user: types.UserContent, *, idempotency_key: str | None = None) -> Answer[types.User]:
        """Create a user with a new id."""
        return self._send(calls.create_user(user, idempotency_key))

    def replace_user(self, user_id: str, user: types.UserContent, *, if_match: Tag = None) -> Answer[types.User]:
        """Create or replace a user."""
        return self._send(calls.replace_user(user_id, user, if_match))

    def patch_user(self, user_id: str, patch: types.UserPatch, *, if_match: Tag = None) -> Answer[types.User]:
        """Change a user by a merge patch."""
        return self._send(calls.patch_user(user_id, patch, if_match))

    def read_user(self, user_id: str, *, if_none_match: Tag = None) -> Answer[types.User]:
        """Read a user with its profile."""
        return self._send(calls.read_user(user_id, if_none_match))

    def users(self, *, email: str | None = None, limit: int | None = None) -> Iterator[types.User]:
        """List the users, newest first, or find the one with an e-mail."""
        for page in self._pages("/users", {"email": email, "limit": limit}):
            for user in page["users"]:
                yield user

    def export_user(self, user_id: str) -> Iterator[types.Export]:
        """Read all that is held about a person, page by page."""
        for page in self._pages(calls.user_path(user_id) + "/export", {}):
            yield page

    def count_user(self, user_id: str) -> Answer[types.UserCounts]:
        """Count what an erasure of the person would erase."""
        return self._send(calls.erase_user(user_id, None, dry_run=True))

    def erase_user(self, user_id: str, *, if_match: Tag = None) -> bool:
        """Erase a person with all sessions. Returns False if patience ended before a part that is left."""
        return self._erase(calls.erase_user(user_id, if_match))

    # Operators

    def audit(self, **filters: Any) -> Iterator[types.AuditEntry]:
        """Read the audit trail, newest first. `filters` are the query's parameters; write `from_` for `from`."""
        for page in self._pages("/audit", {name.rstrip("_"): each for name, each in filters.items()}):
            for entry in page["entries"]:
                yield entry

    def stats(self) -> Answer[types.TenantFigures]:
        """Read the tenant's figures."""
        return self._send(calls.get("/stats", {}))

    def session_stats(self, session_id: str) -> Answer[types.SessionFigures]:
        """Read the figures of one session."""
        return self._send(calls.get("/stats", {"session_id": session_id}))

    def health(self) -> Answer[types.Health]:
        """Ask whether the functions answer, without the database."""
        return self._send(calls.get("/health", {}))

    def database_health(self) -> Answer[types.DatabaseHealth]:
        """Ask how the database is. 503 raises UnavailableError, whose `problem` is the report."""
        return self._send(calls.get("/health/database", {}))
