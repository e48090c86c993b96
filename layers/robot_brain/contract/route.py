"""A route of the API: its parameters, its bodies and every answer."""

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

    `errors` are the classes in robot_brain.errors that the function can raise. `broken_rule` is an example of 422.
    If `is_open`, anyone may call the route.
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
    """The session's id, which the client chooses. The first turn creates the session."""


@with_config(ANSWER)
class Fresh(TypedDict):
    """The headers of an answer that no cache may store."""

    cache_control: Annotated[Literal["no-store"], Field(alias="Cache-Control")]


@with_config(ANSWER)
class Revalidated(TypedDict):
    """The headers of an answer that only the client may store. It must check before each use that it is current."""

    cache_control: Annotated[Literal["private, no-cache"], Field(alias="Cache-Control")]
