"""GET /stats."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Revalidated, Route
from contract.values import ANSWER, PARAMETERS, Count, Date, Name, SessionId, Time
from robot_brain.errors import SessionNotFoundError
from robot_brain.limits import MAX_PERSONALITIES, MAX_SESSION_ID_LENGTH, STATS_DAYS, TOP_SESSIONS

Average = Annotated[float, Field(ge=0)]


@with_config(PARAMETERS)
class Query(TypedDict):
    """The choice of figures: the tenant's or one session's."""

    session_id: NotRequired[SessionId]
    """Return the current figures of this session instead of the tenant's. An end user must name one (403)."""


@with_config(ANSWER)
class Totals(TypedDict):
    """The totals of the tenant."""

    sessions: Count
    messages: Count
    interactions: Count


@with_config(ANSWER)
class Personality(TypedDict):
    """The figures of one personality."""

    robot_personality: Name
    messages: Count
    avg_response_length: Average | None
    """The average length of the robot responses that are not empty, in code points. Null without such a response."""


@with_config(ANSWER)
class Day(TypedDict):
    """The figures of one day (UTC)."""

    date: Date
    sessions: Count
    """The number of sessions with a turn on this day."""
    messages: Count


@with_config(ANSWER)
class TopSession(TypedDict):
    """One of the sessions with the most turns."""

    session_id: SessionId
    message_count: Count
    last_message: Time


@with_config(ANSWER)
class TenantFigures(TypedDict):
    """The tenant's figures. They are exact for all committed turns. Only `top_sessions` is as of the last refresh."""

    as_of: Time
    """The time of the last refresh of `top_sessions`."""
    age_seconds: Count
    """The age of `top_sessions` in seconds."""
    totals: Totals
    personalities: Annotated[list[Personality], Field(max_length=MAX_PERSONALITIES)]
    """The personalities, those with the most turns first."""
    daily: Annotated[list[Day], Field(min_length=STATS_DAYS, max_length=STATS_DAYS)]
    """The last days including today, oldest first."""
    top_sessions: Annotated[list[TopSession], Field(max_length=TOP_SESSIONS)]
    """The sessions with the most turns, among those that were active on the days of `daily`."""


@with_config(ANSWER)
class SessionFigures(TypedDict):
    """The current figures of one session."""

    session_id: SessionId
    message_count: Count
    last_message: Time | None
    """The time at which the last turn was written. Null if the session has no turn."""
    avg_response_length: Average | None
    """The average length of the robot responses that are not empty, in code points. Null without such a response."""


_TENANT = {
    "as_of": "2026-11-22T11:00:00.000000Z",
    "age_seconds": 3600,
    "totals": {"sessions": 1, "messages": 2, "interactions": 1},
    "personalities": [{"robot_personality": "barista", "messages": 2, "avg_response_length": 51.5}],
    "daily": [
        *({"date": f"2026-10-{day}", "sessions": 0, "messages": 0} for day in range(23, 32)),
        *({"date": f"2026-11-{day:02}", "sessions": 0, "messages": 0} for day in range(1, 22)),
        {"date": "2026-11-22", "sessions": 1, "messages": 2},
    ],
    "top_sessions": [{"session_id": "demo", "message_count": 2, "last_message": "2026-11-22T12:00:00.070381Z"}],
}
_SESSION = {
    "session_id": "demo",
    "message_count": 2,
    "last_message": "2026-11-22T12:00:00.070381Z",
    "avg_response_length": 51.5,
}

ROUTES = (
    Route(
        "GET",
        "/stats",
        name="stats",
        summary="Read the tenant's figures, or one session's",
        description="All figures but `top_sessions` are exact. If `top_sessions` is old and turns were written since, "
        "the request refreshes it first, which takes at most five seconds.",
        query=Query,
        answers=(
            Answer(
                200,
                "The tenant's figures, or with `session_id` the figures of one session.",
                TenantFigures | SessionFigures,
                Revalidated,
                {"stats": _TENANT, "stats_session": _SESSION},
            ),
        ),
        errors=(*ANY_REQUEST, SessionNotFoundError, *DATABASE),
        broken_rule={
            "loc": ["query", "session_id"],
            "msg": f"a session id has 1 to {MAX_SESSION_ID_LENGTH} characters",
            "type": "session_id_length",
        },
    ),
)
