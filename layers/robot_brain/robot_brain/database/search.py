"""The SQL function that finds turns by their words."""

from __future__ import annotations

from typing import NamedTuple

from robot_brain import telemetry
from robot_brain.caller import Caller
from robot_brain.database.api import arguments_of
from robot_brain.database.call import call
from robot_brain.deadline import Deadline
from robot_brain.errors import RobotBrainError

# The most seconds that a searcher waits while the words of other turns are made. It already has its answer.
_SEARCHER_WAITS = 2.0

_SEARCH = """
select body, is_behind from robot_brain_api.search(
  p_tenant_id => %(tenant_id)s,
  p_query => %(query)s,
  p_limit => %(limit)s,
  p_cursor => %(cursor)s,
  p_session_id => %(session_id)s,
  p_user_id => %(user_id)s,
  p_personality => %(personality)s,
  p_metadata => %(metadata)s,
  p_from => %(from)s,
  p_to => %(to)s,
  p_in => %(in)s,
  p_order => %(order)s,
  p_prefix => %(prefix)s,
  p_as_user => %(as_user)s,
  p_schema_version => %(schema_version)s)
"""


class Filters(NamedTuple):
    """Which turns a search looks at. Each filter may be None.

    `metadata` is the text of a JSON object. `since` and `until` are times (RFC 3339); a turn of `until` itself is left
    out. `part` is user or robot: the words must be in this text of a turn.
    """

    session_id: str | None
    user_id: str | None
    personality: str | None
    metadata: str | None
    since: str | None
    until: str | None
    part: str | None


def search(
    caller: Caller,
    query: str,
    filters: Filters,
    *,
    order: str,
    prefix: bool,
    limit: int,
    cursor: str | None,
    deadline: Deadline,
) -> str:
    """Return a page of the turns that match as JSON text. An end user finds only turns of its own sessions.

    `order` is newest or relevance. With `prefix` the last word is the beginning of a word.
    If many turns wait for their words, make some of them before the answer is given, so that later searches are fast.
    Raises ForbiddenError if an end user names another user, InvalidRequestError if `query` has no word to look for,
    or if the cursor is unreadable or of another search. Raises SearchOffError or a DatabaseError.
    """
    arguments = {
        **arguments_of(caller),
        "query": query,
        "limit": limit,
        "cursor": cursor,
        "session_id": filters.session_id,
        "user_id": caller.listed_user(filters.user_id),
        "personality": filters.personality,
        "metadata": filters.metadata,
        "from": filters.since,
        "to": filters.until,
        "in": filters.part,
        "order": order,
        "prefix": prefix,
    }
    body, is_behind = call("search", _SEARCH, arguments, deadline).row
    if is_behind:
        _make_words(deadline)
    return str(body)


def _make_words(deadline: Deadline) -> None:
    """Make the words of some turns of all tenants, unless another call does it. If that fails, only log it."""
    # Imported here, so that only a search that is behind pays for the import.
    from robot_brain.database import steps

    within = deadline.at_most(min(_SEARCHER_WAITS, deadline.remaining() / 2))
    try:
        steps.refresh_stats(within, if_older=0)
        steps.fill_search(within, wait=False)
        telemetry.count("FillsOnSearching")
    except RobotBrainError as error:
        telemetry.count("FillFailures")
        telemetry.logger().warning(
            "a search could not make the words of turns that wait for them; the answer is complete all the same",
            extra={"error": type(error).__name__, "reason": str(error)},
        )
