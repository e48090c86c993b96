"""GET, HEAD /health: the service is up. Open to anyone, so it knows nothing of the database."""

from robot_brain import __version__
from robot_brain.entry import routes
from robot_brain.http.request import Request, Response


def up(request: Request) -> Response:
    """200 at once, so that a probe never wakes the database."""
    request.query()
    # For HEAD as well: the gateway leaves the body out, and has its length from here.
    return Response(200, f'{{"status": "ok", "version": "{__version__}"}}', {"cache-control": "no-store"})


handler = routes({"GET /health": up, "HEAD /health": up})
