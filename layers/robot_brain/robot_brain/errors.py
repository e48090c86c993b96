"""What can go wrong, by what the caller can do about it, with the status of the answer. No SQL here.

RobotBrainError
├── SettingsError                  the deployment is configured wrongly
├── UnexpectedEventError           the event is no request of an HTTP API, or of another route
├── RequestError                   the caller must change the request
│   ├── MalformedRequestError      it cannot be read: JSON, encoding, a header's syntax
│   ├── InvalidRequestError        it can be read and breaks a rule; `errors` says where
│   ├── UnsupportedMediaTypeError
│   ├── RequestTooLargeError
│   ├── SessionNotFoundError
│   ├── PreconditionFailedError    the session is not where If-Match expects it
│   └── IdempotencyKeyReusedError
└── DatabaseError                  the request was fine
    ├── ConflictError              another request was in the way; a retry may succeed
    ├── DatabaseUnavailableError   a retry later may succeed
    │   ├── DatabaseWakingError      it is there and lets us wait
    │   ├── DatabaseOverloadedError  it has no connection to spare
    │   ├── DatabaseAwayError        it cannot be reached, or left in the middle
    │   └── DatabaseReadOnlyError    it takes no writes, as in the middle of a failover
    ├── DatabaseRefusedError       waiting will not mend it: password, certificate, quota
    ├── SchemaOutdatedError        the functions are newer than the schema
    ├── DeadlineExceededError        time ran out, or an attempt of a write went unanswered and may be done
    └── UnexpectedDatabaseError    an answer of the database that nobody foresaw

Retry-After: Neon wakes in a few hundred milliseconds, and a conflict is over in less; connections are given back when
requests end, which take up to ten seconds; a server that is away is started anew.

The first line of a docstring is what the client reads, unless a RequestError is given a better one; what the others are
given is for the operator, in the log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypedDict

from robot_brain.limits import MAX_LOC_LENGTH, MAX_NAMED_ERRORS


class Violation(TypedDict):
    """One broken rule: where (`["body", "messages", 0, "user_message"]`), in words, and as a stable type."""

    loc: list[str | int]
    msg: str
    type: str


class RobotBrainError(Exception):
    """Something went wrong."""

    title: ClassVar[str] = "Error"
    # Of the HTTP answer.
    status: ClassVar[int] = 500
    # Seconds, if a retry may help.
    retry_after: ClassVar[int | None] = None

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.summary())

    @classmethod
    def summary(cls) -> str:
        """Return what anybody may read of such an error: the first line of its docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]


class SettingsError(RobotBrainError):
    """The service is not configured correctly. Its operator finds the reason in the log."""

    title = "Misconfigured"


class UnexpectedEventError(RobotBrainError):
    """This function serves its own routes, in payload format 2.0. Its operator finds the reason in the log."""

    title = "Unexpected event"


class RequestError(RobotBrainError):
    """The request cannot be served as it is."""

    def __init__(self, detail: str | None = None, facts: Mapping[str, object] | None = None) -> None:
        """Keep `facts`, members that the answer has beside the usual ones; `etag` becomes its header."""
        super().__init__(detail)
        self.facts = dict(facts or {})


class MalformedRequestError(RequestError):
    """The request cannot be read."""

    title = "Malformed request"
    status = 400


class InvalidRequestError(RequestError):
    """The request breaks a rule; see errors."""

    title = "Invalid request"
    status = 422

    def __init__(self, errors: list[Violation]) -> None:
        super().__init__()
        # An answer stays short, however many mistakes there are and however long the names are that the client made up.
        self.errors: list[Violation] = [
            {**error, "loc": [part if isinstance(part, int) else part[:MAX_LOC_LENGTH] for part in error["loc"]]}
            for error in errors[:MAX_NAMED_ERRORS]
        ]

    @classmethod
    def at(cls, loc: list[str | int], msg: str, kind: str) -> InvalidRequestError:
        """Return the error for a single broken rule."""
        return cls([{"loc": loc, "msg": msg, "type": kind}])


class UnsupportedMediaTypeError(RequestError):
    """Send the body with Content-Type: application/json."""

    title = "Unsupported media type"
    status = 415


class RequestTooLargeError(RequestError):
    """The request is larger than 4 MiB. Send fewer turns at a time."""

    title = "Request too large"
    status = 413


class SessionNotFoundError(RequestError):
    """No turn was ever written to this session."""

    title = "Session not found"
    status = 404


class PreconditionFailedError(RequestError):
    """The session is not in the state that If-Match names. Read the session again and decide anew."""

    title = "Precondition failed"
    status = 412


class IdempotencyKeyReusedError(RequestError):
    """This Idempotency-Key was used for another request. Use a new key for a new request."""

    title = "Idempotency key reused"
    status = 422


class DatabaseError(RobotBrainError):
    """The database could not serve the request."""


class ConflictError(DatabaseError):
    """Other requests for the same session were in the way. Try again."""

    title = "Conflict"
    status = 409
    retry_after = 1


class DatabaseUnavailableError(DatabaseError):
    """The database is not available right now. Try again."""


class DatabaseWakingError(DatabaseUnavailableError):
    """The database is waking up. Try again; with an Idempotency-Key nothing is written twice."""

    title = "Database waking"
    status = 503
    retry_after = 1


class DatabaseOverloadedError(DatabaseUnavailableError):
    """The database has no connection to spare. Try again later; with an Idempotency-Key nothing is written twice."""

    title = "Database overloaded"
    status = 503
    retry_after = 5


class DatabaseAwayError(DatabaseUnavailableError):
    """The database cannot be reached. Try again; with an Idempotency-Key nothing is written twice."""

    title = "Database away"
    status = 503
    retry_after = 5


class DatabaseReadOnlyError(DatabaseUnavailableError):
    """The database takes no writes at the moment. Try again; with an Idempotency-Key nothing is written twice."""

    # What a client does about it is the same; the sentence tells them apart.
    title = "Database away"
    status = 503
    retry_after = 5


class DatabaseRefusedError(DatabaseError):
    """The database refuses the service. Its operator finds the reason in the log."""

    title = "Database refused"
    status = 503


class SchemaOutdatedError(DatabaseError):
    """The service is being upgraded. Its operator finds the next step in the log."""

    title = "Schema outdated"
    status = 503


class DeadlineExceededError(DatabaseError):
    """The request was not answered in time, but may be done. With an Idempotency-Key it is safe to send it again."""

    title = "Deadline exceeded"
    status = 504


class UnexpectedDatabaseError(DatabaseError):
    """The request failed for a reason that was not foreseen."""

    title = "Internal error"
