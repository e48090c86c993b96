"""POST /sessions/{session_id}/messages: append one turn, or up to 100 at once, to a session."""

from robot_brain import database, telemetry
from robot_brain.http import Request, Response, endpoint
from robot_brain.models import Write
from robot_brain.parameters import idempotency_key, if_match


@endpoint
def handler(request: Request) -> Response:
    """201 with the ids and seqs of the new turns; the first answer again where the Idempotency-Key was used before."""
    request.query()
    session_id = request.session_id()
    expected = if_match(request.headers.get("if-match"))
    key = idempotency_key(request.headers.get("idempotency-key"))
    write = Write(request.json())
    telemetry.note(turns=write.turns)
    written = database.write_message(session_id, write.messages, write.user_metadata, expected, key, request.deadline)
    headers = {"etag": written.etag} if written.etag else {}
    if written.replayed and key is not None:
        headers["idempotent-replayed"] = "true"
    return Response(201, written.body, headers)
