"""Checks of exports while others write: what the contract promises of them."""

from __future__ import annotations

from collections.abc import Sequence

from tests.model.answer import FORBIDDEN, NO_USER, MismatchError, check
from tests.model.forbidden import is_forbidden
from tests.model.history import Entry, Step
from tests.model.lists import during, in_turn, periods
from tests.model.store import Session, Store
from tests.model.trail import audited, check_trail
from tests.model.users import exported, user_json


def check_export(export: Entry, order: Sequence[Step]) -> None:
    """Raise MismatchError if an export breaks a promise.

    It holds the user and each session with its turns as they were at some moment of the request, and all sessions that
    were the user's during the whole request. The audit trail has an export once, with its counts.
    """
    if export.trail is not None:
        check_trail(audited(Store(), export.request, export.reply, Store()), export.trail)
    if is_forbidden(export.request):
        check(FORBIDDEN, export.reply)
        return
    id = export.request.user_id
    sessions = {each: during(states, export.began, export.ended) for each, states in periods(order).items()}
    states = in_turn(order, lambda store: store.users.get(id), lambda user: user.id)
    users = during(states, export.began, export.ended)
    quiet = {each for each, states in sessions.items() if all(_is_of(state, id) for state in states)}
    if export.reply.status == 404:
        check(NO_USER, export.reply)
        if quiet or None not in users:
            raise MismatchError(f"there was something to export: {quiet}, {users}\n  {export}")
        return
    said = export.reply.json
    if said["user"] is None and said["sessions"] == []:
        raise MismatchError(f"an export without anything: {export}")
    if said["user"] not in [None if user is None else user_json(user) for user in users]:
        raise MismatchError(f"the user was never so: {said['user']}\n  possible: {users}")
    ids = [each["id"] for each in said["sessions"]]
    if ids != sorted(set(ids), key=lambda each: str(each).encode()) or not quiet <= set(ids):
        raise MismatchError(f"the sessions {ids}, and these were there all the time: {quiet}")
    turns = [[turn for turn in said["turns"] if turn["session_id"] == each] for each in ids]
    if said["turns"] != [turn for each in turns for turn in each] or said["page"] != {"cursor": None}:
        raise MismatchError(f"the turns are not in the order of their sessions: {export}")
    for session, parts in zip(said["sessions"], turns, strict=True):
        possible = [exported(state) for state in sessions.get(session["id"], []) if state and _is_of(state, id)]
        if (session, parts) not in possible:
            raise MismatchError(f"the session was never so: {session} {parts}\n  possible: {possible}")


def _is_of(state: Session | None, user_id: str) -> bool:
    return state is not None and state.user_id == user_id
