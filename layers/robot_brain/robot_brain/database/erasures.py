"""The SQL functions that erase a person, or count what that would erase."""

from __future__ import annotations

from robot_brain.caller import Caller
from robot_brain.database import changes
from robot_brain.database.api import arguments_of, audited
from robot_brain.database.call import call
from robot_brain.deadline import Deadline
from robot_brain.errors import UserNotFoundError

_USER = """
select state from robot_brain_api.erase_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_if_match => %(if_match)s,
  p_continue => %(continue)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""
_COUNT = """
select body from robot_brain_api.count_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_schema_version => %(schema_version)s)
"""


def erase_user(caller: Caller, user_id: str, if_match: str | None, deadline: Deadline) -> bool:
    """Erase a user and all sessions of the person step by step. Return as `changes.erase` does.

    Raises ForbiddenError if an end user names another, UserNotFoundError, UserPreconditionFailedError, or a
    DatabaseError, each of the first step.
    """
    caller.require_user(user_id)
    arguments = {**audited(caller), "user_id": user_id, "if_match": if_match}
    return changes.erase("erase_user", _USER, arguments, deadline, if_match is not None, UserNotFoundError())


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
