"""GET /sessions/{session_id}?limit&before|after&max_chars: a page of a session's turns, oldest first."""

from robot_brain import database
from robot_brain.http import Request, Response, endpoint
from robot_brain.parameters import LARGEST_SEQ, exclude, if_none_match, whole_number


@endpoint
def handler(request: Request) -> Response:
    """200 with the session, its turns and the cursors of the pages beside; 304 where If-None-Match holds its ETag."""
    query = request.query("limit", "before", "after", "max_chars")
    exclude(query, "before", "after")
    exclude(query, "max_chars", "after")
    page = database.read_session(
        request.session_id(),
        whole_number(query, "limit", 1, 200) or 50,
        whole_number(query, "before", 1, LARGEST_SEQ),
        whole_number(query, "after", 0, LARGEST_SEQ),
        whole_number(query, "max_chars", 1, 10_000_000),
        if_none_match(request.headers.get("if-none-match")),
        request.deadline,
    )
    headers = {"etag": page.etag, "cache-control": "private, no-cache"}
    return Response(304 if page.body is None else 200, page.body, headers)
