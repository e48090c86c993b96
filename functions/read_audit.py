"""GET /audit?record|user&from&to&limit&cursor: a page of the audit trail, newest first. End users may not read it."""

from robot_brain import limits
from robot_brain.caller import Caller
from robot_brain.database.audit import read_audit
from robot_brain.entry import routes
from robot_brain.http.parameters import cursor, exclude, moment, short_text, whole_number
from robot_brain.http.request import Request, Response


def read(request: Request, caller: Caller) -> Response:
    """Return 200 with a page of the entries and the cursor of the next page."""
    query = request.query("record", "user", "from", "to", "limit", "cursor")
    exclude(query, "record", "user")
    body = read_audit(
        caller,
        limit=whole_number(query, "limit", 1, limits.MAX_AUDIT_ENTRIES) or limits.DEFAULT_AUDIT_ENTRIES,
        cursor=cursor(query, "cursor"),
        record_id=short_text(query, "record", limits.MAX_USER_ID_LENGTH),
        user_id=short_text(query, "user", limits.MAX_ACTOR_LENGTH),
        since=moment(query, "from"),
        until=moment(query, "to"),
        deadline=request.deadline,
    )
    return Response(200, body, {"cache-control": "no-store"})


handler = routes({"GET /audit": read})
