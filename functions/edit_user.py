"""POST /users: create a user. PUT and PATCH /users/{user_id}: replace or change a user with its profile.

DELETE /users/{user_id}?dry_run: erase a person with all sessions, or count what would be erased.
"""

from robot_brain.bodies import user
from robot_brain.caller import Caller
from robot_brain.database import erasures, users
from robot_brain.entry import routes
from robot_brain.http.parameters import flag, idempotency_key, user_if_match
from robot_brain.http.request import Request, Response


def create(request: Request, caller: Caller) -> Response:
    """Return 201 with the user, or the first answer again if the Idempotency-Key was used."""
    request.query()
    key = idempotency_key(request.headers.get("idempotency-key"))
    return Response.created(*users.create_user(caller, *user.content(request.json()), key, request.deadline))


def save(request: Request, caller: Caller, user_id: str) -> Response:
    """Return 201 with a new user, or 200 with the user after the change."""
    request.query()
    state, is_patch = user_if_match(request.headers.get("if-match")), request.route.startswith("PATCH")
    new = user.patch(request.json()) if is_patch else user.content(request.json())
    saved = users.save_user(caller, user_id, *new, is_patch, state, request.deadline)
    return Response(201 if saved.created else 200, saved.body, {"etag": saved.etag})


def erase(request: Request, caller: Caller, user_id: str) -> Response:
    """Return 204 if all is erased, 202 if a repetition has to go on, or 200 with the counts of a dry run."""
    is_dry_run, state = flag(request.query("dry_run"), "dry_run"), user_if_match(request.headers.get("if-match"))
    if is_dry_run:
        return Response(200, erasures.count_user(caller, user_id, request.deadline), {"cache-control": "no-store"})
    done = erasures.erase_user(caller, user_id, state, request.deadline)
    return Response(204) if done else Response(202, headers={"retry-after": "1"})


USER = "/users/{user_id}"
handler = routes({"POST /users": create, f"PUT {USER}": save, f"PATCH {USER}": save, f"DELETE {USER}": erase})
