"""Checks of walks through GET /sessions while others write: what the contract promises of a list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.model import pages
from tests.model.contract import MismatchError
from tests.model.history import Entry, Step
from tests.model.store import Json, Session, Store

PREVIEW_CHARS = 200


@dataclass(frozen=True)
class Walk:
    """The pages of one walk, from the newest session to the end."""

    pages: Sequence[Entry]


def check_walk(walk: Walk, order: Sequence[Step], start: Store | None = None) -> None:
    """Raise MismatchError if a walk breaks a promise.

    It holds each session at most once, newest activity first, each as it was at some moment of its page. It holds all
    sessions that existed and were not active during the walk.
    """
    listed: list[Json] = []
    for page in walk.pages:
        if page.reply.status != 200:
            raise MismatchError(f"a page of a walk is {page.reply.status}: {page}")
        if len(page.reply.json["sessions"]) > int(page.request.query["limit"]):
            raise MismatchError(f"more than a page's limit: {page}")
        possible = _stores(order, page.began, page.ended, start)
        for each in page.reply.json["sessions"]:
            _check_listed(each, page, possible)
            listed.append(each)
    if walk.pages[-1].reply.json["page"]["cursor"] is not None:
        raise MismatchError("the walk did not end")
    _check_whole(walk, listed, _stores(order, walk.pages[0].began, walk.pages[-1].ended, start))


def _check_whole(walk: Walk, listed: list[Json], during: list[Store]) -> None:
    ids = [each["id"] for each in listed]
    if len(ids) != len(set(ids)):
        raise MismatchError(f"a walk holds a session twice: {ids}")
    times = [each["last_active"] for each in listed]
    if times != sorted(times, reverse=True):
        raise MismatchError(f"a walk does not have the newest activity first: {list(zip(ids, times, strict=True))}")
    filtered = walk.pages[0].request.query.get("user_id")
    for id, session in during[0].sessions.items():
        states = [store.sessions.get(id) for store in during]
        quiet = all(
            state is not None
            and (state.created_at, state.last_active) == (session.created_at, session.last_active)
            and filtered in (None, state.user_id)
            for state in states
        )
        if quiet and id not in ids:
            raise MismatchError(f"{id} was there and not active, and is missing in a walk: {ids}")


def _check_listed(each: Json, page: Entry, possible: list[Store]) -> None:
    states = [store.sessions[each["id"]] for store in possible if each["id"] in store.sessions]
    if not any(each == _listed(state, "preview" in page.request.query) for state in states):
        raise MismatchError(f"no state of this session was as listed: {each}\n  {page}\n  possible: {states}")
    filtered = page.request.query.get("user_id")
    if filtered is not None and each.get("user_id") != filtered:
        raise MismatchError(f"a session of another user is listed: {each}")


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


def _stores(order: Sequence[Step], began: float, ended: float, start: Store | None) -> list[Store]:
    """Return the states that were possible at some moment from `began` to `ended`, at least one."""
    first = max((place for place, step in enumerate(order) if step.entry.ended < began), default=-1)
    last = min((place for place, step in enumerate(order) if step.entry.began > ended), default=len(order))
    before = order[first].after if first >= 0 else start or Store()
    return [before, *(step.after for step in order[first + 1 : last])]
