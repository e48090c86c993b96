"""What an Idempotency-Key answers that was used before, by a write to a session or by the creation of a user."""

from __future__ import annotations

from tests.model.answer import Expected
from tests.model.store import Json, Remembered


def remembered(known: Remembered, fingerprint: str) -> Expected:
    """Return the answer to another request with a known key."""
    if known.answer is None:
        return Expected(410)
    if known.fingerprint == fingerprint:
        return Expected(201, body=known.answer, replayed=True)
    first: Json = {"user_id": known.user_id}
    if not known.user_id:
        first = {"session_id": known.session_id, "seq": known.answer["messages"][0]["seq"]}
    return Expected(422, body=first)
