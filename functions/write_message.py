"""POST /sessions/{session_id}/messages: append one turn, or up to 100 turns, to a session."""

from robot_brain import telemetry
from robot_brain.bodies.write import Write
from robot_brain.database import api
from robot_brain.entry import routes
from robot_brain.http.parameters import idempotency_key, if_match
from robot_brain.http.request import Request, Response


def write(request: Request, session_id: str) -> Response:
    """Return 201 with the ids and seqs of the new turns, or the first answer again if the Idempotency-Key was used."""
    request.query()
    expected = if_match(request.headers.get("if-match"))
    key = idempotency_key(request.headers.get("idempotency-key"))
    body = Write(request.json())
    telemetry.note(turns=body.turns)
    written = api.write_message(
        session_id=session_id,
        messages=body.messages,
        user_metadata=body.user_metadata,
        if_match=expected,
        key=key,
        deadline=request.deadline,
    )
    headers = {"etag": written.etag} if written.etag else {}
    if written.replayed and key is not None:
        headers["idempotent-replayed"] = "true"
    return Response(201, written.body, headers)


handler = routes({"POST /sessions/{session_id}/messages": write})
