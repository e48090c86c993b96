"""GET /search?q&session_id&user_id&personality&metadata&from&to&in&order&prefix&limit&cursor: turns that have words."""

from robot_brain import limits
from robot_brain.caller import Caller
from robot_brain.database.search import Filters, search
from robot_brain.entry import routes
from robot_brain.http.filters import choice, required_text, scalars, text
from robot_brain.http.parameters import cursor, flag, listed_user_id, moment, session_id, whole_number
from robot_brain.http.request import Request, Response

FILTERS = ("session_id", "user_id", "personality", "metadata", "from", "to", "in")


def find(request: Request, caller: Caller) -> Response:
    """Return 200 with a page of the turns that match, and the cursor of the next page."""
    query = request.query("q", *FILTERS, "order", "prefix", "limit", "cursor")
    filters = Filters(
        session_id=session_id(query["session_id"], ["query", "session_id"]) if "session_id" in query else None,
        user_id=listed_user_id(query, "user_id"),
        personality=text(query, "personality", limits.MAX_NAME_LENGTH),
        metadata=scalars(query, "metadata", limits.MAX_FILTER_LENGTH),
        since=moment(query, "from"),
        until=moment(query, "to"),
        part=choice(query, "in", "user", "robot"),
    )
    body = search(
        caller,
        required_text(query, "q", limits.MAX_QUERY_LENGTH),
        filters,
        order=choice(query, "order", "newest", "relevance") or "newest",
        prefix=flag(query, "prefix"),
        limit=whole_number(query, "limit", 1, limits.MAX_HITS) or limits.DEFAULT_HITS,
        cursor=cursor(query, "cursor"),
        deadline=request.deadline,
    )
    return Response(200, body, {"cache-control": "no-store"})


handler = routes({"GET /search": find})
