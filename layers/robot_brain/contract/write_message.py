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
    """What kind of thing it was."""
    duration_ms: Milliseconds
    """How long it took, in milliseconds."""
    success: bool
    """Whether it went well."""
    robot_id: NotRequired[Name]
    """Which robot it was. If absent, the personality."""


@with_config(BODY)
class Turn(TypedDict):
    """What the user said and what the robot answered."""

    robot_personality: Name
    """Which personality of the robot answered."""
    user_message: Text
    """At most 256 KiB of UTF-8. It may be empty."""
    robot_response: Text
    """At most 256 KiB of UTF-8. It may be empty."""
    metadata: NotRequired[Annotated[Metadata, Field(default_factory=dict, json_schema_extra={"default": {}})]]
    """Anything else about the turn, at most 16 KiB as stored."""
    interaction: NotRequired[Interaction]
    """What the robot did during the turn."""


@with_config(BODY)
class OneTurn(Turn):
    """One turn to append."""

    user_metadata: NotRequired[Metadata]
    """Members for the session's user_metadata: each replaces the one of its name. Together at most 16 KiB as stored."""


@with_config(BODY)
class Batch(TypedDict):
    """Turns to append in their order, all or nothing."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_TURNS)]
    """The turns, oldest first."""
    user_metadata: NotRequired[Metadata]
    """Members for the session's user_metadata: each replaces the one of its name. Together at most 16 KiB as stored."""


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
                description=f"A name for this request, remembered for {KEY_HOURS} hours: the same request again gets "
                "the first answer again. Printable ASCII without a comma.",
            ),
        ]
    ]
    if_match: NotRequired[Annotated[State, Field(alias="If-Match")]]
    """Write only if the session is in this state: a whole entity tag, or the last seq in quotes. `"0"` stands for a
    session without a turn."""


@with_config(ANSWER)
class WrittenTurn(TypedDict):
    """Where a turn was written."""

    id: TurnId
    seq: Seq
    """The turn's place in its session: 1, 2, 3 … without gap or double."""
    created_at: Time


@with_config(ANSWER)
class Written(TypedDict):
    """What was written."""

    session_id: SessionId
    message_count: Count
    """The turns of the session, these included."""
    last_seq: Seq
    """The last turn's seq."""
    messages: Annotated[list[WrittenTurn], Field(min_length=1, max_length=MAX_TURNS)]
    """The new turns, in the order of the request."""


@with_config(ANSWER)
class WrittenHeaders(TypedDict):
    """The headers of 201."""

    etag: NotRequired[Annotated[EntityTag, Field(alias="ETag")]]
    """The session's state after this write. Absent if it is not known, as in a replay."""
    replayed: NotRequired[Annotated[Literal["true"], Field(alias="Idempotent-Replayed")]]
    """The key was used before: this is the first answer again, and nothing was written."""


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
        description="The body is one turn, or up to 100 of them as `messages`. A session that does not exist is "
        "created. The content type is application/json, and the body is not encoded.",
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
