"""The errors of the client.

RobotBrainError
  NotSentError            no request reached the service
  OutcomeUnknownError     a request was sent, and its outcome is unknown: 504, 500, 502, or no answer
  ProblemError            the service refused the request and did nothing
    BadRequestError 400   UnauthorizedError 401   ForbiddenError 403   NotFoundError 404   ConflictError 409
    GoneError 410         PreconditionFailedError 412                  TooLargeError 413   InvalidRequestError 422
    ThrottledError 429    UnavailableError 503
"""

from __future__ import annotations

from typing import Any


class RobotBrainError(Exception):
    """Any error of the client."""


class NotSentError(RobotBrainError):
    """No request reached the service, for example because nothing listens at the address."""


class OutcomeUnknownError(RobotBrainError):
    """The request was sent, and no answer says whether it was done. Read the state before you send it again."""


class ProblemError(RobotBrainError):
    """The service refused the request. `problem` is its problem document, or the gateway's `{"message": …}`.

    `perhaps_done` is true if an earlier attempt of the same call got no answer, so that it may have been done.
    """

    perhaps_done = False

    def __init__(self, status: int, problem: dict[str, Any], headers: dict[str, str]) -> None:
        self.status = status
        self.problem = problem
        self.headers = headers
        title = problem.get("title") or problem.get("message") or "no text"
        rules = [f"{'.'.join(map(str, rule.get('loc', ())))} {rule.get('msg', '')}" for rule in self.broken_rules]
        text = "; ".join(rules) or problem.get("detail")
        super().__init__(f"{status} {title}: {text}" if text else f"{status} {title}")

    @property
    def broken_rules(self) -> list[dict[str, Any]]:
        """What a 422 says: each broken rule with `loc`, `msg` and `type`."""
        errors = self.problem.get("errors")
        return errors if isinstance(errors, list) else []

    @property
    def etag(self) -> str | None:
        """The entity tag of the present state, which 412 and 404 of a turn may have."""
        return self.headers.get("etag")


class BadRequestError(ProblemError):
    """400: the request cannot be read."""


class UnauthorizedError(ProblemError):
    """401: the token is missing, expired or not accepted."""


class ForbiddenError(ProblemError):
    """403: the caller lacks a right, or its signature is wrong."""


class NotFoundError(ProblemError):
    """404: there is no such session, turn or user, or it belongs to somebody else."""


class ConflictError(ProblemError):
    """409: the session is busy or being erased, or another request with the same key is running."""


class GoneError(ProblemError):
    """410: the idempotency key wrote to a session that was erased."""


class PreconditionFailedError(ProblemError):
    """412: the session or user is not in the state that `if_match` names."""


class TooLargeError(ProblemError):
    """413: the request is too large."""


class InvalidRequestError(ProblemError):
    """422: the request breaks a rule. `broken_rules` says which."""


class ThrottledError(ProblemError):
    """429: too many requests."""


class UnavailableError(ProblemError):
    """503: the database is waking, overloaded or away, and nothing was done."""


OF_STATUS: dict[int, type[ProblemError]] = {
    400: BadRequestError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    412: PreconditionFailedError,
    413: TooLargeError,
    422: InvalidRequestError,
    429: ThrottledError,
    503: UnavailableError,
}
