"""POST /sessions/{session_id}/messages."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Route, SessionPath
from contract.values import (
    ANSWER,
    BODY,
    PARAMETERS,
    Count,
    EntityTag,
    Metadata,
    Milliseconds,
    Name,
    Seq,
    SessionId,
    State,
    Text,
    Time,
    TurnId,
)
from robot_brain.errors import (
    IdempotencyKeyReusedError,
    PreconditionFailedError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
)
from robot_brain.limits import KEY_HOURS, MAX_KEY_LENGTH, MAX_TURNS


@with_config(BODY)
class Interaction(TypedDict):
    """What the robot did during a turn, for the statistics."""

    interaction_type: Name
    """The kind of interaction."""
    duration_ms: Milliseconds
    """The duration in milliseconds."""
    success: bool
    """Whether the interaction succeeded."""
    robot_id: NotRequired[Name]
    """The robot. If absent, `robot_personality` is used."""


@with_config(BODY)
class Turn(TypedDict):
    """A user message and a robot response."""

    robot_personality: Name
    """The personality of the robot that answered."""
    user_message: Text
    """The user's message. At most 256 KiB of UTF-8; may be empty."""
    robot_response: Text
    """The robot's response. At most 256 KiB of UTF-8; may be empty."""
    metadata: NotRequired[Annotated[Metadata, Field(default_factory=dict, json_schema_extra={"default": {}})]]
    """Any other data about the turn, at most 16 KiB as stored."""
    interaction: NotRequired[Interaction]
    """What the robot did during the turn."""


@with_config(BODY)
class OneTurn(Turn):
    """One turn to append."""

    user_metadata: NotRequired[Metadata]
    """Members to set in the session's user_metadata; each replaces the member of its name. At most 16 KiB as stored."""


@with_config(BODY)
class Batch(TypedDict):
    """Turns to append in this order. Either all are written or no turn is."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_TURNS)]
    """The turns, oldest first."""
    user_metadata: NotRequired[Metadata]
    """Members to set in the session's user_metadata; each replaces the member of its name. At most 16 KiB as stored."""


@with_config(PARAMETERS)
class Headers(TypedDict):
    """The headers of a write."""

    idempotency_key: NotRequired[
        Annotated[
            str,
            Field(
                alias="Idempotency-Key",
                min_length=1,
                max_length=MAX_KEY_LENGTH,
                pattern=r"^[\x20-\x2b\x2d-\x7e]*$",
                description=f"The client's name for this request, remembered for {KEY_HOURS} hours. If the same "
                "request is sent again, it gets the first answer and writes no turn. Printable ASCII without a comma.",
            ),
        ]
    ]
    if_match: NotRequired[Annotated[State, Field(alias="If-Match")]]
    """Write only if the session is in this state: a whole entity tag, or the last seq in quotes. `"0"` means a session
    without a turn."""


@with_config(ANSWER)
class WrittenTurn(TypedDict):
    """The id, position and time of a new turn."""

    id: TurnId
    seq: Seq
    """The turn's position in its session: 1, 2, 3 … without gaps or duplicates."""
    created_at: Time


@with_config(ANSWER)
class Written(TypedDict):
    """The result of a write."""

    session_id: SessionId
    message_count: Count
    """The number of turns in the session, with the new ones."""
    last_seq: Seq
    """The seq of the last turn."""
    messages: Annotated[list[WrittenTurn], Field(min_length=1, max_length=MAX_TURNS)]
    """The new turns, in the order of the request."""


@with_config(ANSWER)
class WrittenHeaders(TypedDict):
    """The headers of 201."""

    etag: NotRequired[Annotated[EntityTag, Field(alias="ETag")]]
    """The session's state after this write. Absent if the state is unknown, for example in a replay."""
    replayed: NotRequired[Annotated[Literal["true"], Field(alias="Idempotent-Replayed")]]
    """The key was used before. This is the first answer again, and no turn was written."""


_EXAMPLE = {
    "session_id": "demo",
    "message_count": 1,
    "last_seq": 1,
    "messages": [{"id": "2f0c6a52-7c44-4a6a-9a51-6a3a7d0f4b1e", "seq": 1, "created_at": "2026-11-22T12:00:00.070381Z"}],
}

ROUTES = (
    Route(
        "POST",
        "/sessions/{session_id}/messages",
        name="write_message",
        summary="Append one turn, or a batch of turns, to a session",
        description="The body is one turn, or up to 100 turns as `messages`. If the session does not exist, the "
        "write creates it. The content type is application/json, without a content encoding.",
        path_parameters=SessionPath,
        headers=Headers,
        bodies=(OneTurn, Batch),
        answers=(Answer(201, "The turns are stored.", Written, WrittenHeaders, {"write_message": _EXAMPLE}),),
        errors=(
            *ANY_REQUEST,
            UnsupportedMediaTypeError,
            RequestTooLargeError,
            PreconditionFailedError,
            IdempotencyKeyReusedError,
            *DATABASE,
        ),
        broken_rule={"loc": ["body", "robot_response"], "msg": "is missing", "type": "missing"},
    ),
)
