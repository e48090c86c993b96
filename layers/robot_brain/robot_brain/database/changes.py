"""The SQL functions that change or erase sessions. Each function here makes one call, except those that erase.

A change is retried after an unknown outcome only if If-Match holds a whole entity tag, because then the change can
happen only once. A blind retry would destroy what another client wrote since the first attempt.

A large erasure takes several calls, each of them one step. The first step decides whether the erasure happens. If a
later step fails, the refresh goes on with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from robot_brain import telemetry
from robot_brain.caller import Caller
from robot_brain.database.api import SCHEMA_VERSION, audited
from robot_brain.database.call import Answer, Row, call
from robot_brain.deadline import Deadline
from robot_brain.errors import RequestError, RobotBrainError, SessionNotFoundError, TurnNotFoundError

# Seconds before the deadline at which an erasure stops, so that the answer arrives in time.
_RESERVED = 2.0

_REPLACE = """
select body, etag from robot_brain_api.replace_turn(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_seq => %(seq)s,
  p_turn => %(turn)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""
_REMOVE = """
select body, etag from robot_brain_api.remove_turns(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_after => %(after)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
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
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""
_ERASE = """
select state from robot_brain_api.erase_session(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_continue => %(continue)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""
_CONTINUE = "select body from robot_brain_api.continue_erasure(p_schema_version => %(schema_version)s)"


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
    arguments = {**audited(caller), "session_id": session_id, "seq": seq, "turn": turn, "if_match": if_match}
    return Changed(*_change("replace_turn", _REPLACE, arguments, deadline, _not_found).row)


def remove_turns(caller: Caller, session_id: str, after: int, if_match: str | None, deadline: Deadline) -> Changed:
    """Remove the turns whose seq is above `after`.

    Raises SessionNotFoundError, PreconditionFailedError, InvalidRequestError, or a DatabaseError.
    """
    arguments = {**audited(caller), "session_id": session_id, "after": after, "if_match": if_match}
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
        **audited(caller),
        "session_id": session_id,
        "user_metadata": user_metadata,
        "user_id": user_id,
        "sets_user_id": sets_user_id,
        "if_match": if_match,
    }
    return Changed(*_change("patch_session", _PATCH, arguments, deadline).row)


def erase_session(caller: Caller, session_id: str, if_match: str | None, deadline: Deadline) -> bool:
    """Erase a session step by step. Return whether all of it is erased, or false if time ran out before that.

    Raises SessionNotFoundError, PreconditionFailedError, or a DatabaseError, each of the first step.
    """
    arguments = {**audited(caller), "session_id": session_id, "if_match": if_match}
    # A whole entity tag has a dot.
    repeatable = "." in (if_match or "")
    return erase("erase_session", _ERASE, arguments, deadline, repeatable, SessionNotFoundError())


def continue_erasure(deadline: Deadline) -> str:
    """Do a step of the oldest unfinished erasure. Return {"turns_erased": …} as JSON text. Raises a DatabaseError."""
    arguments = {"schema_version": SCHEMA_VERSION}
    return str(call("continue_erasure", _CONTINUE, arguments, deadline, until_deadline=True).row[0])


def erase(
    function: str,
    statement: str,
    arguments: dict[str, object],
    deadline: Deadline,
    repeatable: bool,
    unknown: RequestError,
) -> bool:
    """Do the steps of an erasure until time runs out. Return whether all is erased.

    Raises `unknown` if there is nothing to erase, or another error of the first step.
    A blind retry of the first step could erase what was made since the first attempt. If-Match prevents that. A later
    step may always be repeated.
    """
    arguments["continue"] = False
    (state,) = call(
        function,
        statement,
        arguments,
        deadline,
        writes=True,
        repeatable=repeatable,
        refused=lambda row: unknown if row[0] == "unknown" else None,
    ).row
    steps = 1
    arguments |= {"if_match": None, "continue": True}
    try:
        while state != "erased" and deadline.left() > _RESERVED:
            within = deadline.at_most(deadline.left() - _RESERVED)
            (state,) = call(function, statement, arguments, within).row
            steps += 1
    except RobotBrainError as error:
        # The erasure has begun, so the request succeeded. Only the rest of the work remains.
        telemetry.note(error=type(error).__name__, reason=str(error))
    telemetry.note(erasure_steps=steps)
    return bool(state == "erased")


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
