"""When the statistics are brought up to now: by the schedule, where that wakes nobody, and by a reader of old ones."""

from __future__ import annotations

import json
from typing import Any

from robot_brain import telemetry
from robot_brain.database import api
from robot_brain.deadline import Deadline
from robot_brain.errors import RobotBrainError, UnexpectedDatabaseError
from robot_brain.settings import settings

# Seconds that a reader waits for a refresh at most. One that takes longer is the schedule's.
_READER_WAITS = 5.0
# A refresh makes no more months than these; the next one goes on.
_MOST_MONTHS = 60


def figures(session_id: str | None, deadline: Deadline) -> str:
    """Return the tenant's figures, or one session's, as JSON text. Raise SessionNotFoundError or a DatabaseError.

    The figures are exact; only the longest sessions are as of the last refresh. If that is older than STATS_MAX_AGE and
    something was written since, or if much is not counted yet, one reader at a time refreshes first. The others, and
    everybody if the refresh fails, get what there is at once.
    """
    found = api.stats(session_id, settings().stats_max_age, deadline)
    if not found.stale:
        return found.body
    try:
        # Half of what is left, so that the answer has the other half.
        within = deadline.at_most(min(_READER_WAITS, deadline.remaining() / 2))
        if not _steps(within, if_older=settings().stats_max_age):
            return found.body
        telemetry.count("RefreshesOnReading")
        return api.stats(None, 0, deadline).body
    except RobotBrainError as error:
        telemetry.count("RefreshFailures")
        telemetry.logger().warning(
            "the statistics could not be refreshed on reading; the answer has an older top_sessions",
            extra={"error": type(error).__name__, "reason": str(error)},
        )
        return found.body


def refresh(deadline: Deadline) -> dict[str, Any]:
    """Bring the statistics of all tenants up to now and return {"as_of", …}. Raises a DatabaseError.

    If Neon's API says that the compute sleeps it is left asleep: {"skipped": "suspended"}. If it cannot say, a
    refresh would cost a wake each time for as long as the API is away or the key wrong, while `figures` mends what is
    left out: {"skipped": "unknown"}; unless STATS_MAX_AGE is 0, because nothing else would ever refresh then.
    """
    if settings().neon_endpoint_id:
        # Only a deployment that gave a key pays for these imports.
        from robot_brain.services.neon import compute_state

        state = compute_state(settings(), deadline)
        if state == "idle" or (state is None and settings().stats_max_age > 0):
            telemetry.count("RefreshesSkipped")
            return {"skipped": "unknown" if state is None else "suspended"}
    return _steps(deadline)


def _steps(deadline: Deadline, if_older: int | None = None) -> dict[str, Any]:
    """Do the steps of a refresh, each in a transaction of its own, and return what they did.

    Returns {} if `if_older` is given and nothing is to do. A step that fails stops no later one. Raises the first
    error after the last step.
    """
    done: dict[str, Any] = {}
    failed: list[RobotBrainError] = []
    try:
        counted = api.refresh_stats(deadline, if_older)
        if counted is None:
            return {}
        done = json.loads(counted)
    except RobotBrainError as error:
        failed.append(error)
    # A view that is young says that the figures are: it is not made after counting failed.
    steps = (_months, _keys) if failed else (_view, _months, _keys)
    for step in steps:
        try:
            done |= step(deadline, if_older is None)
        except RobotBrainError as error:
            failed.append(error)
    if failed:
        telemetry.note(**done)
        raise failed[0]
    return done


def _view(deadline: Deadline, wait: bool) -> dict[str, Any]:
    return json.loads(api.refresh_view(deadline, wait) or "{}")  # type: ignore[no-any-return]  # an object of ours


def _months(deadline: Deadline, _: bool) -> dict[str, Any]:
    """Make the missing months, one in a transaction, so that requests wait for one at the most."""
    made = 0
    while (month := json.loads(api.make_month(deadline)))["made"] is not None and made < _MOST_MONTHS:
        made += 1
    if month["failed"]:
        raise UnexpectedDatabaseError(f"no partition for {', '.join(month['failed'])}: see PostgreSQL's log")
    return {"months_made": made}


def _keys(deadline: Deadline, _: bool) -> dict[str, Any]:
    return json.loads(api.clear_keys(deadline))  # type: ignore[no-any-return]  # an object of ours
