"""GET /stats?session_id: what is talked about, exact at every moment. The schedule's event refreshes.

GET /health/database: the database answers. It is served here because the function health has no right to the secret.
"""

from robot_brain.database import statistics
from robot_brain.database.condition import condition
from robot_brain.entry import routes
from robot_brain.http.parameters import session_id
from robot_brain.http.request import Request, Response


def figures(request: Request) -> Response:
    """200 with the tenant's figures, refreshed if they are too old, or one session's, live."""
    query = request.query("session_id")
    one = session_id(query["session_id"], ["query", "session_id"]) if "session_id" in query else None
    return Response(200, statistics.figures(one, request.deadline), {"cache-control": "private, no-cache"})


def database(request: Request) -> Response:
    """200 with the condition of the database, 503 if it does not serve."""
    request.query()
    found = condition(request.deadline)
    wait = {} if found.retry_after is None else {"retry-after": str(found.retry_after)}
    return Response(200 if found.serves else 503, found.report, {"cache-control": "no-store", **wait})


handler = routes(
    {"GET /stats": figures, "GET /health/database": database}, schedule={"refresh_stats": statistics.refresh}
)
