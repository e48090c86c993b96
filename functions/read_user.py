"""GET /users/{user_id}: a user with its profile. GET /users/{user_id}/export?cursor: all that is held about a person.

GET /users?limit&cursor|email: a page of the users, newest first, or the one with an e-mail.
"""

from robot_brain import limits
from robot_brain.bodies.email import email_key
from robot_brain.caller import Caller
from robot_brain.database import users
from robot_brain.entry import routes
from robot_brain.http.parameters import cursor, exclude, if_none_match, whole_number
from robot_brain.http.request import Request, Response


def read(request: Request, caller: Caller, user_id: str) -> Response:
    """Return 200 with the user, or 304 if If-None-Match has its ETag."""
    request.query()
    page = users.read_user(caller, user_id, if_none_match(request.headers.get("if-none-match")), request.deadline)
    return Response(200 if page.body else 304, page.body, {"etag": page.etag, "cache-control": "private, no-cache"})


def export(request: Request, caller: Caller, user_id: str) -> Response:
    """Return 200 with a page of the export and the cursor of the next page."""
    body = users.export_user(caller, user_id, cursor(request.query("cursor"), "cursor"), request.deadline)
    return Response(200, body, {"cache-control": "no-store"})


def browse(request: Request, caller: Caller) -> Response:
    """Return 200 with a page of the users and the cursor of the next page."""
    query = request.query("limit", "cursor", "email")
    exclude(query, "email", "limit", "cursor")
    limit = whole_number(query, "limit", 1, limits.MAX_LISTED_USERS) or limits.DEFAULT_LISTED_USERS
    key = email_key(query["email"], ["query", "email"]) if "email" in query else None
    body = users.list_users(caller, limit, cursor(query, "cursor"), key, request.deadline)
    return Response(200, body, {"cache-control": "private, no-cache"})


USER = "/users/{user_id}"
handler = routes({"GET /users": browse, f"GET {USER}": read, f"GET {USER}/export": export})
