"""The client.

Each method is one route of the API. It returns an Answer, or raises an error of robot_brain_client.errors.
`if_match` is an entity tag, or an answer that has one. With it a change happens once and only in that state, so the
client can repeat the request if an answer is lost. Without it such a change raises OutcomeUnknownError.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, sleep
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote, urlencode

from robot_brain_client import calls
from robot_brain_client.addresses import address
from robot_brain_client.answers import Answer, Call
from robot_brain_client.auth import Auth
from robot_brain_client.calls import Tag
from robot_brain_client.errors import NotFoundError, NotSentError, OutcomeUnknownError
from robot_brain_client.flows import Flow, Steps
from robot_brain_client.retrying import ATTEMPT_SECONDS, PATIENCE_SECONDS, Attempts
from robot_brain_client.transport import Transport

if TYPE_CHECKING:
    from robot_brain_client import types

Result = TypeVar("Result")
_MOST_TURNS = 200


class RobotBrain:
    """The API at an address.

    Args:
        url: The address of the API, such as the output ApiUrl of the stack or http://127.0.0.1:3000.
        auth: `Bearer` or `SigV4`; None for the API of `make run`.
        timeout: The seconds that one attempt may stay without an answer.
        patience: The seconds after which no attempt of a call begins.
    """

    def __init__(
        self, url: str, auth: Auth | None = None, timeout: float = ATTEMPT_SECONDS, patience: float = PATIENCE_SECONDS
    ) -> None:
        self._address = address(url)
        self._transport = Transport(url, timeout)
        self._auth = auth
        self._patience = patience

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the idle connections."""
        self._transport.close()

    # Turns

    def write(
        self, session_id: str, turn: types.OneTurn, *, idempotency_key: str | None = None, if_match: Tag = None
    ) -> Answer[types.Written]:
        """Append a turn. Without a key it gets one of its own, so that a lost answer never doubles it."""
        return self._send(calls.write(session_id, turn, idempotency_key, if_match))

    def write_all(
        self, session_id: str, batch: types.Batch, *, idempotency_key: str | None = None, if_match: Tag = None
    ) -> Answer[types.Written]:
        """Append up to 100 turns. Either all are written or no turn is."""
        return self._send(calls.write(session_id, batch, idempotency_key, if_match))

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
        cursor = None
        while True:
            answer = self._send(calls.export_user(user_id, cursor))
            yield answer.body
            if not (cursor := answer.body["page"]["cursor"]):
                return

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

    def run(self, flow: Flow[Result]) -> Result:
        """Send the calls of a flow, one after another, and return the flow's result."""
        steps = Steps(flow)
        while steps.call is not None:
            try:
                steps.answer(self._send(steps.call))
            except steps.errors as error:
                steps.error(error)
        return steps.result

    def _send(self, call: Call) -> Answer[Any]:
        """Return the answer of a call, after as many attempts as it may have."""
        attempts = Attempts(call, self._patience)
        path = self._address.path + call.path
        target = f"{path}?{urlencode(call.query, quote_via=quote, safe='-_.~')}" if call.query else path
        while True:
            signed = self._auth.headers(call, self._address.netloc, path) if self._auth else {}
            try:
                reply = self._transport.send(call.method, target, call.headers | signed, call.body)
            except (NotSentError, OutcomeUnknownError) as error:
                pause = attempts.failure(error)
            else:
                answer = attempts.answer(reply)
                if isinstance(answer, Answer):
                    return answer
                pause = answer
            sleep(pause)

    def _erase(self, call: Call) -> bool:
        """Repeat an erasure until nothing is left. It returns False if a part is left after the patience."""
        ends = monotonic() + self._patience
        begun = False
        while True:
            try:
                answer = self._send(call)
            except NotFoundError as error:
                # An attempt without an answer, or the last step, erased it.
                if begun or error.perhaps_done:
                    return True
                raise
            if answer.status != 202:
                return True
            if monotonic() > ends:
                return False
            # The first step has met the condition.
            begun, call = True, Call(call.method, call.path, repeatable=True)
            sleep(1.0)

    def _pages(self, path: str, query: dict[str, Any]) -> Iterator[Any]:
        """Read the pages of a list, until there is no cursor."""
        cursor: str | None = None
        while True:
            answer = self._send(calls.get(path, query | {"cursor": cursor}))
            yield answer.body
            if not (cursor := answer.body["page"]["cursor"]):
                return
