"""When the statistics are brought up to now: by the schedule, where that wakes nobody, and by a reader of old ones."""

from __future__ import annotations

from robot_brain import database, telemetry
from robot_brain.deadline import Deadline
from robot_brain.errors import RobotBrainError
from robot_brain.settings import settings

# Seconds that a reader waits for a refresh at most. One that takes longer is the schedule's.
_READER_WAITS = 5.0


def figures(session_id: str | None, deadline: Deadline) -> str:
    """Return the tenant's figures, or one session's, as JSON text. Raise SessionNotFoundError or a DatabaseError.

    Where they are older than STATS_MAX_AGE and something was written since, they are refreshed first, by one reader at
    a time; whoever comes meanwhile gets the old ones at once, as everybody does where the refresh fails.
    """
    found = database.stats(session_id, settings().stats_max_age, deadline)
    if not found.stale:
        return found.body
    try:
        # Half of what is left, so that the answer has the other half.
        within = deadline.at_most(min(_READER_WAITS, deadline.remaining() / 2))
        if database.refresh_stats(within, if_older=settings().stats_max_age) is None:
            return found.body
        telemetry.count("RefreshesOnReading")
        return database.stats(None, 0, deadline).body
    except RobotBrainError as error:
        telemetry.count("RefreshFailures")
        telemetry.logger().warning(
            "the statistics could not be refreshed on reading; the answer has the old ones",
            extra={"error": type(error).__name__, "reason": str(error)},
        )
        return found.body


def refresh(deadline: Deadline) -> str:
    """Bring the statistics of all tenants up to now and return {"as_of", …} as JSON text. Raise a DatabaseError.

    Where Neon's API says that the compute sleeps it is left asleep: {"skipped": "suspended"}. Where it cannot say, a
    refresh would cost a wake each time for as long as the API is away or the key wrong, while `figures` mends what is
    left out: {"skipped": "unknown"}; unless STATS_MAX_AGE is 0, where nothing else would ever refresh.
    """
    if settings().neon_endpoint_id:
        # Only a deployment that gave a key pays for these imports.
        from robot_brain.neon import compute_state

        state = compute_state(settings(), deadline)
        if state == "idle" or (state is None and settings().stats_max_age > 0):
            telemetry.count("RefreshesSkipped")
            return f'{{"skipped": "{"unknown" if state is None else "suspended"}"}}'
    return str(database.refresh_stats(deadline))
