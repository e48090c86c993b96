"""The entity tags of sessions."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.model.answer import Expected, MismatchError
from tests.model.store import Session
from tests.support.bundle import Reply

_TAG = re.compile(r'"(\d+)\.([0-9a-f]{1,13})"')


def matches(if_match: str | None, session: Session | None) -> bool:
    """Return whether If-Match names the state of the session."""
    if if_match is None:
        return True
    if session is None:
        return if_match == '"0"'
    return if_match in (session.tag, f'"{session.last_seq}"')


def precondition_failed(session: Session | None) -> Expected:
    """Return the answer to a request whose If-Match names another state."""
    return Expected(412, session.tag if session else None, {"last_seq": session.last_seq if session else 0})


def versioned(before: Session | None, after: Session, reply: Reply, changed: bool, free: bool = False) -> Session:
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
