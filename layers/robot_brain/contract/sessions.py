"""A session in an answer, and what requests about one session share."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.route import SessionPath
from contract.values import ANSWER, PARAMETERS, Count, EntityTag, Metadata, Seq, SessionId, State, Time, UserId


@with_config(ANSWER)
class Session(TypedDict):
    """A session without its turns."""

    id: SessionId
    user_id: NotRequired[UserId]
    """The user of the session. Absent if no user was set."""
    created_at: Time
    last_active: Time
    """The time at which the last turn was written. If no turn was ever written, the time of creation."""
    message_count: Count
    """The number of turns that the session has."""
    last_seq: Count
    """The seq of the last turn that was written, also if it was removed since."""
    user_metadata: Metadata


@with_config(PARAMETERS)
class TurnPath(SessionPath):
    """The path of one turn."""

    seq: Seq
    """The turn's position in its session."""


@with_config(PARAMETERS)
class ChangeHeaders(TypedDict):
    """The headers of a change."""

    if_match: NotRequired[Annotated[State, Field(alias="If-Match")]]
    """Change the session only if it is in this state: a whole entity tag, or the last seq in quotes. Only with a whole
    tag is it safe to repeat the request."""


@with_config(ANSWER)
class StateHeader(TypedDict):
    """The header of an answer to a change."""

    etag: Annotated[EntityTag, Field(alias="ETag")]
    """The session's state after this request."""


SESSION = {
    "id": "demo",
    "created_at": "2026-11-22T12:00:00.070381Z",
    "last_active": "2026-11-22T12:00:00.070381Z",
    "message_count": 1,
    "last_seq": 1,
    "user_metadata": {},
}
PATCHED_SESSION = SESSION | {"user_metadata": {"name": "Ada", "likes": {"milk": "non-fat"}}}
