"""A route of the API: what it takes, and every answer that it can give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.values import ANSWER, PARAMETERS, SessionId
from robot_brain.errors import RobotBrainError, Violation


@dataclass(frozen=True)
class Answer:
    """An answer of a function. `body` and `headers` are forms, `examples` are bodies by name."""

    status: int
    description: str
    body: Any = None
    headers: Any = None
    examples: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Route:
    """One method of one path. `path_parameters`, `query` and `headers` are forms, `bodies` are alternatives.

    `errors` are the errors of robot_brain.errors that the function can raise here. `broken_rule` is an example of 422.
    `is_open` routes need no signature.
    """

    method: str
    path: str
    name: str
    summary: str
    description: str
    answers: tuple[Answer, ...]
    errors: tuple[type[RobotBrainError], ...]
    broken_rule: Violation
    path_parameters: Any = None
    query: Any = None
    headers: Any = None
    bodies: tuple[Any, ...] = ()
    is_open: bool = False


@with_config(PARAMETERS)
class SessionPath(TypedDict):
    """The path of one session."""

    session_id: SessionId
    """The session's id, chosen by the client. A session is created by its first turn."""


@with_config(ANSWER)
class Fresh(TypedDict):
    """The headers of an answer that no cache may keep."""

    cache_control: Annotated[Literal["no-store"], Field(alias="Cache-Control")]


@with_config(ANSWER)
class Revalidated(TypedDict):
    """The headers of an answer that the client may keep, if it asks each time whether it still holds."""

    cache_control: Annotated[Literal["private, no-cache"], Field(alias="Cache-Control")]
