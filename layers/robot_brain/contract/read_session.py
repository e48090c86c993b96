"""GET /sessions/{session_id}. GET /sessions is in `session_list`."""

from __future__ import annotations

from typing import Annotated, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.route import Answer, Revalidated, Route, SessionPath
from contract.session_list import LIST
from contract.sessions import SESSION, Session
from contract.values import (
    ANSWER,
    PARAMETERS,
    Count,
    EntityTag,
    Items,
    Metadata,
    Name,
    Seq,
    Text,
    Time,
    TurnId,
)
from robot_brain.errors import DatabaseReadOnlyError, SessionNotFoundError
from robot_brain.limits import (
    DEFAULT_PAGE_TURNS,
    MAX_INTEGER,
    MAX_PAGE_CHARS,
    MAX_PAGE_TURNS,
)


@with_config(PARAMETERS)
class Query(TypedDict):
    """The page of the session. Without `before` and `after` it is the newest page."""

    limit: NotRequired[
        Annotated[int, Field(ge=1, le=MAX_PAGE_TURNS, json_schema_extra={"default": DEFAULT_PAGE_TURNS})]
    ]
    """The most turns in the page. A page may have fewer, so that the answer stays under Lambda's limit of 6 MB."""
    before: NotRequired[Seq]
    """Return the newest turns below this seq. Not allowed with `after`."""
    after: NotRequired[Annotated[int, Field(ge=0, le=MAX_INTEGER)]]
    """Return the oldest turns above this seq; 0 returns the first ones. Not allowed with `before` or `max_chars`."""
    max_chars: NotRequired[Annotated[int, Field(ge=1, le=MAX_PAGE_CHARS)]]
    """Return the newest whole turns whose two texts together have at most this many code points, but at least one turn.
    Not allowed with `after`."""


@with_config(PARAMETERS)
class Headers(TypedDict):
    """The headers of a read."""

    if_none_match: NotRequired[Annotated[str, Field(alias="If-None-Match")]]
    """The client's entity tags: a list, also with `W/`, or `*`. If one matches the session, the answer is 304."""


@with_config(ANSWER)
class StoredTurn(TypedDict):
    """A turn as it is stored."""

    id: TurnId
    seq: Seq
    """The turn's position in its session. Turns that were removed leave gaps."""
    robot_personality: Name
    user_message: Text
    robot_response: Text
    items: NotRequired[Items]
    """The items as JSON values. Absent if the turn was written without items."""
    metadata: Metadata
    created_at: Time
    updated_at: NotRequired[Time]
    """The time of the turn's last change. Absent if the turn was never changed."""


@with_config(ANSWER)
class Cursors(TypedDict):
    """The cursors of the pages before and after this one."""

    before: Seq | None
    """The value of `before` for the older page. Null if there are no older turns, or if the page is empty."""
    after: Count | None
    """The value of `after` for the newer page, also for turns that are written later. If the page is empty, it is
    the `after` of the request, or null without one."""


@with_config(ANSWER)
class Page(TypedDict):
    """A session and a page of its turns."""

    session: Session
    messages: Annotated[list[StoredTurn], Field(max_length=MAX_PAGE_TURNS)]
    """The turns, oldest first."""
    page: Cursors


@with_config(ANSWER)
class PageHeaders(Revalidated):
    """The headers of 200 and 304."""

    etag: Annotated[EntityTag, Field(alias="ETag")]
    """The session's state: the last seq and a version."""


_EXAMPLE = {
    "session": SESSION,
    "messages": [
        {
            "id": "2f0c6a52-7c44-4a6a-9a51-6a3a7d0f4b1e",
            "seq": 1,
            "robot_personality": "barista",
            "user_message": "Could I please get a dirty mocha with non-fat milk?",
            "robot_response": "That's one mocha, dirty, non-fat milk. Will that be all?",
            "metadata": {"api_calls": ["get_menu_items", "add_order_item"]},
            "created_at": "2026-11-22T12:00:00.070381Z",
        }
    ],
    "page": {"before": None, "after": 1},
}

ROUTES = (
    Route(
        "GET",
        "/sessions/{session_id}",
        name="read_session",
        summary="Read a session and a page of its turns",
        description="Follow `page.before` until it is null to walk the whole history. Repeat `page.after` to poll for "
        "new turns.",
        path_parameters=SessionPath,
        query=Query,
        headers=Headers,
        answers=(
            Answer(200, "The session and a page of its turns.", Page, PageHeaders, {"read_session": _EXAMPLE}),
            Answer(304, "The session is in a state that If-None-Match names.", None, PageHeaders),
        ),
        errors=(
            *ANY_REQUEST,
            SessionNotFoundError,
            *(kind for kind in DATABASE if kind is not DatabaseReadOnlyError),
        ),
        broken_rule={
            "loc": ["query", "limit"],
            "msg": f"must be a whole number from 1 to {MAX_PAGE_TURNS}",
            "type": "whole_number",
        },
    ),
    LIST,
)
