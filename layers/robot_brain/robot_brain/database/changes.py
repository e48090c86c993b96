"""The SQL functions that change sessions. Each function here makes one call.

A change is retried after an unknown outcome only if If-Match holds a whole entity tag, because then the change can
happen only once. A blind retry would destroy what another client wrote since the first attempt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from robot_brain.caller import Caller
from robot_brain.database.api import arguments_of
from robot_brain.database.call import Answer, Row, call
from robot_brain.deadline import Deadline
from robot_brain.errors import RequestError, SessionNotFoundError, TurnNotFoundError

_REPLACE = """
select body, etag from robot_brain_api.replace_turn(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_seq => %(seq)s,
  p_turn => %(turn)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""
_REMOVE = """
select body, etag from robot_brain_api.remove_turns(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_after => %(after)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""
_PATCH = """
select body, etag from robot_brain_api.patch_session(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_user_metadata => %(user_metadata)s,
  p_user_id => %(user_id)s,
  p_sets_user_id => %(sets_user_id)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""


class Changed(NamedTuple):
    """The answer to a change as JSON text, and the entity tag of the session after it."""

    body: str
    etag: str


def replace_turn(
    caller: Caller, session_id: str, seq: int, turn: str, if_match: str | None, deadline: Deadline
) -> Changed:
    """Replace a turn by `turn`, a JSON object.

    Raises SessionNotFoundError, TurnNotFoundError, PreconditionFailedError, InvalidRequestError, or a DatabaseError.
    """
    arguments = {**arguments_of(caller), "session_id": session_id, "seq": seq, "turn": turn, "if_match": if_match}
    return Changed(*_change("replace_turn", _REPLACE, arguments, deadline, _not_found).row)


def remove_turns(caller: Caller, session_id: str, after: int, if_match: str | None, deadline: Deadline) -> Changed:
    """Remove the turns whose seq is above `after`.

    Raises SessionNotFoundError, PreconditionFailedError, InvalidRequestError, or a DatabaseError.
    """
    arguments = {**arguments_of(caller), "session_id": session_id, "after": after, "if_match": if_match}
    return Changed(*_change("remove_turns", _REMOVE, arguments, deadline, _not_found).row)


def patch_session(
    caller: Caller,
    session_id: str,
    if_match: str | None,
    deadline: Deadline,
    *,
    user_metadata: str | None,
    user_id: str | None,
    sets_user_id: bool,
) -> Changed:
    """Merge `user_metadata`, a JSON Merge Patch, into the session's, and set its user if `sets_user_id`.

    Create the session if it does not exist.
    Raises ForbiddenError if an end user sets the user, SessionNotFoundError if the session is another user's,
    SessionBeingErasedError, PreconditionFailedError, InvalidRequestError, or a DatabaseError.
    """
    if sets_user_id:
        caller.require_all("set user_id")
    arguments = {
        **arguments_of(caller),
        "session_id": session_id,
        "user_metadata": user_metadata,
        "user_id": user_id,
        "sets_user_id": sets_user_id,
        "if_match": if_match,
    }
    return Changed(*_change("patch_session", _PATCH, arguments, deadline).row)


def _change(
    function: str,
    statement: str,
    arguments: Mapping[str, object],
    deadline: Deadline,
    refused: Callable[[Row], RequestError | None] | None = None,
) -> Answer:
    """Make one change. Raises the error that `refused` returns for the row, or what `call` raises."""
    # A whole entity tag has a dot.
    repeatable = "." in str(arguments["if_match"] or "")
    return call(
        function,
        statement,
        arguments,
        deadline,
        writes=True,
        repeatable=repeatable,
        refused=refused,
    )


def _not_found(row: Row) -> RequestError | None:
    """Return the error for a change without a session or a turn."""
    body, etag = row
    if etag is None:
        return SessionNotFoundError()
    return TurnNotFoundError() if body is None else None
