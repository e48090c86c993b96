"""GET, HEAD /health: the service is up, without touching the database. GET /health/database: the database answers."""

from robot_brain import __version__
from robot_brain.http import Request, Response, endpoint


@endpoint
def handler(request: Request) -> Response:
    """200 at once, so that a probe never wakes the database; or its condition, 503 where it does not answer."""
    request.query()
    headers = {"cache-control": "no-store"}
    if request.route == "GET /health/database":
        # Not above: a probe that never asks the database does not wait for psycopg, most of a cold start.
        from robot_brain.health import condition

        found = condition(request.deadline)
        return Response(found.status, found.body, headers | found.headers)
    # For HEAD as well: the gateway leaves the body out, and has its length from here.
    return Response(200, f'{{"status": "ok", "version": "{__version__}"}}', headers)
