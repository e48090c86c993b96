"""The errors of a request, grouped by what the caller can do about them, each with the status of its answer.

RobotBrainError
├── SettingsError                  the deployment is misconfigured
├── UnexpectedEventError           not a request of an HTTP API, or for another route
├── RequestError                   the request does not fit the rules or the session
│   ├── MalformedRequestError      its JSON, its encoding or a header cannot be parsed
│   ├── InvalidRequestError        it can be parsed but breaks rules, which `errors` lists
│   ├── UnsupportedMediaTypeError
│   ├── RequestTooLargeError
│   ├── ForbiddenError             the caller may not do this, or its credentials lack something
│   ├── SessionNotFoundError
│   ├── TurnNotFoundError
│   ├── SessionBeingErasedError    a retry succeeds when the session is erased
│   ├── UserNotFoundError
│   ├── UserBeingErasedError       as SessionBeingErasedError
│   ├── PreconditionFailedError    the session is not in the state that If-Match names
│   ├── UserPreconditionFailedError
│   ├── IdempotencyKeyReusedError
│   ├── IdempotencyKeyErasedError  what was written with the key is erased
│   └── SearchOffError             the deployment has no search
└── DatabaseError                  the request is valid, but the database did not serve it
    ├── ConflictError              it conflicted with another request; a retry may succeed
    ├── DatabaseUnavailableError   a retry later may succeed
    │   ├── DatabaseWakingError      the compute is starting
    │   ├── DatabaseOverloadedError  all connections are in use
    │   ├── DatabaseAwayError        it cannot be reached, or the connection was lost
    │   └── DatabaseReadOnlyError    it accepts no writes, for example during a failover
    ├── DatabaseRefusedError       a retry does not help: password, certificate, quota
    ├── SchemaMissingError         the database has no schema of Robot Brain
    ├── SchemaOutdatedError        the Lambda functions are newer than the schema
    ├── DeadlineExceededError      time ran out, or a change was sent and its outcome is unknown
    └── UnexpectedDatabaseError    an error of the database that we do not expect

The values of Retry-After: Neon wakes in a few hundred milliseconds, and a conflict ends sooner. Connections become free
when requests end, which may take ten seconds. A server that is away has to restart.

The client reads the first line of the error's docstring. A RequestError may replace it with a better sentence. The text
of every other error is for the operator: only the log has it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, TypedDict

from robot_brain.limits import MAX_LOC_LENGTH, MAX_NAMED_ERRORS


class Violation(TypedDict):
    """One broken rule: its place (`["body", "messages", 0, "user_message"]`), a sentence, and a stable type."""

    loc: list[str | int]
    msg: str
    type: str


class RobotBrainError(Exception):
    """Something went wrong."""

    title: ClassVar[str] = "Error"
    # The status of the HTTP answer.
    status: ClassVar[int] = 500
    # Seconds until a retry may help, or None.
    retry_after: ClassVar[int | None] = None

    def __init_subclass__(
        cls, *, title: str | None = None, status: int | None = None, retry_after: int | None = None
    ) -> None:
        """Set what a class names in its head. The class inherits the rest."""
        cls.title = title or cls.title
        cls.status = status or cls.status
        cls.retry_after = retry_after or cls.retry_after

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail or self.summary())

    @classmethod
    def summary(cls) -> str:
        """Return the text that any client may read: the first line of the docstring."""
        return (cls.__doc__ or "").strip().partition("\n")[0]


class SettingsError(RobotBrainError, title="Misconfigured"):
    """The service is not configured correctly. Its operator finds the reason in the log."""


class UnexpectedEventError(RobotBrainError, title="Unexpected event"):
    """This function serves its own routes, in payload format 2.0. Its operator finds the reason in the log."""


class RequestError(RobotBrainError):
    """The request cannot be served as it is."""

    def __init__(self, detail: str | None = None, facts: Mapping[str, object] | None = None) -> None:
        """Store `facts`, further members of the answer. The fact `etag` becomes a header instead."""
        super().__init__(detail)
        self.facts = dict(facts or {})


class MalformedRequestError(RequestError, title="Malformed request", status=400):
    """The request cannot be read."""


class InvalidRequestError(RequestError, title="Invalid request", status=422):
    """The request breaks a rule; see errors."""

    def __init__(self, errors: list[Violation]) -> None:
        super().__init__()
        # This keeps the answer short if the request has many mistakes or long member names.
        self.errors: list[Violation] = [
            {**error, "loc": [part if isinstance(part, int) else part[:MAX_LOC_LENGTH] for part in error["loc"]]}
            for error in errors[:MAX_NAMED_ERRORS]
        ]

    @classmethod
    def at(cls, loc: list[str | int], msg: str, kind: str) -> InvalidRequestError:
        """Return the error for a single broken rule."""
        return cls([{"loc": loc, "msg": msg, "type": kind}])


class UnsupportedMediaTypeError(RequestError, title="Unsupported media type", status=415):
    """Send the body with Content-Type: application/json."""


class RequestTooLargeError(RequestError, title="Request too large", status=413):
    """The request is larger than 4 MiB. Send fewer turns at a time, or shorter texts and items."""


class ForbiddenError(RequestError, title="Forbidden", status=403):
    """The caller may not do this."""


class SessionNotFoundError(RequestError, title="Session not found", status=404):
    """This session does not exist."""


class TurnNotFoundError(RequestError, title="Turn not found", status=404):
    """The session has no turn with this seq."""


class SessionBeingErasedError(RequestError, title="Session being erased", status=409, retry_after=1):
    """The session is being erased. Try again later to begin a new session with this id."""


class UserNotFoundError(RequestError, title="User not found", status=404):
    """This user does not exist."""


class UserBeingErasedError(RequestError, title="User being erased", status=409, retry_after=1):
    """The user is being erased. Try again later."""


class PreconditionFailedError(RequestError, title="Precondition failed", status=412):
    """The session is not in the state that If-Match names. Read the session before you try again."""


class UserPreconditionFailedError(RequestError, title="Precondition failed", status=412):
    """The user is not in the state that If-Match names. Read the user before you try again."""


class IdempotencyKeyReusedError(RequestError, title="Idempotency key reused", status=422):
    """This Idempotency-Key was used for another request. Use a new key for a new request."""


class IdempotencyKeyErasedError(RequestError, title="Idempotency key erased", status=410):
    """What was written with this Idempotency-Key is erased. Use a new key for a new request."""


class SearchOffError(RequestError, title="Search off", status=501):
    """The search is off. The operator can switch it on: make migrate SEARCH=on."""


class DatabaseError(RobotBrainError):
    """The database could not serve the request."""


class ConflictError(DatabaseError, title="Conflict", status=409, retry_after=1):
    """Other requests for the same session were in the way. Try again."""


class DatabaseUnavailableError(DatabaseError):
    """The database is not available right now. Try again."""


class DatabaseWakingError(DatabaseUnavailableError, title="Database waking", status=503, retry_after=1):
    """The database is waking up. Nothing was changed. Try again."""


class DatabaseOverloadedError(DatabaseUnavailableError, title="Database overloaded", status=503, retry_after=5):
    """The database has no connection to spare. Nothing was changed. Try again later."""


class DatabaseAwayError(DatabaseUnavailableError, title="Database away", status=503, retry_after=5):
    """The database cannot be reached. Nothing was changed. Try again."""


# The title of DatabaseAwayError, because the client does the same. Only the sentence differs.
class DatabaseReadOnlyError(DatabaseUnavailableError, title="Database away", status=503, retry_after=5):
    """The database takes no writes at the moment. Nothing was changed. Try again."""


class DatabaseRefusedError(DatabaseError, title="Database refused", status=503):
    """The database refuses the service. Its operator finds the reason in the log."""


# The title of SchemaOutdatedError, because the client does the same. Only the sentence differs.
class SchemaMissingError(DatabaseError, title="Schema outdated", status=503):
    """The database lacks the schema of the service. Its operator finds the next step in the log."""


class SchemaOutdatedError(DatabaseError, title="Schema outdated", status=503):
    """The service is being upgraded. Its operator finds the next step in the log."""


class DeadlineExceededError(DatabaseError, title="Deadline exceeded", status=504):
    """The request was not answered in time, but may be done. An Idempotency-Key or a whole ETag makes a retry safe."""


class UnexpectedDatabaseError(DatabaseError, title="Internal error"):
    """The request failed for a reason that was not foreseen."""
