"""GET /sessions."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Revalidated, Route
from contract.sessions import PATCHED_SESSION, Session
from contract.values import ANSWER, PARAMETERS, Cursor, Seq, UserId
from robot_brain.errors import DatabaseReadOnlyError
from robot_brain.limits import (
    DEFAULT_LISTED_SESSIONS,
    MAX_FILTER_LENGTH,
    MAX_LISTED_SESSIONS,
    MAX_PATH_LENGTH,
    PREVIEW_CHARS,
)

_Beginning = Annotated[str, Field(max_length=PREVIEW_CHARS)]


@with_config(PARAMETERS)
class ListQuery(TypedDict):
    """The choice of sessions."""

    limit: NotRequired[
        Annotated[int, Field(ge=1, le=MAX_LISTED_SESSIONS, json_schema_extra={"default": DEFAULT_LISTED_SESSIONS})]
    ]
    """The most sessions in the page."""
    cursor: NotRequired[Annotated[Cursor, Field(json_schema_extra={"example": "the-page.cursor-of-the-answer-before"})]]
    """The `page.cursor` of an earlier answer, to continue its list. The other parameters must be the same."""
    user_id: NotRequired[UserId]
    """Return only the sessions of this user. An end user may name only itself (403), and need not."""
    preview: NotRequired[Annotated[bool, Field(json_schema_extra={"default": False})]]
    """Return the beginning of each session's last turn."""
    metadata: NotRequired[
        Annotated[str, Field(max_length=MAX_FILTER_LENGTH, json_schema_extra={"contentMediaType": "application/json"})]
    ]
    """Return only the sessions whose `user_metadata` contains this JSON object, such as `{"likes": {"milk": "oat"}}`.
    An array contains another one if it has each of its values."""
    path: NotRequired[Annotated[str, Field(min_length=1, max_length=MAX_PATH_LENGTH)]]
    """Return only the sessions for whose `user_metadata` this jsonpath of PostgreSQL is true, such as
    `$.likes.milk == "oat" || $.vip == true`, or finds something, such as `$.orders[*] ? (@.item == "mocha")`.
    It compares fields with values by `==` alone, joined by `&&` and `||`."""


@with_config(ANSWER)
class Preview(TypedDict):
    """The beginning of a session's last turn: at most 200 code points of each text."""

    seq: Seq
    user_message: _Beginning
    robot_response: _Beginning


@with_config(ANSWER)
class ListedSession(Session):
    """A session in a list."""

    preview: NotRequired[Preview]
    """The beginning of the last turn, with `preview=true`. Absent if the session has no turn."""


@with_config(ANSWER)
class ListCursor(TypedDict):
    """The place after this page."""

    cursor: Cursor | None
    """The value of `cursor` for the next page. Null at the end of the list."""


@with_config(ANSWER)
class SessionCursor(ListCursor):
    """The place after this page."""

    complete: NotRequired[bool]
    """Only with `metadata` or `path`. False if the time for a page was spent before the page was full. The cursor then
    goes on, also from a page without sessions."""


@with_config(ANSWER)
class SessionList(TypedDict):
    """A page of sessions."""

    sessions: Annotated[list[ListedSession], Field(max_length=MAX_LISTED_SESSIONS)]
    """The sessions, the most recently active first."""
    page: SessionCursor


LIST = Route(
    "GET",
    "/sessions",
    name="list_sessions",
    summary="List the sessions, the most recently active first",
    description="Follow `page.cursor` until it is null. A session that becomes active meanwhile may be missing "
    "from the pages that follow. It is then on the first page of a new list. An end user gets its own sessions. With "
    "`metadata` or `path` a page takes a limited time, so it may have fewer than `limit` sessions, or none, and a "
    "cursor. `page.complete` is then false.",
    query=ListQuery,
    answers=(
        Answer(
            200,
            "A page of sessions.",
            SessionList,
            Revalidated,
            {
                "list_sessions": {"sessions": [PATCHED_SESSION], "page": {"cursor": None}},
            },
        ),
    ),
    errors=(*ANY_REQUEST, *(kind for kind in DATABASE if kind is not DatabaseReadOnlyError)),
    broken_rule={
        "loc": ["query", "limit"],
        "msg": f"must be a whole number from 1 to {MAX_LISTED_SESSIONS}",
        "type": "whole_number",
    },
)
