"""Refresh the statistics: by the schedule, unless the compute is asleep, and by a reader if they are old."""

from __future__ import annotations

import json
from typing import Any

from robot_brain import telemetry
from robot_brain.caller import Caller
from robot_brain.database import api, changes, steps
from robot_brain.deadline import Deadline
from robot_brain.errors import RobotBrainError, UnexpectedDatabaseError
from robot_brain.settings import settings

# The most seconds that a reader waits for a refresh. Only the schedule does a refresh that takes longer.
_READER_WAITS = 5.0
# A refresh creates at most this many months. The next refresh continues.
_MOST_MONTHS = 60
# The schedule's refresh makes words until so many seconds are left. A call of it takes a second at most.
_LEFT_AFTER_WORDS = 5.0
# The schedule's refresh chains at most 100,000 entries of the audit trail, and a reader's refresh 2,000.
_MOST_CHAINS = 50


def figures(caller: Caller, session_id: str | None, deadline: Deadline) -> str:
    """Return the tenant's figures, or one session's, as JSON text. Raises SessionNotFoundError or a DatabaseError.

    The figures are exact; only the longest sessions are as of the last refresh. A refresh is due if the last one is
    older than STATS_MAX_AGE and turns were written since, or if many rows are uncounted. Then one reader at a time
    refreshes first. Other readers get the current figures at once. If the refresh fails, its reader gets them too.
    """
    found = api.stats(caller, session_id, settings().stats_max_age, deadline)
    if not found.stale:
        return found.body
    try:
        # The refresh gets half of the time that is left, and the answer the other half.
        within = deadline.at_most(min(_READER_WAITS, deadline.remaining() / 2))
        if not _steps(within, if_older=settings().stats_max_age):
            return found.body
        telemetry.count("RefreshesOnReading")
        return api.stats(caller, None, 0, deadline).body
    except RobotBrainError as error:
        telemetry.count("RefreshFailures")
        telemetry.logger().warning(
            "a reader could not refresh the statistics; the answer has the top_sessions of the last refresh",
            extra={"error": type(error).__name__, "reason": str(error)},
        )
        return found.body


def refresh(deadline: Deadline) -> dict[str, Any]:
    """Refresh the statistics of all tenants and return {"as_of", …}. Raises a DatabaseError.

    If Neon's API says that the compute is asleep, do not wake it: return {"skipped": "suspended"}.
    If the state is unknown, return {"skipped": "unknown"}. Otherwise each event of the schedule would wake the compute
    for as long as the API is away or the key is wrong. A reader refreshes later, in `figures`. But if STATS_MAX_AGE is
    0, no reader ever refreshes, so refresh although the state is unknown.
    """
    if settings().neon_endpoint_id:
        # Imported here, so that only a deployment with a key of Neon's API pays for the import.
        from robot_brain.services.neon import compute_state

        state = compute_state(settings(), deadline)
        if state == "idle" or (state is None and settings().stats_max_age > 0):
            telemetry.count("RefreshesSkipped")
            return {"skipped": "unknown" if state is None else "suspended"}
    return _steps(deadline)


def _steps(deadline: Deadline, if_older: int | None = None) -> dict[str, Any]:
    """Do the steps of a refresh, each in its own transaction, and return their results.

    Returns {} if `if_older` is given and no refresh is due, or another one is running. If a step fails, do the later
    steps all the same, then raise the first error.
    """
    done: dict[str, Any] = {}
    failed: list[RobotBrainError] = []
    try:
        counted = steps.refresh_stats(deadline, if_older)
        if counted is None:
            return {}
        done = json.loads(counted)
    except RobotBrainError as error:
        failed.append(error)
    # The view's age is the age of the statistics. So if counting failed, the view stays old and a refresh stays due.
    always = (_months, _keys, _erasure, _audit, _words)
    later = always if failed else (_view, *always)
    for step in later:
        try:
            done |= step(deadline, if_older is None)
        except RobotBrainError as error:
            failed.append(error)
    if failed:
        telemetry.note(**done)
        raise failed[0]
    return done


def _view(deadline: Deadline, wait: bool) -> dict[str, Any]:
    return json.loads(steps.refresh_view(deadline, wait) or "{}")  # type: ignore[no-any-return]  # our own object


def _months(deadline: Deadline, _: bool) -> dict[str, Any]:
    """Create the missing months, one in each transaction, so that a request waits for one month at most."""
    made = 0
    while (month := json.loads(steps.make_month(deadline)))["made"] is not None and made < _MOST_MONTHS:
        made += 1
    if month["failed"]:
        raise UnexpectedDatabaseError(f"no partition for {', '.join(month['failed'])}: see PostgreSQL's log")
    return {"months_made": made}


def _keys(deadline: Deadline, _: bool) -> dict[str, Any]:
    return json.loads(steps.clear_keys(deadline))  # type: ignore[no-any-return]  # our own object


def _erasure(deadline: Deadline, _: bool) -> dict[str, Any]:
    """Do one step of an erasure that no request finished, so that each erasure ends."""
    return json.loads(changes.continue_erasure(deadline))  # type: ignore[no-any-return]  # our own object


def _audit(deadline: Deadline, is_schedule: bool) -> dict[str, Any]:
    """Chain the new entries of the audit trail, some in each transaction."""
    chained = 0
    for _ in range(_MOST_CHAINS if is_schedule else 1):
        step = json.loads(steps.chain_audit(deadline))
        chained += step["audit_chained"]
        telemetry.note(audit_chained=chained)  # also if the next call fails
        if not step["has_more"]:
            break
    return {"audit_chained": chained}


def _words(deadline: Deadline, is_schedule: bool) -> dict[str, Any]:
    """Make the words of turns for the search: of all turns that lack them, or of some for a reader."""
    made = 0
    while filled := steps.fill_search(deadline, wait=is_schedule):
        step = json.loads(filled)
        made += step["words_made"]
        telemetry.note(words_made=made)  # also if the next call fails
        if not (step["has_more"] and is_schedule and deadline.remaining() > _LEFT_AFTER_WORDS):
            break
    return {"words_made": made}
