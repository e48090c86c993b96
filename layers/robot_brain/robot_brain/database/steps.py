"""The SQL functions of a refresh. Each function here makes one call for all tenants, which is one transaction.

The step that continues an erasure is in `changes`.
"""

from __future__ import annotations

from robot_brain.database.api import SCHEMA_VERSION
from robot_brain.database.call import call
from robot_brain.deadline import Deadline

_REFRESH = (
    "select body from robot_brain_api.refresh_stats(p_if_older => %(if_older)s, p_schema_version => %(schema_version)s)"
)
_VIEW = "select body from robot_brain_api.refresh_view(p_wait => %(wait)s, p_schema_version => %(schema_version)s)"
_MONTH = "select body from robot_brain_api.make_month(p_schema_version => %(schema_version)s)"
_KEYS = "select body from robot_brain_api.clear_keys(p_schema_version => %(schema_version)s)"
_CHAIN = "select body from robot_brain_api.chain_audit(p_schema_version => %(schema_version)s)"
_FILL = "select body from robot_brain_api.fill_search(p_wait => %(wait)s, p_schema_version => %(schema_version)s)"


def refresh_stats(deadline: Deadline, if_older: int | None = None) -> str | None:
    """Count the uncounted turns of all tenants and return {"counted": …} as JSON text. Raises a DatabaseError.

    With `if_older` seconds, do not wait for another refresh. Returns None if another refresh is running, or if no
    refresh is due.
    """
    return _step("refresh_stats", _REFRESH, deadline, if_older=if_older)


def refresh_view(deadline: Deadline, wait: bool) -> str | None:
    """Rebuild the longest sessions of `stats` and return {"as_of": …} as JSON text. Raises a DatabaseError.

    Returns None if another refresh is running and `wait` is false.
    """
    return _step("refresh_view", _VIEW, deadline, wait=wait)


def make_month(deadline: Deadline) -> str:
    """Create one missing month. Return {"made": month or null, "failed": […]} as JSON text. Raises a DatabaseError."""
    return str(_step("make_month", _MONTH, deadline))


def clear_keys(deadline: Deadline) -> str:
    """Delete expired idempotency keys and return {"keys_cleared": …} as JSON text. Raises a DatabaseError."""
    return str(_step("clear_keys", _KEYS, deadline))


def chain_audit(deadline: Deadline) -> str:
    """Chain entries of the audit trail. Return {"audit_chained", "has_more"} as JSON text. Raises a DatabaseError."""
    return str(_step("chain_audit", _CHAIN, deadline))


def fill_search(deadline: Deadline, wait: bool) -> str | None:
    """Make the words of some turns and return {"words_made", "has_more"} as JSON text. Raises a DatabaseError.

    Returns None if another call makes some and `wait` is false.
    """
    return _step("fill_search", _FILL, deadline, wait=wait)


def _step(function: str, statement: str, deadline: Deadline, **arguments: object) -> str | None:
    """Do one step of a refresh. It may run until the deadline, longer than the SQL function of a request."""
    arguments["schema_version"] = SCHEMA_VERSION
    body: str | None = call(function, statement, arguments, deadline, until_deadline=True).row[0]
    return body
