"""GET /stats?session_id: what is talked about, exact at every moment. The schedule's event refreshes."""

from robot_brain.database import statistics
from robot_brain.entry import routes
from robot_brain.http.parameters import session_id
from robot_brain.http.request import Request, Response


def figures(request: Request) -> Response:
    """200 with the tenant's figures, refreshed if they are too old, or one session's, live."""
    query = request.query("session_id")
    one = session_id(query["session_id"], ["query", "session_id"]) if "session_id" in query else None
    return Response(200, statistics.figures(one, request.deadline), {"cache-control": "private, no-cache"})


handler = routes({"GET /stats": figures}, schedule={"refresh_stats": statistics.refresh})
