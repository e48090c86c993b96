"""GET /users, GET /users/{user_id}, and GET /users/{user_id}/export."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.read_session import StoredTurn
from contract.route import Answer, Fresh, Revalidated, Route
from contract.session_list import ListCursor
from contract.sessions import SESSION, Session
from contract.users import USER, Email, User, UserPath, UserTag
from contract.values import ANSWER, PARAMETERS, Cursor, Metadata, Milliseconds, Name, SessionId
from robot_brain.errors import DatabaseReadOnlyError, UserNotFoundError
from robot_brain.limits import DEFAULT_LISTED_USERS, MAX_LISTED_USERS


@with_config(PARAMETERS)
class UserListQuery(TypedDict):
    """The choice of users."""

    limit: NotRequired[
        Annotated[int, Field(ge=1, le=MAX_LISTED_USERS, json_schema_extra={"default": DEFAULT_LISTED_USERS})]
    ]
    """The most users in the page."""
    cursor: NotRequired[Annotated[Cursor, Field(json_schema_extra={"example": "the-page.cursor-of-the-answer-before"})]]
    """The `page.cursor` of an earlier answer, to continue its list."""
    email: NotRequired[Email]
    """Return only the user with this e-mail, whatever its case. Not allowed with `limit` or `cursor`."""


@with_config(ANSWER)
class UserList(TypedDict):
    """A page of users."""

    users: Annotated[list[User], Field(max_length=MAX_LISTED_USERS)]
    """The users, newest first."""
    page: ListCursor


@with_config(PARAMETERS)
class UserHeaders(TypedDict):
    """The headers of a read."""

    if_none_match: NotRequired[Annotated[str, Field(alias="If-None-Match")]]
    """The client's entity tags: a list, also with `W/`, or `*`. If one matches the user, the answer is 304."""


@with_config(ANSWER)
class UserReadHeaders(Revalidated):
    """The headers of 200 and 304."""

    etag: Annotated[UserTag, Field(alias="ETag")]
    """The user's state."""


@with_config(PARAMETERS)
class ExportQuery(TypedDict):
    """The place in the export."""

    cursor: NotRequired[Annotated[Cursor, Field(json_schema_extra={"example": "the-page.cursor-of-the-answer-before"})]]
    """The `page.cursor` of the page before."""


@with_config(ANSWER)
class StoredInteraction(TypedDict):
    """The interaction of a turn as it is stored."""

    robot_id: Name
    interaction_type: Name
    duration_ms: Milliseconds
    success: bool
    metadata: Metadata


@with_config(ANSWER)
class ExportedTurn(StoredTurn):
    """A turn in an export."""

    session_id: SessionId
    interaction: NotRequired[StoredInteraction]
    """The turn's interaction. Absent if the turn was written without one."""


@with_config(ANSWER)
class Export(TypedDict):
    """A page of all that is held about a person."""

    user: User | None
    """The user with its profile. Null if the person has sessions and no user was stored."""
    sessions: list[Session]
    """The sessions whose turns begin on this page, by id."""
    turns: list[ExportedTurn]
    """The turns, by session and seq."""
    page: ListCursor


_EXPORT = {
    "user": USER,
    "sessions": [SESSION | {"user_id": "ann"}],
    "turns": [
        {
            "id": "2f0c6a52-7c44-4a6a-9a51-6a3a7d0f4b1e",
            "seq": 1,
            "robot_personality": "barista",
            "user_message": "Could I please get a dirty mocha with non-fat milk?",
            "robot_response": "That's one mocha, dirty, non-fat milk. Will that be all?",
            "metadata": {},
            "created_at": "2026-11-22T12:00:00.070381Z",
            "session_id": "demo",
        }
    ],
    "page": {"cursor": None},
}
_READS = tuple(kind for kind in DATABASE if kind is not DatabaseReadOnlyError)

ROUTES = (
    Route(
        "GET",
        "/users",
        name="list_users",
        summary="List users, newest first, or find one by its e-mail",
        description="Follow `page.cursor` until it is null. Only callers that see all users may list them.",
        query=UserListQuery,
        answers=(
            Answer(
                200,
                "The users with their profiles.",
                UserList,
                Revalidated,
                {"list_users": {"users": [USER], "page": {"cursor": None}}},
            ),
        ),
        errors=(*ANY_REQUEST, *_READS),
        broken_rule={"loc": ["query", "limit"], "msg": "cannot be combined with email", "type": "exclusive_parameters"},
    ),
    Route(
        "GET",
        "/users/{user_id}",
        name="read_user",
        summary="Read a user with its profile",
        description="The answer never has the password hash. A person with sessions and no user is 404 here.",
        path_parameters=UserPath,
        headers=UserHeaders,
        answers=(
            Answer(200, "The user.", User, UserReadHeaders, {"read_user": USER}),
            Answer(304, "The user is in a state that If-None-Match names.", None, UserReadHeaders),
        ),
        errors=(*ANY_REQUEST, UserNotFoundError, *_READS),
        broken_rule={"loc": ["query", "fields"], "msg": "unknown parameter; known: none", "type": "unknown_parameter"},
    ),
    Route(
        "GET",
        "/users/{user_id}/export",
        name="export_user",
        summary="Read all that is held about a person, page by page",
        description="Follow `page.cursor` until it is null. The pages together hold everything that was stored before "
        "the first one was read and was not removed meanwhile. Turns that are written meanwhile may be there, too. An "
        "answer stays under Lambda's limit of 6 MB. The password hash is left out. If the person was erased since the "
        "first page, begin again without a cursor.",
        path_parameters=UserPath,
        query=ExportQuery,
        answers=(Answer(200, "A page of the export.", Export, Fresh, {"export_user": _EXPORT}),),
        # Each page is recorded in the audit trail, so an export needs a server that takes writes.
        errors=(*ANY_REQUEST, UserNotFoundError, *DATABASE),
        broken_rule={
            "loc": ["query", "cursor"],
            "msg": "must be a page.cursor of the same list, with the same filters",
            "type": "cursor",
        },
    ),
)
