"""POST /sessions/{session_id}/messages: append one turn, or up to 100 turns, to a session.

PUT /sessions/{session_id}/messages/{seq}: replace the content of a turn.
"""

from robot_brain import telemetry
from robot_brain.bodies.write import Replacement, Write
from robot_brain.caller import Caller
from robot_brain.database import api, changes
from robot_brain.entry import routes
from robot_brain.http.parameters import idempotency_key
from robot_brain.http.request import Request, Response


def write(request: Request, caller: Caller, session_id: str) -> Response:
    """Return 201 with the ids and seqs of the new turns, or the first answer again if the Idempotency-Key was used."""
    request.query()
    state, key = request.if_match(), idempotency_key(request.headers.get("idempotency-key"))
    body = Write(request.json())
    telemetry.note(turns=body.turns, items=body.items)
    written = api.write_message(caller, session_id, state, key, request.deadline, **body.arguments)
    return Response.created(*written)


def replace(request: Request, caller: Caller, session_id: str, seq: int) -> Response:
    """Return 200 with the time of the turn's last change."""
    request.query()
    state = request.if_match()
    body = Replacement(request.json())
    telemetry.note(items=body.items)
    changed = changes.replace_turn(caller, session_id, seq, body.turn, state, request.deadline)
    return Response(200, changed.body, {"etag": changed.etag})


MESSAGES = "/sessions/{session_id}/messages"
handler = routes({f"POST {MESSAGES}": write, f"PUT {MESSAGES}/{{seq}}": replace})
