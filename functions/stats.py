"""GET /stats?session_id: figures of the tenant or of one session. The schedule's event refreshes the statistics.

GET /health/database: the condition of the database. Served here, because the function health may not read the secret.
"""

from robot_brain.caller import Caller
from robot_brain.database import statistics
from robot_brain.database.condition import condition
from robot_brain.entry import routes
from robot_brain.http.parameters import session_id
from robot_brain.http.request import Request, Response


def figures(request: Request, caller: Caller) -> Response:
    """Return 200 with the tenant's figures, refreshed if they are too old, or with the current figures of a session."""
    query = request.query("session_id")
    one = session_id(query["session_id"], ["query", "session_id"]) if "session_id" in query else None
    if one is None:
        caller.require_all("read the figures of all sessions")
    return Response(200, statistics.figures(caller, one, request.deadline), {"cache-control": "private, no-cache"})


def database(request: Request, caller: Caller) -> Response:
    """Return the condition of the database, with 200 if it serves and 503 if not."""
    request.query()
    caller.require_all("read the condition of the database")
    found = condition(request.deadline)
    wait = {} if found.retry_after is None else {"retry-after": str(found.retry_after)}
    return Response(200 if found.serves else 503, found.report, {"cache-control": "no-store", **wait})


handler = routes(
    {"GET /stats": figures, "GET /health/database": database}, schedule={"refresh_stats": statistics.refresh}
)
