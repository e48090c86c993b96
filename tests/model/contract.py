"""The HTTP contract as a model: what each request answers in a state, and the state after it.

`expected` takes the ids, times and versions that a client cannot foresee from the real answer, and checks that a
server may have chosen them. It knows no SQL and no Python of the product.

An end user meets sessions of its own alone. The others are unknown to it, but it cannot make a session under their ids.
The routes of users are in `users`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from tests.model import pages, users
from tests.model.answer import (
    FORBIDDEN,
    FOREIGN,
    NO_SESSION,
    NO_TURN,
    SESSION_BEING_ERASED,
    USER_BEING_ERASED,
    Expected,
    MismatchError,
    fits,
    same,
)
from tests.model.bodies import sent_interaction, sent_turns
from tests.model.forbidden import is_forbidden
from tests.model.keys import remembered
from tests.model.merge_patch import merge_patch
from tests.model.request import ERASE, GET, PATCH, POST, PUT, REMOVE, STATS, Request
from tests.model.store import Json, Remembered, Session, Store, Turn
from tests.model.tags import matches, precondition_failed, versioned
from tests.model.times import time_in
from tests.support.bundle import Reply


def expected(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    """Return the model's answer to a request in this state, and the state after it.

    Raises MismatchError if the real answer has a new id, time or version that contradicts the state.
    """
    if is_forbidden(request):
        return FORBIDDEN, store
    if request.route in users.ROUTES:
        return users.ROUTES[request.route](store, request, reply)
    if request.route == PATCH and request.body.get("user_id") in store.erasing:
        return USER_BEING_ERASED, store
    owner = store.user_erased_with(request.session_id)
    if owner is not None and (request.user, request.key) not in store.keys:
        marked, store = _gone_or_marked(store, owner, request, reply)
        if marked is not None:
            return marked, store
    return _ROUTES[request.route](store, request, reply)


def _gone_or_marked(store: Store, owner: str, request: Request, reply: Reply) -> tuple[Expected | None, Store]:
    """Return the answer for a session that is being erased with its user, and the state after it.

    Returns no answer if the real one shows that the session is already gone.
    """
    is_visible = request.user in (None, owner)
    marked = NO_SESSION
    if request.route in (POST, PATCH):
        marked = SESSION_BEING_ERASED if is_visible else FOREIGN
    elif request.route == ERASE and is_visible:
        marked = Expected(204)
    if not fits(marked, reply):
        return None, store.erased_with(owner, request.session_id)
    return marked, store.erased_with(owner, request.session_id) if marked.status == 204 else store


def _post(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    fingerprint = json.dumps([request.session_id, sent_turns(request.body), request.body.get("user_metadata")])
    # The keys of an end user are its own.
    key = None if request.key is None else (request.user, request.key)
    if key is not None and key in store.keys:
        return remembered(store.keys[key], fingerprint), store
    session = store.visible(request.session_id, request.user)
    if session is None and request.session_id in store.sessions:
        return FOREIGN, store
    if session is None and request.user in store.erasing:
        return USER_BEING_ERASED, store
    if not matches(request.if_match, session):
        return precondition_failed(session), store
    if reply.status != 201:
        return Expected(201), store
    sent = sent_turns(request.body)
    said = [(message["id"], message["created_at"]) for message in reply.json["messages"]]
    if len(said) != len(sent) or len({at for _, at in said}) != 1 or len({id for id, _ in said}) != len(said):
        raise MismatchError("one id and the same time for each turn sent")
    at = time_in(said[0][1], not_before=session.last_active if session else None)
    before = session or Session(request.session_id, "", created_at=at, last_active=at, user_id=request.user)
    turns = tuple(
        Turn(id=id, seq=before.last_seq + number, created_at=at, **turn)
        for number, ((id, _), turn) in enumerate(zip(said, sent, strict=True), 1)
    )
    metadata = merge_patch(before.user_metadata, request.body.get("user_metadata", {}))
    after = replace(
        before,
        last_seq=before.last_seq + len(turns),
        last_active=at,
        turns=before.turns + turns,
        user_metadata=metadata,
    )
    # A patch that changes no member may or may not make another version.
    free = metadata == before.user_metadata and "user_metadata" in request.body
    after = versioned(session, after, reply, changed=metadata != before.user_metadata, free=free)
    body: Json = {
        "session_id": after.id,
        "message_count": len(after.turns),
        "last_seq": after.last_seq,
        "messages": [{"id": turn.id, "seq": turn.seq, "created_at": at} for turn in turns],
    }
    opens = before.last_seq == 0 or before.last_active[:10] < at[:10]
    store = store.keeping(after).counting(at[:10], int(opens), len(turns))
    if key is not None:
        store = store.remembering(key, Remembered(after.id, fingerprint, body))
    return Expected(201, after.tag, body), store


def _put(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None:
        return NO_SESSION, store
    turn = session.turn(request.seq)
    if turn is None:
        return NO_TURN, store
    if not matches(request.if_match, session):
        return precondition_failed(session), store
    sent = request.body
    interaction = sent_interaction(sent, turn.robot_personality) or turn.interaction
    if turn.interaction is not None and interaction != turn.interaction:
        return Expected(422, error="interaction_differs"), store
    after = replace(
        turn,
        user_message=sent["user_message"],
        robot_response=sent["robot_response"],
        items=sent.get("items"),
        metadata=sent.get("metadata", {}),
        interaction=interaction,
    )
    changed = after != turn
    if changed and reply.status == 200:
        after = replace(after, updated_at=time_in(reply.json["updated_at"]))
    turns = tuple(after if each.seq == turn.seq else each for each in session.turns)
    new = versioned(session, replace(session, turns=turns), reply, changed)
    body: Json = {"session_id": session.id, "seq": turn.seq, "updated_at": after.updated_at}
    return Expected(200, new.tag, body), store.keeping(new)


def _remove(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None:
        return NO_SESSION, store
    if not matches(request.if_match, session):
        return precondition_failed(session), store
    turns = tuple(turn for turn in session.turns if turn.seq <= request.query["after"])
    removed = len(session.turns) - len(turns)
    new = versioned(session, replace(session, turns=turns), reply, changed=removed > 0)
    body: Json = {
        "session_id": session.id,
        "removed": removed,
        "message_count": len(turns),
        "last_seq": session.last_seq,
    }
    return Expected(200, new.tag, body), store.keeping(new)


def _erase(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None:
        return NO_SESSION, store
    if not matches(request.if_match, session):
        return precondition_failed(session), store
    return Expected(204), store.without(session.id)


def _patch(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None and request.session_id in store.sessions:
        return FOREIGN, store
    if not matches(request.if_match, session):
        return precondition_failed(session), store
    if session is None and request.user in store.erasing:
        return USER_BEING_ERASED, store
    if reply.status != 200:
        return Expected(200), store
    at = session.created_at if session else time_in(reply.json["session"]["created_at"])
    before = session or Session(request.session_id, "", created_at=at, last_active=at, user_id=request.user)
    after = replace(
        before,
        user_metadata=merge_patch(before.user_metadata, request.body.get("user_metadata", {})),
        user_id=request.body.get("user_id", before.user_id),
    )
    new = versioned(session, after, reply, changed=after != before)
    return Expected(200, new.tag, {"session": pages.session_json(new)}), store.keeping(new)


def _get(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None:
        return NO_SESSION, store
    known = request.if_none_match or ""
    if known == "*" or session.tag in known:
        return Expected(304, session.tag), store
    return Expected(200, session.tag, pages.page_json(session, **request.query)), store


def _stats(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    if "session_id" in request.query:
        session = store.visible(request.query["session_id"], request.user)
        return (Expected(200, body=pages.session_figures(session)) if session else NO_SESSION), store
    body: Json = reply.json
    if store.erasing:
        # The steps of an erasure change the figures one after the other.
        return Expected(200, body=body), store
    figures = pages.figures(store)
    said = {name: body.get(name) for name in figures}
    said["daily"] = [day for day in body.get("daily", []) if day["sessions"] or day["messages"]]
    same("figures", said, figures)
    # `top_sessions` is as old as `as_of` says.
    return Expected(200, body=body), store


_ROUTES: dict[str, Callable[[Store, Request, Reply], tuple[Expected, Store]]] = {
    POST: _post,
    PUT: _put,
    REMOVE: _remove,
    ERASE: _erase,
    PATCH: _patch,
    GET: _get,
    STATS: _stats,
}
