"""GET /sessions/{session_id}?limit&before|after&max_chars: a page of a session's turns, oldest first."""

from robot_brain.database import api
from robot_brain.entry import routes
from robot_brain.http.parameters import exclude, if_none_match, whole_number
from robot_brain.http.request import Request, Response
from robot_brain.limits import DEFAULT_PAGE_TURNS, MAX_INTEGER, MAX_PAGE_CHARS, MAX_PAGE_TURNS


def read(request: Request, session_id: str) -> Response:
    """Return 200 with the session, its turns and the cursors of other pages, or 304 if If-None-Match has its ETag."""
    query = request.query("limit", "before", "after", "max_chars")
    exclude(query, "before", "after")
    exclude(query, "max_chars", "after")
    page = api.read_session(
        session_id=session_id,
        limit=whole_number(query, "limit", 1, MAX_PAGE_TURNS) or DEFAULT_PAGE_TURNS,
        before=whole_number(query, "before", 1, MAX_INTEGER),
        after=whole_number(query, "after", 0, MAX_INTEGER),
        max_chars=whole_number(query, "max_chars", 1, MAX_PAGE_CHARS),
        known_etags=if_none_match(request.headers.get("if-none-match")),
        deadline=request.deadline,
    )
    headers = {"etag": page.etag, "cache-control": "private, no-cache"}
    return Response(304 if page.body is None else 200, page.body, headers)


handler = routes({"GET /sessions/{session_id}": read})
