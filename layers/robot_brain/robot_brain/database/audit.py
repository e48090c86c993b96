"""The SQL function that reads the audit trail. Each function that changes something appends to it in SQL."""

from __future__ import annotations

from robot_brain.caller import Caller
from robot_brain.database.api import arguments_of
from robot_brain.database.call import call
from robot_brain.deadline import Deadline

_READ = """
select body from robot_brain_api.read_audit(
  p_tenant_id => %(tenant_id)s,
  p_limit => %(limit)s,
  p_cursor => %(cursor)s,
  p_record_id => %(record_id)s,
  p_user_id => %(user_id)s,
  p_from => %(from)s,
  p_to => %(to)s,
  p_schema_version => %(schema_version)s)
"""


def read_audit(
    caller: Caller,
    *,
    limit: int,
    cursor: str | None,
    record_id: str | None,
    user_id: str | None,
    since: str | None,
    until: str | None,
    deadline: Deadline,
) -> str:
    """Return a page of the tenant's audit trail as JSON text, newest first.

    `record_id` limits it to one session or user, and `user_id` to what one caller did. `since` and `until` are times
    (RFC 3339); the entry of `until` itself is left out.
    Raises ForbiddenError for an end user, InvalidRequestError if the cursor is unreadable or was made with other
    filters, or a DatabaseError.
    """
    caller.require_all("read the audit trail")
    arguments = {
        **arguments_of(caller),
        "limit": limit,
        "cursor": cursor,
        "record_id": record_id,
        "user_id": user_id,
        "from": since,
        "to": until,
    }
    return str(call("read_audit", _READ, arguments, deadline).row[0])
