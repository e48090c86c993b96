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
    """200 where the database answers, else 503; the report as JSON text; `headers` has Retry-After where that helps."""

    status: int
    body: str
    headers: dict[str, str]


def condition(deadline: Deadline) -> Condition:
    """Ask the database how it is, within LONGEST and the deadline. Raise SettingsError where nobody can be asked.

    Where Neon's API says that the compute sleeps it is left asleep: that is how it saves, and no fault.
    """
    within = deadline.at_most(LONGEST)
    compute = _compute(within)
    if compute == "idle":
        return Condition(200, json.dumps(_report("healthy", ["suspended"], compute)), {})
    try:
        seen = api.health(within)
    except DatabaseError as error:
        return _unanswered(error, compute)
    server = json.loads(seen.body)
    reasons = _degraded(seen, server)
    report = _report("degraded" if reasons else "healthy", reasons, compute) | {
        "latency_ms": seen.milliseconds,
        "tls": seen.tls,
        # A pooler announces a process number of its own, not that of the server it lends.
        "pooled": seen.backend_pid != server["backend_pid"],
        "server_version": server["server_version"],
        "schema_version": server["schema_version"],
        "statistics": {"as_of": server["stats_as_of"], "age_seconds": server["stats_age_seconds"]},
    }
    return Condition(200, json.dumps(report), {})


def _compute(within: Deadline) -> str | None:
    if not settings().neon_endpoint_id:
        return None
    # Only a deployment that gave a key pays for these imports.
    from robot_brain.services.neon import compute_state

    return compute_state(settings(), within.at_most(_LONGEST_LOOK))


def _degraded(seen: api.Health, server: dict[str, Any]) -> list[str]:
    found = {
        "slow": seen.milliseconds >= settings().slow_query_ms,
        "statistics": server["stats_due"],
        "retries": patterns().retried_lately(),
        "schema": server["schema_version"] != api.SCHEMA_VERSION,
        "read_only": server["read_only"],
    }
    return [reason for reason, holds in found.items() if holds]


def _unanswered(error: DatabaseError, compute: str | None) -> Condition:
    reason = _REASONS.get(type(error), "unexpected")
    telemetry.note(error=type(error).__name__, reason=str(error))
    waits = {"retry-after": str(error.retry_after)} if error.status == 503 and error.retry_after is not None else {}
    report = _report("waking" if reason == "waking" else "unhealthy", [reason], compute)
    return Condition(503, json.dumps(report), waits)


def _report(status: str, reasons: list[str], compute: str | None) -> dict[str, Any]:
    """Return the report with null for all that only the database can tell."""
    lazy, seen = lazy_connection(), patterns()
    return {
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
