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
    """Whose figures."""

    session_id: NotRequired[SessionId]
    """One session's figures, live, in place of the tenant's."""


@with_config(ANSWER)
class Totals(TypedDict):
    """What there is in all."""

    sessions: Count
    messages: Count
    interactions: Count


@with_config(ANSWER)
class Personality(TypedDict):
    """What one personality said."""

    robot_personality: Name
    messages: Count
    avg_response_length: Average | None
    """In code points."""


@with_config(ANSWER)
class Day(TypedDict):
    """What was said on one day of UTC."""

    date: Date
    sessions: Count
    """Sessions with a turn on this day."""
    messages: Count


@with_config(ANSWER)
class TopSession(TypedDict):
    """One of the sessions with the most turns."""

    session_id: SessionId
    message_count: Count
    last_message: Time


@with_config(ANSWER)
class TenantFigures(TypedDict):
    """The tenant's figures, exact for all that is committed; only `top_sessions` is as of the last refresh."""

    as_of: Time
    """When `top_sessions` was made."""
    age_seconds: Count
    """How long ago that was."""
    totals: Totals
    personalities: Annotated[list[Personality], Field(max_length=MAX_PERSONALITIES)]
    """Those that said most come first."""
    daily: Annotated[list[Day], Field(min_length=STATS_DAYS, max_length=STATS_DAYS)]
    """The last days with today, oldest first."""
    top_sessions: Annotated[list[TopSession], Field(max_length=TOP_SESSIONS)]
    """Of the sessions that were active on these days."""


@with_config(ANSWER)
class SessionFigures(TypedDict):
    """One session's figures, live."""

    session_id: SessionId
    message_count: Count
    last_message: Time
    avg_response_length: Average | None
    """In code points."""


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
        description="If `top_sessions` is old and something was written since, the reader waits for a refresh, at most "
        "five seconds.",
        query=Query,
        answers=(
            Answer(
                200,
                "The tenant's figures, or with `session_id` one session's.",
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
