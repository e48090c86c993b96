"""The HTTP contract as a model: what each request answers in a state, and the state after it.

`expected` takes the ids, times and versions that a client cannot foresee from the real answer, and checks that a
server may have chosen them. It knows no SQL and no Python of the product.

An end user meets sessions of its own alone. The others are unknown to it, but it cannot make a session under their ids.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace

from tests.model import pages
from tests.model.answer import FORBIDDEN, FOREIGN, NO_SESSION, NO_TURN, Expected, MismatchError, same
from tests.model.bodies import sent_interaction, sent_turns
from tests.model.merge_patch import merge_patch
from tests.model.request import ERASE, GET, LIST, PATCH, POST, PUT, REMOVE, STATS, Request
from tests.model.store import Json, Remembered, Session, Store, Turn
from tests.support.bundle import Reply

_TAG = re.compile(r'"(\d+)\.([0-9a-f]{1,13})"')
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def expected(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    """Return the model's answer to a request in this state, and the state after it.

    Raises MismatchError if the real answer has a new id, time or version that contradicts the state.
    """
    if is_forbidden(request):
        return FORBIDDEN, store
    answered, after = _ROUTES[request.route](store, request, reply)
    return answered, after


def is_forbidden(request: Request) -> bool:
    """Return whether an end user asks for what only a service may have, in any state."""
    if request.user is None:
        return False
    if request.route == LIST:
        return "user_id" in request.query and request.query["user_id"] != request.user
    if request.route == STATS:
        return "session_id" not in request.query
    return request.route == PATCH and "user_id" in request.body


def _post(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    fingerprint = json.dumps([request.session_id, sent_turns(request.body), request.body.get("user_metadata")])
    # The keys of an end user are its own.
    key = None if request.key is None else (request.user, request.key)
    if key is not None and key in store.keys:
        return _remembered(store.keys[key], fingerprint), store
    session = store.visible(request.session_id, request.user)
    if session is None and request.session_id in store.sessions:
        return FOREIGN, store
    if not _matches(request.if_match, session):
        return _precondition_failed(session), store
    if reply.status != 201:
        return Expected(201), store
    sent = sent_turns(request.body)
    said = [(message["id"], message["created_at"]) for message in reply.json["messages"]]
    if len(said) != len(sent) or len({at for _, at in said}) != 1 or len({id for id, _ in said}) != len(said):
        raise MismatchError("one id and the same time for each turn sent")
    at = _time(said[0][1], not_before=session.last_active if session else None)
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
    after = _versioned(session, after, reply, changed=metadata != before.user_metadata, free=free)
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


def _remembered(known: Remembered, fingerprint: str) -> Expected:
    if known.answer is None:
        return Expected(410)
    if known.fingerprint == fingerprint:
        return Expected(201, body=known.answer, replayed=True)
    first = {"session_id": known.session_id, "seq": known.answer["messages"][0]["seq"]}
    return Expected(422, body=first)


def _put(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None:
        return NO_SESSION, store
    turn = session.turn(request.seq)
    if turn is None:
        return NO_TURN, store
    if not _matches(request.if_match, session):
        return _precondition_failed(session), store
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
        after = replace(after, updated_at=_time(reply.json["updated_at"]))
    turns = tuple(after if each.seq == turn.seq else each for each in session.turns)
    new = _versioned(session, replace(session, turns=turns), reply, changed)
    body: Json = {"session_id": session.id, "seq": turn.seq, "updated_at": after.updated_at}
    return Expected(200, new.tag, body), store.keeping(new)


def _remove(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None:
        return NO_SESSION, store
    if not _matches(request.if_match, session):
        return _precondition_failed(session), store
    turns = tuple(turn for turn in session.turns if turn.seq <= request.query["after"])
    removed = len(session.turns) - len(turns)
    new = _versioned(session, replace(session, turns=turns), reply, changed=removed > 0)
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
    if not _matches(request.if_match, session):
        return _precondition_failed(session), store
    return Expected(204), store.without(session.id)


def _patch(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    session = store.visible(request.session_id, request.user)
    if session is None and request.session_id in store.sessions:
        return FOREIGN, store
    if not _matches(request.if_match, session):
        return _precondition_failed(session), store
    if reply.status != 200:
        return Expected(200), store
    at = session.created_at if session else _time(reply.json["session"]["created_at"])
    before = session or Session(request.session_id, "", created_at=at, last_active=at, user_id=request.user)
    after = replace(
        before,
        user_metadata=merge_patch(before.user_metadata, request.body.get("user_metadata", {})),
        user_id=request.body.get("user_id", before.user_id),
    )
    new = _versioned(session, after, reply, changed=after != before)
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
    figures = pages.figures(store)
    said = {name: body.get(name) for name in figures}
    said["daily"] = [day for day in body.get("daily", []) if day["sessions"] or day["messages"]]
    same("figures", said, figures)
    # `top_sessions` is as old as `as_of` says.
    return Expected(200, body=body), store


def _matches(if_match: str | None, session: Session | None) -> bool:
    if if_match is None:
        return True
    if session is None:
        return if_match == '"0"'
    return if_match in (session.tag, f'"{session.last_seq}"')


def _precondition_failed(session: Session | None) -> Expected:
    return Expected(412, session.tag if session else None, {"last_seq": session.last_seq if session else 0})


def _versioned(before: Session | None, after: Session, reply: Reply, changed: bool, free: bool = False) -> Session:
    """Return `after` with the version in the real answer.

    It grows with each change but an append, so the tags order the changes of a session. Otherwise it stays. A `free`
    one may stay or grow. That of a new session is any number.
    """
    found = _TAG.fullmatch(reply.headers.get("etag", ""))
    if found is None:
        raise MismatchError(f"no tag of a state: {reply.headers.get('etag')}")
    if before is not None:
        grown = int(found[2], 16) - int(before.version, 16)
        if grown < 0 or (not free and (grown > 0) != changed):
            did = "did" if changed else "did not"
            raise MismatchError(f"version {found[2]} after {before.version}, and the session {did} change")
    return replace(after, version=found[2])


def _time(text: object, not_before: str | None = None) -> str:
    if not isinstance(text, str) or not _TIME.fullmatch(text) or (not_before is not None and text < not_before):
        raise MismatchError(f"the time {text}, which is not before {not_before}")
    return text


_ROUTES: dict[str, Callable[[Store, Request, Reply], tuple[Expected, Store]]] = {
    POST: _post,
    PUT: _put,
    REMOVE: _remove,
    ERASE: _erase,
    PATCH: _patch,
    GET: _get,
    STATS: _stats,
}
