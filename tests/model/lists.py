"""Checks of walks through GET /sessions while others write: what the contract promises of a list."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from tests.model import pages
from tests.model.answer import FORBIDDEN, MismatchError, check
from tests.model.forbidden import is_forbidden
from tests.model.history import Entry, Step
from tests.model.request import ERASE_USER
from tests.model.store import Json, Session, Store

PREVIEW_CHARS = 200
State = TypeVar("State")


@dataclass(frozen=True)
class Walk:
    """The pages of one walk, from the newest session to the end."""

    pages: Sequence[Entry]


@dataclass(frozen=True)
class Period(Generic[State]):
    """A state of a session or user, None while it does not exist, and the moments between which it may be read."""

    state: State | None
    began: float
    ended: float


def periods(order: Sequence[Step]) -> dict[str, list[Period[Session]]]:
    """Return the states of each session in turn."""
    ids = {id for step in order for id in (step.entry.request.session_id, *step.after.sessions)}
    return {
        id: in_turn(order, lambda store, id=id: store.sessions.get(id), lambda session: session.user_id)  # type: ignore[misc]  # bound
        for id in ids
    }


def in_turn(
    order: Sequence[Step], state_of: Callable[[Store], State | None], user_of: Callable[[State], str | None]
) -> list[Period[State]]:
    """Return the states of a session or user in turn.

    A state may be read from the sending of the request that made it to the answer to the request that ended it. The
    answer to the erasure of a user does not tell what it erased. So if two erasures can have ended a state, it may have
    been gone since the first one, or may have been there until the second one.
    """
    found: list[Period[State]] = [Period(None, -math.inf, math.inf)]
    made = None
    for step in order:
        before, state = found[-1].state, state_of(step.after)
        if state == before:
            continue
        user = None if before is None else user_of(before)
        ended = step.entry.ended
        if step.entry.request.route == ERASE_USER and made is not None:
            erasures = sorted((each for each in map(_entry, order) if _erases(each, user)), key=_began)
            doubtful = [each.began for each in erasures if each.began <= made.ended and made.began <= each.ended]
            later = [each for each in erasures if each.began > ended]
            ended = max(each.ended for each in erasures if each.began <= ended)
            if doubtful:
                found.insert(-1, Period(None, min(doubtful), ended))
                ended = max([ended, *(each.ended for each in later[:1])])
        found[-1] = replace(found[-1], ended=ended)
        found.append(Period(state, step.entry.began, math.inf))
        if state is not None and (before is None or user_of(state) != user):
            made = step.entry
    return found


def _entry(step: Step) -> Entry:
    return step.entry


def _began(entry: Entry) -> float:
    return entry.began


def _erases(entry: Entry, user: str | None) -> bool:
    return (entry.request.route, entry.request.user_id, entry.reply.status) == (ERASE_USER, user, 204)


def check_walk(walk: Walk, order: Sequence[Step]) -> None:
    """Raise MismatchError if a walk breaks a promise.

    It holds each session at most once, newest activity first, each as it was at some moment of its page. It holds all
    sessions that existed and were not active during the walk. An end user meets its own sessions alone.
    """
    if is_forbidden(walk.pages[0].request):
        check(FORBIDDEN, walk.pages[0].reply)
        return
    states = periods(order)
    listed: list[Json] = []
    for page in walk.pages:
        if page.reply.status != 200:
            raise MismatchError(f"a page of a walk is {page.reply.status}: {page}")
        if len(page.reply.json["sessions"]) > int(page.request.query["limit"]):
            raise MismatchError(f"more than a page's limit: {page}")
        for each in page.reply.json["sessions"]:
            _check_listed(each, page, during(states[each["id"]], page.began, page.ended))
            listed.append(each)
    if walk.pages[-1].reply.json["page"]["cursor"] is not None:
        raise MismatchError("the walk did not end")
    ids = [each["id"] for each in listed]
    if len(ids) != len(set(ids)):
        raise MismatchError(f"a walk holds a session twice: {ids}")
    times = [each["last_active"] for each in listed]
    if times != sorted(times, reverse=True):
        raise MismatchError(f"a walk does not have the newest activity first: {list(zip(ids, times, strict=True))}")
    for id, session in states.items():
        if id not in ids and _is_quiet(during(session, walk.pages[0].began, walk.pages[-1].ended), walk):
            raise MismatchError(f"{id} was there and not active, and is missing in a walk: {ids}")


def during(states: list[Period[State]], began: float, ended: float) -> list[State | None]:
    """Return the states of which one may have been read between two moments."""
    return [each.state for each in states if each.began <= ended and each.ended >= began]


def _is_quiet(states: list[Session | None], walk: Walk) -> bool:
    """Return whether a session existed and was not active, and whether the walk asked for its user."""
    asked = _asked(walk.pages[0])
    there = [state for state in states if state is not None and asked in (None, state.user_id)]
    return len(there) == len(states) and len({(state.created_at, state.last_active) for state in there}) == 1


def _check_listed(each: Json, page: Entry, states: list[Session | None]) -> None:
    if not any(state is not None and each == _listed(state, "preview" in page.request.query) for state in states):
        raise MismatchError(f"no state of this session was as listed: {each}\n  {page}\n  possible: {states}")
    asked = _asked(page)
    if asked is not None and each.get("user_id") != asked:
        raise MismatchError(f"a session of another user is listed: {each}")


def _asked(page: Entry) -> str | None:
    """Return the user whose sessions a page has, or None for those of all users."""
    named: str | None = page.request.query.get("user_id")
    return named or page.request.user


def _listed(session: Session, preview: bool) -> Json:
    """Return a session as a list shows it. `preview` is absent if the session has no turn."""
    shown = pages.session_json(session)
    if preview and session.turns:
        last = session.turns[-1]
        shown["preview"] = {
            "seq": last.seq,
            "user_message": last.user_message[:PREVIEW_CHARS],
            "robot_response": last.robot_response[:PREVIEW_CHARS],
        }
    return shown
