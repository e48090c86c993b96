"""GET /stats?session_id: what is talked about, exact at every moment. The schedule's event refreshes."""

from robot_brain import statistics
from robot_brain.deadline import Deadline
from robot_brain.http import Request, Response, endpoint
from robot_brain.parameters import session_id
from robot_brain.schedule import Answer, Context, Event, is_scheduled, task


@endpoint
def answer(request: Request) -> Response:
    """200 with the tenant's figures, refreshed where they are too old, or one session's, live."""
    query = request.query("session_id")
    one = session_id(query["session_id"], ["query", "session_id"]) if "session_id" in query else None
    return Response(200, statistics.figures(one, request.deadline), {"cache-control": "private, no-cache"})


@task
def refresh(deadline: Deadline) -> str:
    """Refresh where that wakes nobody; what it raises fails the invocation, so that it is tried again."""
    return statistics.refresh(deadline)


def handler(event: Event, context: Context) -> Answer:
    """Answer a request, or refresh for the schedule."""
    return refresh(context) if is_scheduled(event) else answer(event, context)
