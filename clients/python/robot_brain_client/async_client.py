"""The client for asyncio, made from client.py by `make contract`.

Each method is one route of the API. It returns an Answer, or raises an error of robot_brain_client.errors.
`if_match` is an entity tag, or an answer that has one. With it a change happens once and only in that state, so the
client can repeat the request if an answer is lost. Without it such a change raises OutcomeUnknownError.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from asyncio import sleep
from time import monotonic
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
from robot_brain_client.async_transport import AsyncTransport

if TYPE_CHECKING:
    from robot_brain_client import types

Result = TypeVar("Result")
_MOST_TURNS = 200


class AsyncRobotBrain:
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
        self._transport = AsyncTransport(url, timeout)
        self._auth = auth
        self._patience = patience

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the idle connections."""
        await self._transport.close()

    # Turns

    async def write(
        self, session_id: str, turn: types.OneTurn, *, idempotency_key: str | None = None, if_match: Tag = None
    ) -> Answer[types.Written]:
        """Append a turn. Without a key it gets one of its own, so that a lost answer never doubles it."""
        return await self._send(calls.write(session_id, turn, idempotency_key, if_match))

    async def write_all(
        self, session_id: str, batch: types.Batch, *, idempotency_key: str | None = None, if_match: Tag = None
    ) -> Answer[types.Written]:
        """Append up to 100 turns. Either all are written or no turn is."""
        return await self._send(calls.write(session_id, batch, idempotency_key, if_match))

    async def replace(
        self, session_id: str, seq: int, turn: types.Replacement, *, if_match: Tag = None
    ) -> Answer[types.Replaced]:
        """Complete, edit or redact a turn. What `turn` leaves out becomes absent."""
        return await self._send(calls.replace(session_id, seq, turn, if_match))

    async def remove(self, session_id: str, *, after: int, if_match: Tag = None) -> Answer[types.Removed]:
        """Remove the turns above `after`; 0 removes all. The session stays."""
        return await self._send(calls.remove(session_id, after, if_match))

    async def read(
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
        return await self._send(calls.read(session_id, query, if_none_match))

    async def turns(self, session_id: str, *, after: int = 0) -> AsyncIterator[types.StoredTurn]:
        """Read the turns after a seq, oldest first, page by page."""
        while True:
            answer = await self._send(calls.read(session_id, {"after": after, "limit": _MOST_TURNS}))
            for turn in answer.body["messages"]:
                yield turn
            if (next_page := answer.body["page"]["after"]) is None or not answer.body["messages"]:
                return
            after = next_page

    # Sessions

    async def edit_session(
        self, session_id: str, patch: types.SessionPatch, *, if_match: Tag = None
    ) -> Answer[types.Patched]:
        """Change user_metadata by a merge patch, or the session's user. It creates a session that does not exist."""
        return await self._send(calls.edit_session(session_id, patch, if_match))

    async def erase_session(self, session_id: str, *, if_match: Tag = None) -> bool:
        """Erase a session and everything of it. Returns False if patience ended before a part that is left."""
        return await self._erase(calls.erase_session(session_id, if_match))

    async def sessions(
        self,
        *,
        user_id: str | None = None,
        metadata: dict[str, Any] | None = None,
        path: str | None = None,
        preview: bool | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[types.ListedSession]:
        """List the sessions, newest activity first. `limit` is the size of a page."""
        query = {"user_id": user_id, "metadata": metadata, "path": path, "preview": preview, "limit": limit}
        async for page in self._pages("/sessions", query):
            for session in page["sessions"]:
                yield session

    async def search(self, q: str, **filters: Any) -> AsyncIterator[types.Hit]:
        """Find turns by words. `filters` are the query's parameters; write `from_` and `in_` for `from` and `in`."""
        async for page in self._pages("/search", {"q": q, **{name.rstrip("_"): each for name, each in filters.items()}}):
            for hit in page["hits"]:
                yield hit

    # Users

    async def create_user(self, user: types.UserContent, *, idempotency_key: str | None = None) -> Answer[types.User]:
        """Create a user with a new id."""
        return await self._send(calls.create_user(user, idempotency_key))

    async def replace_user(self, user_id: str, user: types.UserContent, *, if_match: Tag = None) -> Answer[types.User]:
        """Create or replace a user."""
        return await self._send(calls.replace_user(user_id, user, if_match))

    async def patch_user(self, user_id: str, patch: types.UserPatch, *, if_match: Tag = None) -> Answer[types.User]:
        """Change a user by a merge patch."""
        return await self._send(calls.patch_user(user_id, patch, if_match))

    async def read_user(self, user_id: str, *, if_none_match: Tag = None) -> Answer[types.User]:
        """Read a user with its profile."""
        return await self._send(calls.read_user(user_id, if_none_match))

    async def users(self, *, email: str | None = None, limit: int | None = None) -> AsyncIterator[types.User]:
        """List the users, newest first, or find the one with an e-mail."""
        async for page in self._pages("/users", {"email": email, "limit": limit}):
            for user in page["users"]:
                yield user

    async def export_user(self, user_id: str) -> AsyncIterator[types.Export]:
        """Read all that is held about a person, page by page."""
        cursor = None
        while True:
            answer = await self._send(calls.export_user(user_id, cursor))
            yield answer.body
            if not (cursor := answer.body["page"]["cursor"]):
                return

    async def count_user(self, user_id: str) -> Answer[types.UserCounts]:
        """Count what an erasure of the person would erase."""
        return await self._send(calls.erase_user(user_id, None, dry_run=True))

    async def erase_user(self, user_id: str, *, if_match: Tag = None) -> bool:
        """Erase a person with all sessions. Returns False if patience ended before a part that is left."""
        return await self._erase(calls.erase_user(user_id, if_match))

    # Operators

    async def audit(self, **filters: Any) -> AsyncIterator[types.AuditEntry]:
        """Read the audit trail, newest first. `filters` are the query's parameters; write `from_` for `from`."""
        async for page in self._pages("/audit", {name.rstrip("_"): each for name, each in filters.items()}):
            for entry in page["entries"]:
                yield entry

    async def stats(self) -> Answer[types.TenantFigures]:
        """Read the tenant's figures."""
        return await self._send(calls.get("/stats", {}))

    async def session_stats(self, session_id: str) -> Answer[types.SessionFigures]:
        """Read the figures of one session."""
        return await self._send(calls.get("/stats", {"session_id": session_id}))

    async def health(self) -> Answer[types.Health]:
        """Ask whether the functions answer, without the database."""
        return await self._send(calls.get("/health", {}))

    async def database_health(self) -> Answer[types.DatabaseHealth]:
        """Ask how the database is. 503 raises UnavailableError, whose `problem` is the report."""
        return await self._send(calls.get("/health/database", {}))

    async def run(self, flow: Flow[Result]) -> Result:
        """Send the calls of a flow, one after another, and return the flow's result."""
        steps = Steps(flow)
        while steps.call is not None:
            try:
                steps.answer(await self._send(steps.call))
            except steps.errors as error:
                steps.error(error)
        return steps.result

    async def _send(self, call: Call) -> Answer[Any]:
        """Return the answer of a call, after as many attempts as it may have."""
        attempts = Attempts(call, self._patience)
        path = self._address.path + call.path
        target = f"{path}?{urlencode(call.query, quote_via=quote, safe='-_.~')}" if call.query else path
        while True:
            signed = self._auth.headers(call, self._address.netloc, path) if self._auth else {}
            try:
                reply = await self._transport.send(call.method, target, call.headers | signed, call.body)
            except (NotSentError, OutcomeUnknownError) as error:
                pause = attempts.failure(error)
            else:
                answer = attempts.answer(reply)
                if isinstance(answer, Answer):
                    return answer
                pause = answer
            await sleep(pause)

    async def _erase(self, call: Call) -> bool:
        """Repeat an erasure until nothing is left. It returns False if a part is left after the patience."""
        ends = monotonic() + self._patience
        begun = False
        while True:
            try:
                answer = await self._send(call)
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
            await sleep(1.0)

    async def _pages(self, path: str, query: dict[str, Any]) -> AsyncIterator[Any]:
        """Read the pages of a list, until there is no cursor."""
        cursor: str | None = None
        while True:
            answer = await self._send(calls.get(path, query | {"cursor": cursor}))
            yield answer.body
            if not (cursor := answer.body["page"]["cursor"]):
                return
