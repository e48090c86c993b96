"""The contract of users as a model: what each request answers in a state, and the state after it.

A user is unknown from the first step of its erasure on, and so are its sessions. FINISHED is the last step.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from tests.model import pages
from tests.model.answer import NO_USER, USER_BEING_ERASED, Expected, MismatchError
from tests.model.keys import remembered
from tests.model.merge_patch import merge_patch
from tests.model.request import (
    ERASE_USER,
    EXPORT,
    GET_USER,
    LIST_USERS,
    PATCH_USER,
    POST_USER,
    PUT_USER,
    Request,
)
from tests.model.store import Json, Remembered, Session, Store, User
from tests.model.times import time_in
from tests.support.bundle import Reply

# Not a request, but what the answer to ERASE_USER says: the erasure has ended.
FINISHED = "the end of DELETE /users/{user_id}"
_TAG = re.compile(r'"([0-9a-f]{1,13})"')


def user_json(user: User) -> Json:
    """Return a user as answers show it."""
    email = {"email": user.document["email"]} if "email" in user.document else {}
    times = {"created_at": user.created_at, "updated_at": user.updated_at}
    return {"id": user.id, **email, **times, "profile": user.document["profile"]}


def counts(sessions: Iterable[Session]) -> Json:
    """Return the body of a dry run."""
    found = list(sessions)
    turns = [turn for session in found for turn in session.turns]
    interactions = sum(turn.interaction is not None for turn in turns)
    return {"sessions": len(found), "messages": len(turns), "interactions": interactions}


def exported(session: Session) -> tuple[Json, list[Json]]:
    """Return a session and its turns as an export has them."""
    turns = [
        {
            **pages.turn_json(turn),
            "session_id": session.id,
            **({} if turn.interaction is None else {"interaction": turn.interaction}),
        }
        for turn in session.turns
    ]
    return pages.session_json(session), turns


def export_json(user: User | None, sessions: Mapping[str, Session]) -> Json:
    """Return the only page of an export."""
    parts = [exported(sessions[id]) for id in sorted(sessions, key=lambda id: id.encode())]
    return {
        "user": None if user is None else user_json(user),
        "sessions": [session for session, _ in parts],
        "turns": [turn for _, turns in parts for turn in turns],
        "page": {"cursor": None},
    }


def _create(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    fingerprint = json.dumps(["user", request.body])
    key = None if request.key is None else (request.user, request.key)
    if key is not None and key in store.keys:
        return remembered(store.keys[key], fingerprint), store
    document = _document(request.body)
    if _is_taken(store, None, document):
        return Expected(422, error="email_taken"), store
    if reply.status != 201:
        return Expected(201), store
    id = reply.json["id"]
    if not re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", id):
        raise MismatchError(f"the id {id} is no random UUID")
    if id in store.users or id in store.erasing:
        raise MismatchError(f"the id {id} is another user's")
    user = _versioned(None, id, document, reply)
    store = store.keeping_user(user)
    if key is not None:
        store = store.remembering(key, Remembered("", fingerprint, user_json(user), id))
    return Expected(201, user.tag, user_json(user)), store


def _save(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    if request.user_id in store.erasing:
        return USER_BEING_ERASED, store
    user = store.users.get(request.user_id)
    if user is None and request.route == PATCH_USER:
        return NO_USER, store
    if request.if_match is not None and (user is None or request.if_match != user.tag):
        return Expected(412, user.tag if user else None), store
    was = {} if user is None else user.document
    if request.route == PATCH_USER:
        document = _document(merge_patch(was, request.body))
    else:
        kept = {"password_hash": was["password_hash"]} if "password_hash" in was else {}
        document = _document({**kept, **request.body})
    if _is_taken(store, request.user_id, document):
        return Expected(422, error="email_taken"), store
    status = 201 if user is None else 200
    if reply.status != status:
        return Expected(status), store
    new = _versioned(user, request.user_id, document, reply)
    return Expected(status, new.tag, user_json(new)), store.keeping_user(new)


def _read(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    user = store.users.get(request.user_id)
    if user is None:
        return NO_USER, store
    known = request.if_none_match or ""
    if known == "*" or user.tag in known:
        return Expected(304, user.tag), store
    return Expected(200, user.tag, user_json(user)), store


def _erase(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    id = request.user_id
    if "dry_run" in request.query:
        return _count(store, id, reply), store
    # Repeated until it is done.
    done = Expected(202, retry_after=True) if reply.status == 202 else Expected(204)
    if id in store.erasing:
        return done, store
    user = store.users.get(id)
    if user is None and not store.of_user(id):
        return NO_USER, store
    if request.if_match is not None and (user is None or request.if_match != user.tag):
        return Expected(412, user.tag if user else None), store
    return done, store.marking(id)


def _finished(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    return Expected(204), store.finishing(request.user_id) if request.user_id in store.erasing else store


def _count(store: Store, id: str, reply: Reply) -> Expected:
    if id in store.erasing:
        most, said = counts(store.erasing[id].values()), reply.json
        if reply.status == 200 and any(said.get(name, most[name] + 1) > most[name] for name in most):
            raise MismatchError(f"more is left than there was: {said}, {most}")
        return Expected(200, body=said)
    sessions = store.of_user(id)
    return NO_USER if id not in store.users and not sessions else Expected(200, body=counts(sessions.values()))


def _list(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    if "email" in request.query:
        found = [user for user in store.users.values() if _key(user.document) == request.query["email"].casefold()]
        return Expected(200, body={"users": [user_json(user) for user in found], "page": {"cursor": None}}), store
    newest = sorted(store.users.values(), key=_place, reverse=True)
    left = [user for user in newest if request.position is None or _place(user) < request.position]
    limit = request.query.get("limit", 20)
    cursor = (reply.json["page"]["cursor"] or "a cursor") if len(left) > limit and reply.status == 200 else None
    return Expected(200, body={"users": [user_json(user) for user in left[:limit]], "page": {"cursor": cursor}}), store


def _export(store: Store, request: Request, reply: Reply) -> tuple[Expected, Store]:
    user, sessions = store.users.get(request.user_id), store.of_user(request.user_id)
    if user is None and not sessions:
        return NO_USER, store
    return Expected(200, body=export_json(user, sessions)), store


def _place(user: User) -> tuple[str, str]:
    return user.created_at, user.id


def _document(body: Json) -> Json:
    """Return what a body says of a user, with its profile."""
    return {"profile": {}, **body}


def _key(document: Json) -> str | None:
    """Return what the spellings of an e-mail have in common. The tests have e-mails that need no Unicode NFKC."""
    return document["email"].casefold() if "email" in document else None


def _is_taken(store: Store, id: str | None, document: Json) -> bool:
    others = [_key(user.document) for user in store.users.values() if user.id != id]
    return _key(document) is not None and _key(document) in others


def _versioned(before: User | None, id: str, document: Json, reply: Reply) -> User:
    """Return the user with the version and the times in the real answer.

    Both grow with each change, and stay otherwise. The version of a new user is any number.
    """
    found = _TAG.fullmatch(reply.headers.get("etag", ""))
    if found is None:
        raise MismatchError(f"no tag of a user: {reply.headers.get('etag')}")
    said = reply.json
    if before is None:
        at = time_in(said["created_at"])
        return User(id, found[1], at, at, document)
    changed = document != before.document
    grown = int(found[1], 16) - int(before.version, 16)
    if grown < 0 or (grown > 0) != changed:
        raise MismatchError(f"version {found[1]} after {before.version}, changed: {changed}")
    at = time_in(said["updated_at"], before.updated_at) if changed else before.updated_at
    return replace(before, version=found[1], updated_at=at, document=document)


ROUTES: dict[str, Callable[[Store, Request, Reply], tuple[Expected, Store]]] = {
    POST_USER: _create,
    PUT_USER: _save,
    PATCH_USER: _save,
    GET_USER: _read,
    ERASE_USER: _erase,
    FINISHED: _finished,
    LIST_USERS: _list,
    EXPORT: _export,
}
