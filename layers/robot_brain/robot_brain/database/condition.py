"""The condition of the database, as an operator wants to read it: one shape whether it answers or not."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from robot_brain import telemetry
from robot_brain.database import api
from robot_brain.database.connection import lazy_connection
from robot_brain.database.patterns import patterns
from robot_brain.deadline import Deadline
from robot_brain.errors import (
    DatabaseAwayError,
    DatabaseError,
    DatabaseOverloadedError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DatabaseWakingError,
    DeadlineExceededError,
    SchemaOutdatedError,
)
from robot_brain.settings import settings

# Seconds. A probe gives up early; so do we.
LONGEST = 3.0
# Seconds of them that Neon's API may take to say whether the compute sleeps.
_LONGEST_LOOK = 1.0

# Why it does not answer, in words that stay the same. What the server said is for the log.
_REASONS: dict[type[DatabaseError], str] = {
    DatabaseWakingError: "waking",
    DatabaseOverloadedError: "overloaded",
    DatabaseAwayError: "away",
    DatabaseRefusedError: "refused",
    SchemaOutdatedError: "schema",
    DeadlineExceededError: "deadline",
}


class Condition(NamedTuple):
    """The report as JSON text, whether the database serves, and after how many seconds to ask again if that helps."""

    report: str
    serves: bool
    retry_after: int | None = None


def condition(deadline: Deadline) -> Condition:
    """Ask the database how it is, within LONGEST and the deadline. Raises SettingsError if the settings are wrong.

    If Neon's API says that the compute sleeps it is left asleep: that is how it saves, and no fault.
    """
    within = deadline.at_most(LONGEST)
    compute = _compute(within)
    if compute == "idle":
        return Condition(_report("healthy", ["suspended"], compute), True)
    try:
        found = api.health(within)
    except DatabaseError as error:
        telemetry.note(error=type(error).__name__, reason=str(error))
        reason = _REASONS.get(type(error), "unexpected")
        report = _report("waking" if reason == "waking" else "unhealthy", [reason], compute)
        return Condition(report, False, error.retry_after if isinstance(error, DatabaseUnavailableError) else None)
    server = json.loads(found.body)
    reasons = _degraded(found, server)
    report = _report(
        "degraded" if reasons else "healthy",
        reasons,
        compute,
        latency_ms=found.milliseconds,
        tls=found.tls,
        # A pooler announces a process number of its own, not that of the server it lends.
        pooled=found.backend_pid != server["backend_pid"],
        server_version=server["server_version"],
        schema_version=server["schema_version"],
        statistics={"as_of": server["stats_as_of"], "age_seconds": server["stats_age_seconds"]},
    )
    return Condition(report, True)


def _compute(within: Deadline) -> str | None:
    if not settings().neon_endpoint_id:
        return None
    # Only a deployment that gave a key pays for these imports.
    from robot_brain.services.neon import compute_state

    return compute_state(settings(), within.at_most(_LONGEST_LOOK))


def _degraded(found: api.Health, server: dict[str, Any]) -> list[str]:
    reasons = {
        "slow": found.milliseconds >= settings().slow_query_ms,
        "statistics": server["stats_due"],
        "retries": patterns().retried_lately(),
        "schema": server["schema_version"] != api.SCHEMA_VERSION,
        "read_only": server["read_only"],
    }
    return [reason for reason, holds in reasons.items() if holds]


def _report(status: str, reasons: list[str], compute: str | None, **known: object) -> str:
    """Return the report as JSON text. What only the database knows is null unless it is in `known`."""
    lazy, seen = lazy_connection(), patterns()
    report = {
        "status": status,
        "reasons": reasons,
        "compute": compute,
        "latency_ms": None,
        "tls": None,
        "pooled": None,
        "server_version": None,
        "schema_version": None,
        "statistics": {"as_of": None, "age_seconds": None},
        "environment": {
            "scope": "this execution environment since it began; the metrics have the sum of all",
            "connections": {"opened": lazy.opened, "reused": lazy.reused, "retired": lazy.retired},
            "retries": seen.retries,
            "failures": seen.failures,
            "wakes": seen.wakes,
        },
    }
    return json.dumps(report | known)
