"""GET, HEAD /health."""

from __future__ import annotations

from typing import Literal

from pydantic import with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST
from contract.route import Answer, Fresh, Route
from contract.values import ANSWER
from robot_brain import __version__
from robot_brain.errors import Violation


@with_config(ANSWER)
class Health(TypedDict):
    """The service is up."""

    status: Literal["ok"]
    version: str


_UP = Answer(200, "The service is up.", Health, Fresh, {"health": {"status": "ok", "version": __version__}})
_BROKEN: Violation = {
    "loc": ["query", "page"],
    "msg": "unknown parameter; known: none",
    "type": "unknown_parameter",
}

ROUTES = (
    Route(
        "GET",
        "/health",
        name="health",
        summary="Check whether the service is up",
        description="The service does not call the database, so that a probe never wakes it.",
        answers=(_UP,),
        errors=ANY_REQUEST,
        broken_rule=_BROKEN,
        is_open=True,
    ),
    Route(
        "HEAD",
        "/health",
        name="health_head",
        summary="Check whether the service is up, by the status alone",
        description="The same answer as for GET, without the body.",
        answers=(_UP,),
        errors=ANY_REQUEST,
        broken_rule=_BROKEN,
        is_open=True,
    ),
)
