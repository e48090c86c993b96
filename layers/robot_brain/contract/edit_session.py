"""PATCH and DELETE /sessions/{session_id}, and DELETE /sessions/{session_id}/messages."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Route, SessionPath
from contract.sessions import PATCHED_SESSION, ChangeHeaders, Session, StateHeader
from contract.values import ANSWER, BODY, PARAMETERS, Count, Metadata, SessionId, UserId
from robot_brain.errors import (
    PreconditionFailedError,
    RequestTooLargeError,
    SessionBeingErasedError,
    SessionNotFoundError,
    UnsupportedMediaTypeError,
)
from robot_brain.limits import MAX_INTEGER, MAX_REMOVED_TURNS


@with_config(BODY)
class SessionPatch(TypedDict):
    """What to change of a session. An empty object creates the session if it does not exist."""

    user_metadata: NotRequired[Metadata]
    """A JSON Merge Patch (RFC 7396) of the session's user_metadata; null removes a member. At most 16 KiB as stored."""
    user_id: NotRequired[UserId | None]
    """The user of the session. Null removes the user. An end user may not send it (403)."""


@with_config(PARAMETERS)
class RemovalQuery(TypedDict):
    """The turns to remove."""

    after: Annotated[int, Field(ge=0, le=MAX_INTEGER)]
    """Remove the turns above this seq; 0 removes all."""


@with_config(ANSWER)
class Patched(TypedDict):
    """The session after a patch."""

    session: Session


@with_config(ANSWER)
class Removed(TypedDict):
    """The result of a removal."""

    session_id: SessionId
    removed: Count
    """The number of turns that this request removed."""
    message_count: Count
    """The number of turns that the session still has."""
    last_seq: Count
    """The seq of the last turn that was written. It stays, so a seq means one turn forever."""


@with_config(ANSWER)
class UnfinishedHeaders(TypedDict):
    """The headers of 202."""

    retry_after: Annotated[str, Field(alias="Retry-After", pattern="^[0-9]+$")]
    """Seconds to wait before a repetition, which goes on with the erasure."""


ROUTES = (
    Route(
        "PATCH",
        "/sessions/{session_id}",
        name="edit_session",
        summary="Change a session's user_metadata or user, or create a session",
        description="If the session does not exist, the request creates it without a turn. An `If-Match` other than "
        '`"0"` prevents that. The content type is application/json, without a content encoding. `Idempotency-Key` is '
        "ignored. An end user gets 404 if the session belongs to another user or to no user.",
        path_parameters=SessionPath,
        headers=ChangeHeaders,
        bodies=(SessionPatch,),
        answers=(
            Answer(
                200,
                "The session after the patch.",
                Patched,
                StateHeader,
                {"edit_session": {"session": PATCHED_SESSION}},
            ),
        ),
        errors=(
            *ANY_REQUEST,
            UnsupportedMediaTypeError,
            RequestTooLargeError,
            SessionNotFoundError,
            SessionBeingErasedError,
            PreconditionFailedError,
            *DATABASE,
        ),
        broken_rule={"loc": ["body", "user_metadata"], "msg": "must be an object", "type": "dict_type"},
    ),
    Route(
        "DELETE",
        "/sessions/{session_id}",
        name="erase_session",
        summary="Erase a session and all of its turns",
        description="From the first step on the session does not exist for any other request. A large session is "
        "erased step by step: repeat the request to go on. An erasure that is not repeated stands still while nothing "
        "calls the database, and may take long. `If-Match` counts for the first step. `Idempotency-Key` is ignored.",
        path_parameters=SessionPath,
        headers=ChangeHeaders,
        answers=(
            Answer(202, "The session is being erased. A part of its rows is left.", None, UnfinishedHeaders),
            Answer(204, "The session is erased."),
        ),
        errors=(*ANY_REQUEST, SessionNotFoundError, PreconditionFailedError, *DATABASE),
        broken_rule={"loc": ["query", "force"], "msg": "unknown parameter; known: none", "type": "unknown_parameter"},
    ),
    Route(
        "DELETE",
        "/sessions/{session_id}/messages",
        name="remove_turns",
        summary="Remove the newest turns of a session",
        description=f"Roll a session back. One request removes at most {MAX_REMOVED_TURNS} turns. The session, its "
        "last_seq and its user_metadata stay. `Idempotency-Key` is ignored.",
        path_parameters=SessionPath,
        query=RemovalQuery,
        headers=ChangeHeaders,
        answers=(
            Answer(
                200,
                "The turns above `after` are removed.",
                Removed,
                StateHeader,
                {"remove_turns": {"session_id": "demo", "removed": 2, "message_count": 1, "last_seq": 3}},
            ),
        ),
        errors=(*ANY_REQUEST, SessionNotFoundError, PreconditionFailedError, *DATABASE),
        broken_rule={"loc": ["query", "after"], "msg": "is missing", "type": "missing"},
    ),
)
