"""Errors as answers: the one table from what went wrong to HTTP, and problem+json (RFC 9457)."""

from __future__ import annotations

import json
from typing import Any

from robot_brain.errors import (
    ConflictError,
    DatabaseAwayError,
    DatabaseOverloadedError,
    DatabaseReadOnlyError,
    DatabaseRefusedError,
    DatabaseWakingError,
    DeadlineExceededError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    MalformedRequestError,
    PreconditionFailedError,
    RequestError,
    RequestTooLargeError,
    RobotBrainError,
    SchemaOutdatedError,
    SessionNotFoundError,
    SettingsError,
    UnexpectedDatabaseError,
    UnexpectedEventError,
    UnsupportedMediaTypeError,
)

CONTENT_TYPE = "application/problem+json"

_STATUS: dict[type[RobotBrainError], int] = {
    MalformedRequestError: 400,
    SessionNotFoundError: 404,
    ConflictError: 409,
    PreconditionFailedError: 412,
    RequestTooLargeError: 413,
    UnsupportedMediaTypeError: 415,
    IdempotencyKeyReusedError: 422,
    InvalidRequestError: 422,
    DatabaseWakingError: 503,
    DatabaseOverloadedError: 503,
    DatabaseAwayError: 503,
    DatabaseReadOnlyError: 503,
    DatabaseRefusedError: 503,
    SchemaOutdatedError: 503,
    DeadlineExceededError: 504,
}
# Seconds. Neon wakes in a few hundred milliseconds, and a conflict is over in less; connections are given back when
# requests end, which take up to ten; a server that is away is started anew.
_RETRY_AFTER: dict[type[RobotBrainError], int] = {
    ConflictError: 1,
    DatabaseWakingError: 1,
    DatabaseOverloadedError: 5,
    DatabaseAwayError: 5,
    DatabaseReadOnlyError: 5,
}


def status_of(error: Exception) -> int:
    """Return the HTTP status of an error; 500 for what the table does not hold."""
    return _STATUS.get(type(error), 500)  # type: ignore[arg-type]  # other exceptions are simply not in it


def problem(error: Exception, request_id: str) -> tuple[int, dict[str, str], str]:
    """Return status, headers and body of the answer to an error; what an outsider should not read is left out."""
    status = status_of(error)
    if status == 500:
        detail = UnexpectedDatabaseError.summary()
        if isinstance(error, SettingsError | UnexpectedEventError):
            detail = error.summary()
    else:
        # What a RequestError says is for the client; of the others it reads the kind, and the log has the rest.
        detail = str(error) if isinstance(error, RequestError) else type(error).summary()  # type: ignore[attr-defined]
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": error.title if isinstance(error, RobotBrainError) else "Internal error",
        "status": status,
        "detail": detail,
        "request_id": request_id,
    }
    # A cache may keep 404, 410 and 413 unless the answer forbids it (RFC 9111), and the next answer may differ.
    headers = {"content-type": CONTENT_TYPE, "cache-control": "no-store"}
    if isinstance(error, RequestError):
        document |= {name: fact for name, fact in error.facts.items() if name != "etag"}
        if error.facts.get("etag"):
            headers["etag"] = str(error.facts["etag"])
    if isinstance(error, InvalidRequestError):
        document["errors"] = error.errors
    if type(error) in _RETRY_AFTER:
        headers["retry-after"] = str(_RETRY_AFTER[type(error)])  # type: ignore[index]  # it is in it
    return status, headers, json.dumps(document)
