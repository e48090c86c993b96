"""POST /users, and PUT, PATCH and DELETE /users/{user_id}."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.edit_session import UnfinishedHeaders
from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Fresh, Route
from contract.users import USER, User, UserContent, UserPatch, UserPath, UserState, UserTag
from contract.values import ANSWER, PARAMETERS, Count, IdempotencyKey
from robot_brain.errors import (
    IdempotencyKeyErasedError,
    IdempotencyKeyReusedError,
    RequestTooLargeError,
    UnsupportedMediaTypeError,
    UserBeingErasedError,
    UserNotFoundError,
    UserPreconditionFailedError,
)


@with_config(PARAMETERS)
class CreationHeaders(TypedDict):
    """The headers of a creation."""

    idempotency_key: NotRequired[IdempotencyKey]


@with_config(ANSWER)
class CreatedHeaders(TypedDict):
    """The headers of 201."""

    etag: NotRequired[Annotated[UserTag, Field(alias="ETag")]]
    """The user's state. Absent in a replay, because the user may have changed since."""
    replayed: NotRequired[Annotated[Literal["true"], Field(alias="Idempotent-Replayed")]]
    """The key was used before. This is the first answer again, and no user was created."""


@with_config(PARAMETERS)
class UserChangeHeaders(TypedDict):
    """The headers of a change of a user."""

    if_match: NotRequired[Annotated[UserState, Field(alias="If-Match", json_schema_extra={"example": '"5f3a1c"'})]]
    """Change the user only if it has this entity tag. Only with it is it safe to repeat the request."""


@with_config(ANSWER)
class UserStateHeader(TypedDict):
    """The header of an answer with a user."""

    etag: Annotated[UserTag, Field(alias="ETag")]
    """The user's state."""


@with_config(PARAMETERS)
class EraseQuery(TypedDict):
    """How to erase."""

    dry_run: NotRequired[Annotated[bool, Field(json_schema_extra={"default": False})]]
    """Only count what the erasure would delete."""


@with_config(ANSWER)
class UserCounts(TypedDict):
    """What an erasure would delete."""

    sessions: Count
    messages: Count
    interactions: Count


# The answers to the events of a creation and of a patch.
_CREATED = USER | {
    "id": "1b4e28ba-2fa1-41d2-883f-0016d3cca427",
    "email": "guest@example.com",
    "profile": {"first_name": "Kim"},
}
_PATCHED = {name: value for name, value in USER.items() if name != "email"} | {
    "profile": {"first_name": "Ann", "last_name": "Ray"}
}
_WRITES = (UnsupportedMediaTypeError, RequestTooLargeError)
_BODY = " The content type is application/json, without a content encoding."

ROUTES = (
    Route(
        "POST",
        "/users",
        name="create_user",
        summary="Create a user with a new id",
        description="The id is a UUID. An end user may not create users (403): PUT creates the end user itself."
        + _BODY,
        headers=CreationHeaders,
        bodies=(UserContent,),
        answers=(Answer(201, "The user is stored.", User, CreatedHeaders, {"create_user": _CREATED}),),
        errors=(*ANY_REQUEST, *_WRITES, IdempotencyKeyReusedError, IdempotencyKeyErasedError, *DATABASE),
        broken_rule={"loc": ["body", "email"], "msg": "another user has this e-mail", "type": "email_taken"},
    ),
    Route(
        "PUT",
        "/users/{user_id}",
        name="replace_user",
        summary="Create a user, or replace it",
        description="What the body does not have is removed, but an absent password_hash is kept. An end user may name "
        "only itself. A person needs no user to have sessions. `Idempotency-Key` and `If-None-Match` are ignored."
        + _BODY,
        path_parameters=UserPath,
        headers=UserChangeHeaders,
        bodies=(UserContent,),
        answers=(
            Answer(200, "The user after the replacement.", User, UserStateHeader, {"replaced_user": USER}),
            Answer(201, "The user is created.", User, UserStateHeader, {"created_user": USER}),
        ),
        errors=(*ANY_REQUEST, *_WRITES, UserBeingErasedError, UserPreconditionFailedError, *DATABASE),
        broken_rule={"loc": ["body", "email"], "msg": "must be an e-mail address", "type": "email"},
    ),
    Route(
        "PATCH",
        "/users/{user_id}",
        name="patch_user",
        summary="Change a part of a user",
        description="The body is a JSON Merge Patch (RFC 7396): null removes a member. `Idempotency-Key` is ignored."
        + _BODY,
        path_parameters=UserPath,
        headers=UserChangeHeaders,
        bodies=(UserPatch,),
        answers=(Answer(200, "The user after the patch.", User, UserStateHeader, {"patch_user": _PATCHED}),),
        errors=(
            *ANY_REQUEST,
            *_WRITES,
            UserNotFoundError,
            UserBeingErasedError,
            UserPreconditionFailedError,
            *DATABASE,
        ),
        broken_rule={"loc": ["body", "profile"], "msg": "must be an object", "type": "dict_type"},
    ),
    Route(
        "DELETE",
        "/users/{user_id}",
        name="erase_user",
        summary="Erase a person: the user, its sessions and everything of them",
        description="From the first step on neither the user nor its sessions exist for any other request. If there "
        "are more than 10,000 sessions, the first step hides the newest 10,000, and the next steps the others. A large "
        "erasure takes several steps: repeat the request to go on. Until it has ended, the person can begin no session "
        "(409). A request that comes after the end erases what the person did since. `If-Match` with the tag of the "
        "erased user prevents that. `If-Match` counts for the first step alone. `Idempotency-Key` is ignored.",
        path_parameters=UserPath,
        query=EraseQuery,
        headers=UserChangeHeaders,
        answers=(
            Answer(
                200,
                "With `dry_run=true`: what would be deleted.",
                UserCounts,
                Fresh,
                {"erase_user_dry_run": {"sessions": 2, "messages": 41, "interactions": 7}},
            ),
            Answer(202, "The person is being erased. A part of the rows is left.", None, UnfinishedHeaders),
            Answer(204, "The person is erased."),
        ),
        errors=(*ANY_REQUEST, UserNotFoundError, UserPreconditionFailedError, *DATABASE),
        broken_rule={"loc": ["query", "dry_run"], "msg": "must be true or false", "type": "flag"},
    ),
)
