"""The SQL functions that erase. A large erasure takes several calls, each of them one step.

The first step decides whether the erasure happens. If a later step fails, the refresh goes on with it.
"""

from __future__ import annotations

from robot_brain import telemetry
from robot_brain.caller import Caller
from robot_brain.database.api import SCHEMA_VERSION, arguments_of
from robot_brain.database.call import call
from robot_brain.deadline import Deadline
from robot_brain.errors import RequestError, RobotBrainError, SessionNotFoundError, UserNotFoundError

# Seconds before the deadline at which an erasure stops, so that the answer arrives in time.
_RESERVED = 2.0

_SESSION = """
select state from robot_brain_api.erase_session(
  p_tenant_id => %(tenant_id)s,
  p_session_id => %(session_id)s,
  p_if_match => %(if_match)s,
  p_as_user => %(as_user)s,
  p_continue => %(continue)s,
  p_schema_version => %(schema_version)s)
"""
_USER = """
select state from robot_brain_api.erase_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_if_match => %(if_match)s,
  p_continue => %(continue)s,
  p_schema_version => %(schema_version)s)
"""
_COUNT = """
select body from robot_brain_api.count_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_schema_version => %(schema_version)s)
"""
_CONTINUE = "select body from robot_brain_api.continue_erasure(p_schema_version => %(schema_version)s)"


def erase_session(caller: Caller, session_id: str, if_match: str | None, deadline: Deadline) -> bool:
    """Erase a session step by step. Return whether all of it is erased, or false if time ran out before that.

    Raises SessionNotFoundError, PreconditionFailedError, or a DatabaseError, each of the first step.
    """
    arguments = {**arguments_of(caller), "session_id": session_id, "if_match": if_match}
    # A whole entity tag has a dot.
    repeatable = "." in (if_match or "")
    return _erase("erase_session", _SESSION, arguments, deadline, repeatable, SessionNotFoundError())


def erase_user(caller: Caller, user_id: str, if_match: str | None, deadline: Deadline) -> bool:
    """Erase a user and all sessions of the person step by step. Return as `erase_session` does.

    Raises ForbiddenError if an end user names another, UserNotFoundError, PreconditionFailedError, or a DatabaseError,
    each of the first step.
    """
    caller.require_user(user_id)
    arguments = {**arguments_of(caller), "user_id": user_id, "if_match": if_match}
    return _erase("erase_user", _USER, arguments, deadline, if_match is not None, UserNotFoundError())


def count_user(caller: Caller, user_id: str, deadline: Deadline) -> str:
    """Return what `erase_user` would erase: {"sessions", "messages", "interactions"} as JSON text.

    Raises ForbiddenError if an end user names another, UserNotFoundError, or a DatabaseError.
    """
    caller.require_user(user_id)
    arguments = {**arguments_of(caller), "user_id": user_id}
    body = call("count_user", _COUNT, arguments, deadline, until_deadline=True).row[0]
    if body is None:
        raise UserNotFoundError
    return str(body)


def continue_erasure(deadline: Deadline) -> str:
    """Do a step of the oldest unfinished erasure. Return {"turns_erased": …} as JSON text. Raises a DatabaseError."""
    arguments = {"schema_version": SCHEMA_VERSION}
    return str(call("continue_erasure", _CONTINUE, arguments, deadline, until_deadline=True).row[0])


def _erase(
    function: str,
    statement: str,
    arguments: dict[str, object],
    deadline: Deadline,
    repeatable: bool,
    unknown: RequestError,
) -> bool:
    """Do the steps of an erasure until all is erased or time runs out. Raises `unknown` if there is nothing to erase.

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
        # All is marked, so the request succeeded. Only the rest of the work remains.
        telemetry.note(error=type(error).__name__, reason=str(error))
    telemetry.note(erasure_steps=steps)
    return bool(state == "erased")
