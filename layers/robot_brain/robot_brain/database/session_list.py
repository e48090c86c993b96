"""The SQL function that lists sessions, and finds them by their metadata."""

from __future__ import annotations

from robot_brain.caller import Caller
from robot_brain.database.api import arguments_of
from robot_brain.database.call import call
from robot_brain.deadline import Deadline

_LIST = """
select body from robot_brain_api.list_sessions(
  p_tenant_id => %(tenant_id)s,
  p_limit => %(limit)s,
  p_cursor => %(cursor)s,
  p_user_id => %(user_id)s,
  p_preview => %(preview)s,
  p_metadata => %(metadata)s,
  p_path => %(path)s,
  p_schema_version => %(schema_version)s)
"""


def list_sessions(
    caller: Caller,
    limit: int,
    cursor: str | None,
    user_id: str | None,
    preview: bool,
    filters: tuple[str | None, str | None],
    deadline: Deadline,
) -> str:
    """Return a page of the tenant's sessions as JSON text, the most recently active first.

    With `user_id` return only that user's sessions. An end user gets only sessions of its own. `filters` are the text
    of a JSON object that `user_metadata` contains, and a jsonpath that is true for it; or None.
    Raises ForbiddenError if an end user names another user, InvalidRequestError if the jsonpath is not allowed, or if
    the cursor is unreadable or was made with other filters, or a DatabaseError.
    """
    arguments = {
        **arguments_of(caller),
        "limit": limit,
        "cursor": cursor,
        "user_id": caller.listed_user(user_id),
        "preview": preview,
        "metadata": filters[0],
        "path": filters[1],
    }
    return str(call("list_sessions", _LIST, arguments, deadline).row[0])
