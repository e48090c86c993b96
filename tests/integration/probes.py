"""Probes of GET /health/database, with the checks that hold for every report."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from robot_brain.database.condition import LONGEST
from tests.support.bundle import Bundle, Reply, deployed

# Seconds that a busy machine may take beyond the service's own limit. Without that limit a report would take ten.
MARGIN = 5.0
MEMBERS = {
    "status",
    "reasons",
    "compute",
    "latency_ms",
    "tls",
    "pooled",
    "server_version",
    "schema_version",
    "search",
    "statistics",
    "environment",
}


@contextmanager
def unhurried(variables: Mapping[str, str]) -> Iterator[Bundle]:
    """Start the functions with a limit that no busy machine's answer exceeds. The test of `slow` sets its own."""
    with deployed({"DB_SLOW_QUERY_MS": "30000", **variables}) as functions:
        yield functions


def probe(functions: Bundle) -> Reply:
    """Return the report, and assert that it came in time and has its members."""
    started = time.monotonic()
    reply = functions.database_health()
    assert time.monotonic() - started < LONGEST + MARGIN
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    report = reply.json
    assert set(report) == MEMBERS
    assert set(report["statistics"]) == {"as_of", "age_seconds"}
    assert set(report["search"]) == {"language", "queued_turns", "oldest_queued_seconds", "filled_from"}
    assert set(report["environment"]) == {"scope", "connections", "retries", "failures", "wakes"}
    assert "this execution environment" in report["environment"]["scope"]
    return reply


def condition_in(reply: Reply) -> tuple[int, str, list[str]]:
    """Return the status, the condition and the reasons, which a monitor reads."""
    return reply.status, reply.json["status"], reply.json["reasons"]


def assert_no_figures(report: dict[str, Any]) -> None:
    """Assert that every member whose value comes from the database is null."""
    unknown = ("latency_ms", "tls", "pooled", "server_version", "schema_version")
    assert [report[name] for name in unknown] == [None] * 5
    assert report["statistics"] == {"as_of": None, "age_seconds": None}
