"""POST /sessions/{session_id}/messages, and PUT /sessions/{session_id}/messages/{seq}."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Route, SessionPath
from contract.sessions import ChangeHeaders, StateHeader, TurnPath
from contract.turns import Replacement, Turn
from contract.values import (
    ANSWER,
    BODY,
    PARAMETERS,
    Count,
    EntityTag,
    IdempotencyKey,
    Metadata,
    Seq,
    SessionId,
    State,
    Time,
    TurnId,
)
from robot_brain.errors import (
    IdempotencyKeyErasedError,
    IdempotencyKeyReusedError,
    PreconditionFailedError,
    RequestTooLargeError,
    SessionBeingErasedError,
    SessionNotFoundError,
    TurnNotFoundError,
    UnsupportedMediaTypeError,
)
from robot_brain.limits import MAX_TURNS


@with_config(BODY)
class OneTurn(Turn):
    """One turn to append."""

    user_metadata: NotRequired[Metadata]
    """A JSON Merge Patch (RFC 7396) of the session's user_metadata; null removes a member. At most 16 KiB as stored."""


@with_config(BODY)
class Batch(TypedDict):
    """Turns to append in this order. Either all are written or no turn is."""

    messages: Annotated[list[Turn], Field(min_length=1, max_length=MAX_TURNS)]
    """The turns, oldest first."""
    user_metadata: NotRequired[Metadata]
    """A JSON Merge Patch (RFC 7396) of the session's user_metadata; null removes a member. At most 16 KiB as stored."""


@with_config(PARAMETERS)
class Headers(TypedDict):
    """The headers of a write."""

    idempotency_key: NotRequired[IdempotencyKey]
    if_match: NotRequired[Annotated[State, Field(alias="If-Match")]]
    """Write only if the session is in this state: a whole entity tag, or the last seq in quotes. `"0"` means that no
    turn was ever written to the session."""


@with_config(ANSWER)
class WrittenTurn(TypedDict):
    """The id, position and time of a new turn."""

    id: TurnId
    seq: Seq
    """The turn's position in its session: 1, 2, 3 … without gaps or duplicates. It is never used again."""
    created_at: Time


@with_config(ANSWER)
class Written(TypedDict):
    """The result of a write."""

    session_id: SessionId
    message_count: Count
    """The number of turns that the session has, with the new ones."""
    last_seq: Seq
    """The seq of the last new turn."""
    messages: Annotated[list[WrittenTurn], Field(min_length=1, max_length=MAX_TURNS)]
    """The new turns, in the order of the request."""


@with_config(ANSWER)
class WrittenHeaders(TypedDict):
    """The headers of 201."""

    etag: NotRequired[Annotated[EntityTag, Field(alias="ETag")]]
    """The session's state after this write. Absent if the state is unknown, for example in a replay."""
    replayed: NotRequired[Annotated[Literal["true"], Field(alias="Idempotent-Replayed")]]
    """The key was used before. This is the first answer again, and no turn was written."""


@with_config(ANSWER)
class Replaced(TypedDict):
    """The result of a replacement."""

    session_id: SessionId
    seq: Seq
    updated_at: Time | None
    """The time of the turn's last change. Null if the turn was never changed, because the body equals the turn."""


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
        "write creates it, for an end user as a session of its own. The content type is application/json, without a "
        "content encoding. An end user gets 404 if the session belongs to another user or to no user.",
        path_parameters=SessionPath,
        headers=Headers,
        bodies=(OneTurn, Batch),
        answers=(Answer(201, "The turns are stored.", Written, WrittenHeaders, {"write_message": _EXAMPLE}),),
        errors=(
            *ANY_REQUEST,
            UnsupportedMediaTypeError,
            RequestTooLargeError,
            SessionNotFoundError,
            SessionBeingErasedError,
            PreconditionFailedError,
            IdempotencyKeyReusedError,
            IdempotencyKeyErasedError,
            *DATABASE,
        ),
        broken_rule={"loc": ["body", "robot_response"], "msg": "is missing", "type": "missing"},
    ),
    Route(
        "PUT",
        "/sessions/{session_id}/messages/{seq}",
        name="replace_turn",
        summary="Replace the texts, items and metadata of a turn",
        description="Complete, edit or redact a turn. What the body leaves out becomes absent, except the interaction, "
        "which is not redacted. A body that equals the turn changes nothing. The content type is application/json, "
        "without a content encoding. `Idempotency-Key` is ignored.",
        path_parameters=TurnPath,
        headers=ChangeHeaders,
        bodies=(Replacement,),
        answers=(
            Answer(
                200,
                "The turn has the content of the body.",
                Replaced,
                StateHeader,
                {"replace_turn": {"session_id": "demo", "seq": 1, "updated_at": "2026-11-22T12:05:00.070381Z"}},
            ),
        ),
        errors=(
            *ANY_REQUEST,
            UnsupportedMediaTypeError,
            RequestTooLargeError,
            SessionNotFoundError,
            TurnNotFoundError,
            PreconditionFailedError,
            *DATABASE,
        ),
        broken_rule={"loc": ["body", "user_message"], "msg": "is missing", "type": "missing"},
    ),
)
