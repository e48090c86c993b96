"""What the service answered, and what is sent to it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from robot_brain_client.errors import OF_STATUS, OutcomeUnknownError, ProblemError

Body = TypeVar("Body", covariant=True)


@dataclass(frozen=True, slots=True)
class Answer(Generic[Body]):
    """An answer of the service.

    Attributes:
        status: The HTTP status.
        body: The JSON body; None for 204 and 304.
        etag: The entity tag of the state that the answer describes, if it has one. Pass it as `if_match`.
        replayed: Whether this is the first answer again, because the idempotency key was used before.
    """

    status: int
    body: Body
    etag: str | None = None
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `path` is encoded. If `repeatable`, it may be sent again although its outcome is unknown."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    repeatable: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer as it came. The names of the headers are in small letters."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the body's value, None if the body is empty. Raises OutcomeUnknownError if it is not JSON."""
        if not self.body:
            return None
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise OutcomeUnknownError(
                f"The answer {self.status} is not JSON: is this the address of the API?"
            ) from error

    def answer(self) -> Answer[Any]:
        """Return the answer of a request that was done."""
        replayed = self.headers.get("idempotent-replayed") == "true"
        return Answer(self.status, self.json(), self.headers.get("etag"), replayed)

    def error(self) -> ProblemError | OutcomeUnknownError:
        """Return the error for an answer that is not 2xx or 304."""
        try:
            problem = json.loads(self.body)
        except ValueError:
            problem = None
        if not isinstance(problem, dict):
            problem = {"message": self.body[:200].decode("utf-8", "replace")}
        if self.status in (500, 502, 504):
            text = problem.get("detail") or problem.get("title") or problem.get("message") or "no text"
            return OutcomeUnknownError(f"{self.status} {text}")
        return OF_STATUS.get(self.status, ProblemError)(self.status, problem, self.headers)
