"""GET /sessions/{session_id}?limit&before|after&max_chars: a page of a session's turns, oldest first.

GET /sessions?limit&cursor&user_id&preview&metadata&path: a page of the sessions, the most recently active first.
"""

from robot_brain import limits
from robot_brain.caller import Caller
from robot_brain.database import api, session_list
from robot_brain.entry import routes
from robot_brain.http.filters import metadata_filters
from robot_brain.http.parameters import cursor, exclude, flag, if_none_match, listed_user_id, whole_number
from robot_brain.http.request import Request, Response


def read(request: Request, caller: Caller, session_id: str) -> Response:
    """Return 200 with the session, its turns and the cursors of other pages, or 304 if If-None-Match has its ETag."""
    query = request.query("limit", "before", "after", "max_chars")
    exclude(query, "after", "before", "max_chars")
    page = api.read_session(
        caller,
        session_id,
        limit=whole_number(query, "limit", 1, limits.MAX_PAGE_TURNS) or limits.DEFAULT_PAGE_TURNS,
        before=whole_number(query, "before", 1, limits.MAX_INTEGER),
        after=whole_number(query, "after", 0, limits.MAX_INTEGER),
        max_chars=whole_number(query, "max_chars", 1, limits.MAX_PAGE_CHARS),
        known_etags=if_none_match(request.headers.get("if-none-match")),
        deadline=request.deadline,
    )
    return Response(200 if page.body else 304, page.body, {"etag": page.etag, "cache-control": "private, no-cache"})


def browse(request: Request, caller: Caller) -> Response:
    """Return 200 with a page of the sessions and the cursor of the next page."""
    query = request.query("limit", "cursor", "user_id", "preview", "metadata", "path")
    limit = whole_number(query, "limit", 1, limits.MAX_LISTED_SESSIONS) or limits.DEFAULT_LISTED_SESSIONS
    place, user, preview = cursor(query, "cursor"), listed_user_id(query, "user_id"), flag(query, "preview")
    body = session_list.list_sessions(caller, limit, place, user, preview, metadata_filters(query), request.deadline)
    return Response(200, body, {"cache-control": "private, no-cache"})


handler = routes({"GET /sessions/{session_id}": read, "GET /sessions": browse})
