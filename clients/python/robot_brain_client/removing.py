"""How one item leaves a turn, and what an adapter does if a change gets no answer."""

from __future__ import annotations

import time
from typing import Any

from robot_brain_client import calls
from robot_brain_client.answers import Answer
from robot_brain_client.calls import once
from robot_brain_client.errors import NotFoundError, OutcomeUnknownError, PreconditionFailedError, RobotBrainError
from robot_brain_client.exchanges import Form, exchange, is_empty, shortened
from robot_brain_client.flows import Flow
from robot_brain_client.retrying import PATIENCE_SECONDS

# The newest turns that are looked at.
_NEWEST = 5
# After these a read shows what to do.
TRIED_AGAIN = (PreconditionFailedError, NotFoundError, OutcomeUnknownError)


def first_unknown(first: float | None, error: RobotBrainError) -> float | None:
    """Return when the first attempt got no answer. Raises the error if that is a minute ago."""
    if not isinstance(error, OutcomeUnknownError):
        return first
    now = time.monotonic()
    if first is not None and now - first > PATIENCE_SECONDS:
        raise error
    return now if first is None else first


def without(
    session_id: str, form: Form, turn: dict[str, Any], place: int, write: str, state: Answer[Any] | None = None
) -> Flow[bool]:
    """Remove an item from a turn, which is read again without `state`. Returns False if another client was faster.

    Raises OutcomeUnknownError if an answer was lost and the turn, which would show the outcome, was removed since.
    """
    seq = turn["seq"]
    body = shortened(form, turn, place, write)
    if state is None:
        state = yield from _at(session_id, seq)
        if state is None or state.body["messages"][0] != turn:
            return False
    unknown: float | None = None
    while True:
        try:
            yield once(calls.replace(session_id, seq, body, state))
            break
        except TRIED_AGAIN as error:
            unknown = first_unknown(unknown, error)
            found = yield from _at(session_id, seq)
            if found is None and unknown is not None:
                raise OutcomeUnknownError(
                    f"An answer was lost, and turn {seq} is gone: the item may be popped"
                ) from error
            if found is not None and write in exchange(form, found.body["messages"][0]).writes:
                break
            # In the same state the attempt may still be running. In another one it can no longer be done.
            if found is None or found.etag != state.etag or not isinstance(error, OutcomeUnknownError):
                return False
    if not (body.get("items") or body["user_message"] or body["robot_response"]):
        yield from _remove_empty(session_id)
    return True


def _remove_empty(session_id: str) -> Flow[None]:
    """Remove the newest turns if they are empty. Those that stay do no harm, because they have no item."""
    try:
        answer = yield calls.read(session_id, {"limit": _NEWEST})
        turns = answer.body["messages"]
        kept = len(turns)
        while kept and is_empty(turns[kept - 1]):
            kept -= 1
        if kept < len(turns):
            yield once(calls.remove(session_id, turns[kept]["seq"] - 1, answer))
    except (PreconditionFailedError, NotFoundError, OutcomeUnknownError):
        return


def _at(session_id: str, seq: int) -> Flow[Answer[Any] | None]:
    """Return a page that begins with the turn, None if the turn was removed."""
    try:
        answer = yield calls.read(session_id, {"limit": 1, "after": seq - 1})
    except NotFoundError:
        return None
    return answer if answer.body["messages"] and answer.body["messages"][0]["seq"] == seq else None
