"""An answer of the model, and its comparison with a real one."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.store import Json
from tests.support.bundle import Reply


class MismatchError(AssertionError):
    """A real answer is not the model's."""


@dataclass(frozen=True)
class Expected:
    """An answer of the model. `tag` is the ETag, and None without that header. An empty `body` is `None`.

    `error` is the `type` of the only error of a 422 document.
    """

    status: int
    tag: str | None = None
    body: Json | None = None
    replayed: bool = False
    retry_after: bool = False
    error: str | None = None


NO_SESSION = Expected(404, body={"title": "Session not found", "detail": "This session does not exist."})
NO_TURN = Expected(404, body={"title": "Turn not found"})
# The answer to a POST or PATCH that creates no session, because another caller's session has the id.
FOREIGN = Expected(404, body={"title": "Session not found"})
NO_USER = Expected(404, body={"title": "User not found"})
SESSION_BEING_ERASED = Expected(409, body={"title": "Session being erased"}, retry_after=True)
USER_BEING_ERASED = Expected(409, body={"title": "User being erased"}, retry_after=True)
FORBIDDEN = Expected(403, body={"title": "Forbidden"})


def check(answer: Expected, reply: Reply) -> None:
    """Raise MismatchError if the real answer differs from the model's in status, headers or body."""
    if reply.status != answer.status:
        raise MismatchError(f"status {reply.status} instead of {answer.status}: {reply.body}")
    same("ETag", reply.headers.get("etag"), answer.tag)
    same("Idempotent-Replayed", reply.headers.get("idempotent-replayed"), "true" if answer.replayed else None)
    same("Retry-After", "retry-after" in reply.headers, answer.retry_after)
    if answer.status >= 400:
        _check_problem(answer, reply.json)
    else:
        same("body", reply.json if reply.body else None, answer.body)


def fits(answer: Expected, reply: Reply) -> bool:
    """Return whether the real answer is the model's."""
    try:
        check(answer, reply)
    except MismatchError:
        return False
    return True


def _check_problem(answer: Expected, document: Json) -> None:
    same("status in the document", document["status"], answer.status)
    for name, value in (answer.body or {}).items():
        same(name, document.get(name), value)
    if answer.error is not None:
        same("errors", [error["type"] for error in document.get("errors", [])], [answer.error])


def same(what: str, found: object, wanted: object) -> None:
    """Raise MismatchError with both values if they differ."""
    if found != wanted:
        raise MismatchError(f"{what}: {found!r}\n  instead of {wanted!r}")
