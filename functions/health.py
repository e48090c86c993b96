"""GET, HEAD /health: the service is up, without touching the database. GET /health/database: the database answers."""

from robot_brain import __version__
from robot_brain.entry import routes
from robot_brain.http.request import Request, Response

_HEADERS = {"cache-control": "no-store"}


def up(request: Request) -> Response:
    """200 at once, so that a probe never wakes the database."""
    request.query()
    # For HEAD as well: the gateway leaves the body out, and has its length from here.
    return Response(200, f'{{"status": "ok", "version": "{__version__}"}}', _HEADERS)


def database(request: Request) -> Response:
    """200 with the condition of the database, 503 if it does not serve."""
    # Not above: a probe that never asks the database does not import psycopg, which is most of a cold start.
    from robot_brain.database.condition import condition

    request.query()
    found = condition(request.deadline)
    wait = {} if found.retry_after is None else {"retry-after": str(found.retry_after)}
    return Response(200 if found.serves else 503, found.report, _HEADERS | wait)


handler = routes({"GET /health": up, "HEAD /health": up, "GET /health/database": database})
