"""The condition of the database, as an operator wants to read it."""

from __future__ import annotations

import json

from robot_brain import database
from robot_brain.deadline import Deadline
from robot_brain.settings import settings

# Seconds. A probe gives up early; so do we.
LONGEST = 3.0
# What the functions were written for; sql/ says what the database has.
SCHEMA_VERSION = 1


def database_report(deadline: Deadline) -> str:
    """Return the report as JSON text; `status` is healthy or degraded, with the reasons. Raise a DatabaseError.

    The connection's counters are those of the execution environment that answers; the metrics have the sum of all.
    """
    seen = database.health(deadline.at_most(LONGEST))
    server = json.loads(seen.body)
    reasons = []
    if seen.milliseconds >= settings().slow_query_ms:
        reasons.append("slow")
    if server["schema_version"] != SCHEMA_VERSION:
        reasons.append("schema_version")
    if server["read_only"]:
        reasons.append("read_only")
    return json.dumps(
        {
            "status": "degraded" if reasons else "healthy",
            "reasons": reasons,
            "latency_ms": seen.milliseconds,
            "tls": seen.tls,
            # A pooler announces a process number of its own, not that of the server it lends.
            "pooled": seen.backend_pid != server["backend_pid"],
            "server_version": server["server_version"],
            "schema_version": server["schema_version"],
            "statistics": {"as_of": server["stats_as_of"], "age_seconds": server["stats_age_seconds"]},
            "environment": {"connections": {"opened": seen.opened, "reused": seen.reused, "retired": seen.retired}},
        }
    )
