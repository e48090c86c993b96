"""Errors: problem documents of the functions (RFC 9457), and the gateway's own answers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, NotRequired

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.route import Route
from contract.values import ANSWER, Count, Seq, SessionId, UserId
from robot_brain.errors import (
    DatabaseError,
    ForbiddenError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    MalformedRequestError,
    PreconditionFailedError,
    RobotBrainError,
    SettingsError,
    UnexpectedDatabaseError,
    UnexpectedEventError,
    UserPreconditionFailedError,
)
from robot_brain.limits import MAX_LOC_LENGTH, MAX_NAMED_ERRORS


@with_config(ANSWER)
class Problem(TypedDict):
    """An error. It contains no part of the request, no SQL and no stack."""

    type: Literal["about:blank"]
    title: str
    """The kind of error, in stable words that clients may rely on."""
    status: int
    """The HTTP status of the answer."""
    detail: str
    """An explanation for people."""
    request_id: str
    """The id of the request, which is also in the function's log line."""


@with_config(ANSWER)
class BrokenRule(TypedDict):
    """One rule that the request breaks."""

    loc: Annotated[list[Annotated[str, Field(max_length=MAX_LOC_LENGTH)] | int], Field(min_length=1)]
    """The place: `body`, `query` or `path`, then names and positions."""
    msg: str
    """The rule in words, for people."""
    type: str
    """The rule as a stable word, for programs."""


@with_config(ANSWER)
class InvalidRequest(Problem):
    """The request can be parsed, but breaks rules."""

    errors: Annotated[list[BrokenRule], Field(min_length=1, max_length=MAX_NAMED_ERRORS)]
    """The broken rules; only the first ones if there are many."""


@with_config(ANSWER)
class PreconditionFailed(Problem):
    """The session is not in the state that If-Match names."""

    last_seq: Count
    """The session's current last seq, or 0 if the session does not exist."""


@with_config(ANSWER)
class IdempotencyKeyReused(Problem):
    """The Idempotency-Key was used for another request."""

    session_id: NotRequired[SessionId]
    """The session of the first request with this key, if it wrote turns."""
    seq: NotRequired[Seq]
    """The seq of the first turn that the first request wrote."""
    user_id: NotRequired[UserId]
    """The user that the first request created, if it was POST /users."""


@with_config(ANSWER)
class ProblemHeaders(TypedDict):
    """The headers of every problem document."""

    cache_control: Annotated[Literal["no-store"], Field(alias="Cache-Control")]


@with_config(ANSWER)
class ConflictHeaders(ProblemHeaders):
    """The headers of 409."""

    retry_after: Annotated[str, Field(alias="Retry-After", pattern="^[0-9]+$")]
    """Seconds to wait before a retry."""


@with_config(ANSWER)
class UnavailableHeaders(ProblemHeaders):
    """The headers of 503."""

    retry_after: NotRequired[Annotated[str, Field(alias="Retry-After", pattern="^[0-9]+$")]]
    """Seconds to wait before a retry. Absent if a retry does not help."""


@with_config(ANSWER)
class StateHeaders(ProblemHeaders):
    """The headers of 412."""

    etag: NotRequired[Annotated[str, Field(alias="ETag", pattern=r'^"([0-9]+\.)?[0-9a-f]+"$')]]
    """The current state of the session or user. Absent if it does not exist."""


@with_config(ANSWER)
class UnauthorizedHeaders(TypedDict):
    """The headers of the gateway's 401."""

    www_authenticate: NotRequired[Annotated[str, Field(alias="WWW-Authenticate")]]
    """`Bearer`, and what is wrong with the token."""


@with_config(ANSWER)
class GatewayMessage(TypedDict):
    """An answer of API Gateway itself, in place of the function's answer."""

    message: str


def _leaves(kind: type[RobotBrainError]) -> Iterator[type[RobotBrainError]]:
    """Return the errors that are raised: the classes without subclasses."""
    below = kind.__subclasses__()
    if not below:
        yield kind
    for each in below:
        yield from _leaves(each)


Errors = tuple[type[RobotBrainError], ...]

# Errors that every request may cause.
ANY_REQUEST: Errors = (MalformedRequestError, InvalidRequestError, UnexpectedEventError, UnexpectedDatabaseError)
# Further errors of a request that calls the database. Such a request needs a caller.
DATABASE: Errors = (
    ForbiddenError,
    SettingsError,
    *(kind for kind in _leaves(DatabaseError) if kind is not UnexpectedDatabaseError),
)

_BODIES: dict[type[RobotBrainError], type] = {
    InvalidRequestError: InvalidRequest,
    PreconditionFailedError: PreconditionFailed,
    IdempotencyKeyReusedError: IdempotencyKeyReused,
}
_HEADERS: dict[int, type] = {409: ConflictHeaders, 412: StateHeaders, 503: UnavailableHeaders}
_GATEWAY_HEADERS: dict[int, type] = {401: UnauthorizedHeaders}
# The gateway's own messages, each with its reason.
_GATEWAY_MESSAGES = {
    400: ("Bad Request", "The request cannot be read, for example because its path cannot be decoded."),
    401: ("Unauthorized", "In a deployment with AUTH=jwt, the token is missing, wrong or expired."),
    403: ("Forbidden", "In a deployment with AUTH=iam, the signature is missing or wrong, or IAM does not allow it."),
    404: ("Not Found", "The route does not exist, for example if the session id has an encoded slash."),
    413: ("Request Entity Too Large", "The request is over 10 MB, or over 6 MB after JSON escaping."),
    429: ("Too Many Requests", "The API is throttled. Try again later."),
    500: ("Internal Server Error", "The function ended without an answer."),
    503: ("Service Unavailable", "The function did not answer in time, or could not be invoked."),
}


def body_of(kind: type[RobotBrainError]) -> type:
    """Return the form of the document for an error."""
    return _BODIES.get(kind, Problem)


def headers_of(status: int) -> type:
    """Return the form of the headers of a problem with this status."""
    return _HEADERS.get(status, ProblemHeaders)


def gateway_headers_of(status: int) -> type | None:
    """Return the form of the headers of a gateway's own answer with this status, or None without headers."""
    return _GATEWAY_HEADERS.get(status)


def example_of(kind: type[RobotBrainError], route: Route) -> RobotBrainError:
    """Return an example of an error that the function of `route` may raise."""
    if issubclass(kind, InvalidRequestError):
        return kind([route.broken_rule])
    if issubclass(kind, PreconditionFailedError):
        return kind(facts={"last_seq": 7, "etag": '"7.1f2e3d4c5b6a"'})
    if issubclass(kind, UserPreconditionFailedError):
        return kind(facts={"etag": '"1f2e3d4c5b6a"'})
    if issubclass(kind, IdempotencyKeyReusedError):
        return kind(facts={"session_id": "demo", "seq": 1})
    if issubclass(kind, MalformedRequestError):
        return kind("the query string has a % that is not followed by two hexadecimal digits")
    return kind()


def gateway_answers(route: Route) -> dict[int, tuple[str, str]]:
    """Return the message and the reason of each answer that the gateway can give on `route`, by status."""
    possible = {400, 429, 500, 503}
    if not route.is_open:
        possible |= {401, 403}
    if route.path_parameters:
        possible.add(404)
    if route.bodies:
        possible.add(413)
    return {status: _GATEWAY_MESSAGES[status] for status in sorted(possible)}
