"""The client of Robot Brain, the conversation memory of chat robots. It uses the HTTP API and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from robot_brain_client.answers import Answer
from robot_brain_client.auth import Bearer
from robot_brain_client.client import RobotBrain
from robot_brain_client.errors import (
    BadRequestError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidRequestError,
    NotFoundError,
    NotSentError,
    OutcomeUnknownError,
    PreconditionFailedError,
    ProblemError,
    RobotBrainError,
    ThrottledError,
    TooLargeError,
    UnauthorizedError,
    UnavailableError,
)

if TYPE_CHECKING:
    from robot_brain_client.async_client import AsyncRobotBrain
    from robot_brain_client.sigv4 import SigV4

__version__ = "0.1.0"

__all__ = [
    "Answer",
    "AsyncRobotBrain",
    "BadRequestError",
    "Bearer",
    "ConflictError",
    "ForbiddenError",
    "GoneError",
    "InvalidRequestError",
    "NotFoundError",
    "NotSentError",
    "OutcomeUnknownError",
    "PreconditionFailedError",
    "ProblemError",
    "RobotBrain",
    "RobotBrainError",
    "SigV4",
    "ThrottledError",
    "TooLargeError",
    "UnauthorizedError",
    "UnavailableError",
]


def __getattr__(name: str) -> Any:
    """Import what not every program needs: AsyncRobotBrain needs httpx, and SigV4 needs hmac."""
    if name == "AsyncRobotBrain":
        from robot_brain_client.async_client import AsyncRobotBrain

        return AsyncRobotBrain
    if name == "SigV4":
        from robot_brain_client.sigv4 import SigV4

        return SigV4
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
