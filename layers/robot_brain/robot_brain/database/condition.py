"""The report on the database's condition for an operator. It has the same members if the database does not answer."""

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
    SchemaMissingError,
    SchemaOutdatedError,
)
from robot_brain.settings import settings

# The most seconds for a report, because probes give up early.
LONGEST = 3.0
# The seconds among them that Neon's API gets to say whether the compute sleeps.
_LONGEST_LOOK = 1.0

# A stable word for each reason why the database does not answer. The server's own text is only in the log.
_REASONS: dict[type[DatabaseError], str] = {
    DatabaseWakingError: "waking",
    DatabaseOverloadedError: "overloaded",
    DatabaseAwayError: "away",
    DatabaseRefusedError: "refused",
    SchemaMissingError: "schema_missing",
    SchemaOutdatedError: "schema",
    DeadlineExceededError: "deadline",
}


class Condition(NamedTuple):
    """The report as JSON text, whether the database serves, and the seconds until a retry if a retry may help."""

    report: str
    serves: bool
    retry_after: int | None = None


def condition(deadline: Deadline) -> Condition:
    """Return the database's condition within LONGEST and the deadline. Raises SettingsError if the settings are wrong.

    If Neon's API says that the compute is asleep, do not wake it. An asleep compute saves money and is no fault.
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
    search = server["search"]
    reasons = _degraded(found, server, search.pop("is_behind"))
    report = _report(
        "degraded" if reasons else "healthy",
        reasons,
        compute,
        latency_ms=found.milliseconds,
        tls=found.tls,
        # A pooler announces a process number of its own, not the number of the server's process.
        pooled=found.backend_pid != server["backend_pid"],
        server_version=server["server_version"],
        schema_version=server["schema_version"],
        statistics={"as_of": server["stats_as_of"], "age_seconds": server["stats_age_seconds"]},
        search=search,
    )
    return Condition(report, True)


def _compute(within: Deadline) -> str | None:
    if not settings().neon_endpoint_id:
        return None
    # Imported here, so that only a deployment with a key of Neon's API pays for the import.
    from robot_brain.services.neon import compute_state

    return compute_state(settings(), within.at_most(_LONGEST_LOOK))


def _degraded(found: api.Health, server: dict[str, Any], search_is_behind: bool) -> list[str]:
    reasons = {
        "slow": found.milliseconds >= settings().slow_query_ms,
        "statistics": server["stats_due"],
        "search": search_is_behind,
        "retries": patterns().retried_lately(),
        "schema": server["schema_version"] != api.SCHEMA_VERSION,
        "read_only": server["read_only"],
    }
    return [reason for reason, applies in reasons.items() if applies]


def _report(status: str, reasons: list[str], compute: str | None, **known: object) -> str:
    """Return the report as JSON text. A member that only the database knows is null unless it is in `known`."""
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
        "search": {"language": None, "queued_turns": None, "oldest_queued_seconds": None, "filled_from": None},
        "environment": {
            "scope": "this execution environment since it began; the metrics have the sum of all",
            "connections": {"opened": lazy.opened, "reused": lazy.reused, "retired": lazy.retired},
            "retries": seen.retries,
            "failures": seen.failures,
            "wakes": seen.wakes,
        },
    }
    return json.dumps(report | known)
