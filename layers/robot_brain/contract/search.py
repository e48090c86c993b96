"""GET /search."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, DATABASE
from contract.read_audit import Moment
from contract.route import Answer, Fresh, Route
from contract.session_list import ListCursor
from contract.values import ANSWER, PARAMETERS, Cursor, Name, Seq, SessionId, Time, UserId
from robot_brain.errors import DatabaseReadOnlyError, SearchOffError
from robot_brain.limits import DEFAULT_HITS, MAX_FILTER_LENGTH, MAX_HITS, MAX_QUERY_LENGTH


@with_config(PARAMETERS)
class SearchQuery(TypedDict):
    """The words, and the choice of turns."""

    q: Annotated[str, Field(min_length=1, max_length=MAX_QUERY_LENGTH)]
    """The words to look for. All of them must be in the turn. `"two words"` is a phrase, `or` an alternative, and
    `-word` excludes turns. Upper case counts as lower case."""
    session_id: NotRequired[SessionId]
    """Only turns of this session."""
    user_id: NotRequired[UserId]
    """Only turns of this user's sessions. An end user may name only itself (403), and need not."""
    personality: NotRequired[Name]
    """Only turns of this `robot_personality`."""
    metadata: NotRequired[
        Annotated[str, Field(max_length=MAX_FILTER_LENGTH, json_schema_extra={"contentMediaType": "application/json"})]
    ]
    """Only turns whose `metadata` has these fields: a JSON object, such as `{"mood": "good"}`. Values are texts,
    numbers, true, false or null."""
    since: NotRequired[Annotated[Moment, Field(alias="from")]]
    """Only turns from this time on: RFC 3339, or a date for its first moment in UTC. Write `+` as `%2B`."""
    until: NotRequired[Annotated[Moment, Field(alias="to")]]
    """Only turns before this time, in the same form."""
    part: NotRequired[Annotated[Literal["user", "robot"], Field(alias="in")]]
    """Look only in the `user_message`, or only in the `robot_response`. Without it the words may be in either."""
    order: NotRequired[Annotated[Literal["newest", "relevance"], Field(json_schema_extra={"default": "newest"})]]
    """`newest` first, or by `relevance`: the best of the newest 2,000 turns that match."""
    prefix: NotRequired[Annotated[bool, Field(json_schema_extra={"default": False})]]
    """The last word is the beginning of a word, for a search while somebody types."""
    limit: NotRequired[Annotated[int, Field(ge=1, le=MAX_HITS, json_schema_extra={"default": DEFAULT_HITS})]]
    """The most turns in the page."""
    cursor: NotRequired[Annotated[Cursor, Field(json_schema_extra={"example": "the-page.cursor-of-the-answer-before"})]]
    """The `page.cursor` of an earlier answer, to continue its search. Only `limit` may differ from that request."""


@with_config(ANSWER)
class Hit(TypedDict):
    """A turn that matches."""

    session_id: SessionId
    seq: Seq
    created_at: Time
    robot_personality: Name
    snippet: str
    """A part of the turn's texts as HTML. Words that match are in `<mark>`; all other characters are escaped."""
    score: NotRequired[Annotated[float, Field(ge=0)]]
    """How well the turn matches, with `order=relevance`. Compare it only with the same search."""


@with_config(ANSWER)
class SearchCursor(ListCursor):
    """The place after this page."""

    complete: bool
    """False if the time for a page was spent before the page was full; then `cursor` goes on.

    With a null `cursor`: false if turns were left out, because they cannot be found yet, or because `order=relevance`
    ranks only the newest 2,000.
    """


@with_config(ANSWER)
class SearchPage(TypedDict):
    """A page of a search."""

    as_of: Time
    """Turns that were written before this time are found."""
    hits: Annotated[list[Hit], Field(max_length=MAX_HITS)]
    page: SearchCursor


_HIT = {
    "session_id": "demo",
    "seq": 1,
    "created_at": "2026-11-22T12:00:00.070381Z",
    "robot_personality": "barista",
    "snippet": "Could I please get a dirty <mark>mocha</mark> with non-fat milk?",
}

ROUTES = (
    Route(
        "GET",
        "/search",
        name="search",
        summary="Find turns by their words, newest first",
        description="Follow `page.cursor` until it is null to get all turns that match. A page may have fewer than "
        "`limit` turns, or none, and still have a cursor: a page takes a limited time. An end user finds turns of its "
        "own sessions.",
        query=SearchQuery,
        answers=(
            Answer(
                200,
                "The turns that match.",
                SearchPage,
                Fresh,
                {
                    "search": {
                        "as_of": "2026-11-28T12:00:00.000000Z",
                        "hits": [_HIT],
                        "page": {"cursor": None, "complete": True},
                    }
                },
            ),
        ),
        errors=(*ANY_REQUEST, SearchOffError, *(kind for kind in DATABASE if kind is not DatabaseReadOnlyError)),
        broken_rule={
            "loc": ["query", "q"],
            "msg": "needs a word to look for, in each alternative of `or`. A word after - only excludes turns",
            "type": "no_word",
        },
    ),
)
