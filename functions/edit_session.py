"""PATCH /sessions/{session_id}: change a session's user_metadata or user, or create a session.

DELETE /sessions/{session_id}: erase a session. DELETE /sessions/{session_id}/messages?after: remove its newest turns.
"""

from robot_brain.bodies import patch
from robot_brain.caller import Caller
from robot_brain.database import changes
from robot_brain.entry import routes
from robot_brain.http.parameters import required_number
from robot_brain.http.request import Request, Response
from robot_brain.limits import MAX_INTEGER


def edit(request: Request, caller: Caller, session_id: str) -> Response:
    """Return 200 with the session after the patch."""
    request.query()
    state = request.if_match()
    changed = changes.patch_session(caller, session_id, state, request.deadline, **patch.patch(request.json()))
    return Response(200, changed.body, {"etag": changed.etag})


def remove(request: Request, caller: Caller, session_id: str) -> Response:
    """Return 200 with the number of turns that were removed."""
    after = required_number(request.query("after"), "after", 0, MAX_INTEGER)
    changed = changes.remove_turns(caller, session_id, after, request.if_match(), request.deadline)
    return Response(200, changed.body, {"etag": changed.etag})


def erase(request: Request, caller: Caller, session_id: str) -> Response:
    """Return 204 if all of the session is erased, or 202 if a repetition has to go on."""
    request.query()
    done = changes.erase_session(caller, session_id, request.if_match(), request.deadline)
    return Response(204) if done else Response(202, headers={"retry-after": "1"})


SESSION = "/sessions/{session_id}"
handler = routes({f"PATCH {SESSION}": edit, f"DELETE {SESSION}": erase, f"DELETE {SESSION}/messages": remove})
