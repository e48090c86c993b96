"""GET, HEAD /health: the service is up. Open to anyone, so it has no access to the database."""

from robot_brain import __version__
from robot_brain.entry import routes
from robot_brain.http.request import Request, Response


def up(request: Request) -> Response:
    """Return 200 at once, without a call of the database, so that a probe never wakes it."""
    request.query()
    # HEAD gets the body too. The gateway removes it and needs its length.
    return Response(200, f'{{"status": "ok", "version": "{__version__}"}}', {"cache-control": "no-store"})


handler = routes({"GET /health": up, "HEAD /health": up}, open_to_anyone=True)
