"""GET /health/database, served by the function stats."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, with_config
from typing_extensions import TypedDict

from contract.problems import ANY_REQUEST, UnavailableHeaders
from contract.route import Answer, Fresh, Route
from contract.values import ANSWER, Count, Time
from robot_brain.errors import ForbiddenError, SettingsError


@with_config(ANSWER)
class StatisticsAge(TypedDict):
    """The last refresh of the statistics. Null if there was no refresh yet, or if the database does not answer."""

    as_of: Time | None
    age_seconds: Count | None


@with_config(ANSWER)
class SearchProgress(TypedDict):
    """Which turns the search does not find by its index yet. All members are null if the database does not answer."""

    language: str | None
    """The text search configuration that makes the words, such as `simple`. Null if the search is off."""
    queued_turns: Count | None
    """The turns whose words are still to be made. A search finds them all the same, one by one."""
    oldest_queued_seconds: Count | None
    """For how long the oldest of them waits. Null if no turn waits."""
    filled_from: Time | None
    """After an upgrade or a switch: no search finds turns from before this time yet. Otherwise null."""


@with_config(ANSWER)
class Connections(TypedDict):
    """The connections of this execution environment: opened, reused and discarded."""

    opened: Count
    reused: Count
    retired: Count


@with_config(ANSWER)
class Environment(TypedDict):
    """Counters of this one execution environment."""

    scope: str
    connections: Connections
    retries: Count
    failures: Count
    wakes: Count


@with_config(ANSWER)
class DatabaseHealth(TypedDict):
    """The condition of the database. Members that only the database knows are null if it does not answer."""

    status: Literal["healthy", "degraded", "waking", "unhealthy"]
    reasons: list[
        Literal[
            "suspended",
            "slow",
            "statistics",
            "search",
            "retries",
            "schema",
            "schema_missing",
            "read_only",
            "waking",
            "overloaded",
            "away",
            "refused",
            "deadline",
            "unexpected",
        ]
    ]
    compute: Literal["active", "idle"] | None
    """The compute's state from Neon's API. Null if the API is not configured, or if it does not answer."""
    latency_ms: Annotated[float, Field(ge=0)] | None
    """The time that the database took to answer, in milliseconds."""
    tls: bool | None
    pooled: bool | None
    """Whether the connection goes through a pooler."""
    server_version: str | None
    schema_version: int | None
    statistics: StatisticsAge
    search: SearchProgress
    environment: Environment


_ENVIRONMENT = {
    "scope": "this execution environment since it began; the metrics have the sum of all",
    "connections": {"opened": 1, "reused": 4, "retired": 0},
    "retries": 0,
    "failures": 0,
    "wakes": 0,
}
_HEALTHY: dict[str, Any] = {
    "status": "healthy",
    "reasons": [],
    "compute": None,
    "latency_ms": 1.204,
    "tls": True,
    "pooled": True,
    "server_version": "17.6",
    "schema_version": 4,
    "statistics": {"as_of": "2026-11-22T11:00:00.000000Z", "age_seconds": 3600},
    "search": {"language": "simple", "queued_turns": 0, "oldest_queued_seconds": None, "filled_from": None},
    "environment": _ENVIRONMENT,
}
_AWAY: dict[str, Any] = {
    "status": "unhealthy",
    "reasons": ["away"],
    "compute": None,
    "latency_ms": None,
    "tls": None,
    "pooled": None,
    "server_version": None,
    "schema_version": None,
    "statistics": {"as_of": None, "age_seconds": None},
    "search": {"language": None, "queued_turns": None, "oldest_queued_seconds": None, "filled_from": None},
    "environment": _ENVIRONMENT | {"connections": {"opened": 0, "reused": 0, "retired": 0}, "failures": 1},
}

ROUTES = (
    Route(
        "GET",
        "/health/database",
        name="database_health",
        summary="Read the condition of the database",
        description="The answer comes within three seconds. An end user gets 403.",
        answers=(
            Answer(
                200, "The database answers, or the compute is asleep.", DatabaseHealth, Fresh, {"healthy": _HEALTHY}
            ),
            Answer(503, "The database does not answer.", DatabaseHealth, UnavailableHeaders, {"away": _AWAY}),
        ),
        errors=(*ANY_REQUEST, ForbiddenError, SettingsError),
        broken_rule={
            "loc": ["query", "page"],
            "msg": "unknown parameter; known: none",
            "type": "unknown_parameter",
        },
    ),
)
