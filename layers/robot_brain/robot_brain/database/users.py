"""The SQL functions of users. Each function here makes one call. Users are erased in `erasures`.

An end user may only name itself, and may neither list nor create users.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from robot_brain import telemetry
from robot_brain.caller import Caller
from robot_brain.database.api import Page, Written, arguments_of, audited, random_uuid
from robot_brain.database.call import call
from robot_brain.deadline import Deadline
from robot_brain.errors import UserNotFoundError

_CREATE = """
select body, replayed, etag from robot_brain_api.create_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_user => %(user)s,
  p_email_key => %(email_key)s,
  p_key => %(key)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""
_SAVE = """
select body, etag, created from robot_brain_api.save_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_user => %(user)s,
  p_email_key => %(email_key)s,
  p_is_patch => %(is_patch)s,
  p_if_match => %(if_match)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""
_READ = """
select body, etag from robot_brain_api.read_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_known_etags => %(known_etags)s,
  p_schema_version => %(schema_version)s)
"""
_LIST = """
select body from robot_brain_api.list_users(
  p_tenant_id => %(tenant_id)s,
  p_limit => %(limit)s,
  p_cursor => %(cursor)s,
  p_email_key => %(email_key)s,
  p_schema_version => %(schema_version)s)
"""
_EXPORT = """
select body from robot_brain_api.export_user(
  p_tenant_id => %(tenant_id)s,
  p_user_id => %(user_id)s,
  p_cursor => %(cursor)s,
  p_actor => %(actor)s,
  p_request_id => %(request_id)s,
  p_schema_version => %(schema_version)s)
"""


class Saved(NamedTuple):
    """The user after a change as JSON text, its entity tag, and whether the change created it."""

    body: str
    etag: str
    created: bool


def create_user(caller: Caller, user: str, email_key: str | None, key: str | None, deadline: Deadline) -> Written:
    """Create a user with a new id from `user`, a JSON object. With the same `key` return the first answer again.

    The id is made here, before the first attempt. So a retry of this call creates no second user.
    Raises ForbiddenError, IdempotencyKeyReusedError, IdempotencyKeyErasedError, InvalidRequestError if another user has
    the e-mail, or a DatabaseError.
    """
    caller.require_all("create users")
    made = random_uuid()
    user_id = f"{made[:8]}-{made[8:12]}-{made[12:16]}-{made[16:20]}-{made[20:]}"
    arguments = {**audited(caller), "user_id": user_id, "user": user, "email_key": email_key, "key": key}
    body, replayed, etag = call("create_user", _CREATE, arguments, deadline, writes=True).row
    if replayed:
        telemetry.count("Replays")
    return Written(body, replayed and json.loads(body)["id"] != user_id, etag)


def save_user(
    caller: Caller,
    user_id: str,
    user: str,
    email_key: str | None,
    is_patch: bool,
    if_match: str | None,
    deadline: Deadline,
) -> Saved:
    """Create or replace a user by `user`, a JSON object. With `is_patch`, `user` is a merge patch of an existing user.

    Raises ForbiddenError, UserNotFoundError, UserBeingErasedError, UserPreconditionFailedError, InvalidRequestError if
    another user has the e-mail, or a DatabaseError.
    """
    caller.require_user(user_id)
    arguments = {
        **audited(caller),
        "user_id": user_id,
        "user": user,
        "email_key": email_key,
        "is_patch": is_patch,
        "if_match": if_match,
    }
    answer = call(
        "save_user",
        _SAVE,
        arguments,
        deadline,
        writes=True,
        # With an entity tag the change can happen only once. A blind retry would undo what another client changed.
        repeatable=if_match is not None,
        refused=lambda row: UserNotFoundError() if row[0] is None else None,
    )
    return Saved(*answer.row)


def read_user(caller: Caller, user_id: str, known_etags: Sequence[str], deadline: Deadline) -> Page:
    """Return a user with its profile. Raises ForbiddenError, UserNotFoundError, or a DatabaseError."""
    caller.require_user(user_id)
    arguments = {**arguments_of(caller), "user_id": user_id, "known_etags": list(known_etags)}
    body, etag = call("read_user", _READ, arguments, deadline).row
    if etag is None:
        raise UserNotFoundError
    return Page(body, etag)


def list_users(caller: Caller, limit: int, cursor: str | None, email_key: str | None, deadline: Deadline) -> str:
    """Return a page of the tenant's users as JSON text, newest first, or with `email_key` the user that has the e-mail.

    Raises ForbiddenError, InvalidRequestError if the cursor is unreadable, or a DatabaseError.
    """
    caller.require_all("list users")
    arguments = {**arguments_of(caller), "limit": limit, "cursor": cursor, "email_key": email_key}
    return str(call("list_users", _LIST, arguments, deadline).row[0])


def export_user(caller: Caller, user_id: str, cursor: str | None, deadline: Deadline) -> str:
    """Return a page of all that is held about a user as JSON text.

    Raises ForbiddenError, UserNotFoundError, InvalidRequestError if the cursor is unreadable, or a DatabaseError.
    """
    caller.require_user(user_id)
    arguments = {**audited(caller), "user_id": user_id, "cursor": cursor}
    body = call("export_user", _EXPORT, arguments, deadline).row[0]
    if body is None:
        raise UserNotFoundError
    return str(body)
