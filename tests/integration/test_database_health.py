"""GET /health/database: healthy, degraded, waking or unhealthy, with reasons, within the time of a probe."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from robot_brain.database import api as database_calls
from robot_brain.database.condition import LONGEST
from robot_brain.database.connection import lazy_connection
from robot_brain.database.patterns import LATELY
from tests.integration.edge import assert_problem
from tests.integration.held_locks import deadlock, held
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import over_tcp
from tests.support.neon.api import NeonApi
from tests.support.servers.databases import APP, Database
from tests.support.servers.failing import never_answers, refuses_connections
from tests.support.servers.pgbouncer import PgBouncer

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
    "statistics",
    "environment",
}


@contextmanager
def unhurried(variables: Mapping[str, str]) -> Iterator[Bundle]:
    """Start the functions with a limit that no busy machine's answer exceeds. The test of `slow` sets its own."""
    with deployed({"DB_SLOW_QUERY_MS": "30000", **variables}) as functions:
        yield functions


@pytest.fixture
def bundle(database: Database) -> Iterator[Bundle]:
    """The functions on `database`."""
    with unhurried({"DATABASE_URL": database.app_url}) as functions:
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


def test_a_database_that_answers_is_healthy(bundle: Bundle) -> None:
    reply = probe(bundle)
    assert condition_in(reply) == (200, "healthy", [])
    report = reply.json
    assert report["latency_ms"] > 0
    assert report["schema_version"] == database_calls.SCHEMA_VERSION
    assert int(report["server_version"].split(".")[0]) >= 15
    assert report["statistics"]["as_of"].endswith("Z")
    assert report["statistics"]["age_seconds"] >= 0
    assert (report["environment"]["retries"], report["environment"]["failures"]) == (0, 0)


def test_a_slow_answer_is_degraded(database: Database) -> None:
    with unhurried({"DATABASE_URL": database.app_url, "DB_SLOW_QUERY_MS": "100"}) as functions:
        with held(database, "lock table robot_brain.refresh_state in access exclusive mode", 0.1):
            reply = probe(functions)
        assert condition_in(reply) == (200, "degraded", ["slow"])
        assert reply.json["latency_ms"] >= 100


def test_old_statistics_are_degraded_if_a_turn_was_written_since(database: Database) -> None:
    environment = {"DATABASE_URL": database.app_url, "STATS_MAX_AGE": "60"}
    with unhurried(environment) as functions:
        with database.admin() as admin:
            admin.execute("update robot_brain.refresh_state set refreshed_at = refreshed_at - interval '61 seconds'")
        assert condition_in(probe(functions)) == (200, "healthy", [])
        assert functions.write("demo", turn()).status == 201
        reply = probe(functions)
        assert condition_in(reply) == (200, "degraded", ["statistics"])
        assert reply.json["statistics"]["age_seconds"] >= 61
    with unhurried(environment | {"STATS_MAX_AGE": "0"}) as functions:
        assert condition_in(probe(functions)) == (200, "healthy", [])
    with unhurried(environment) as functions:
        functions.refresh()
        assert condition_in(probe(functions)) == (200, "healthy", [])


def test_a_probe_does_not_wake_a_suspended_compute(database: Database) -> None:
    with NeonApi(lambda: "idle") as api:
        environment = {"DATABASE_URL": database.app_url, **api.environment}
        with unhurried(environment) as functions:
            reply = probe(functions)
            assert condition_in(reply) == (200, "healthy", ["suspended"])
            assert reply.json["compute"] == "idle"
            assert_no_figures(reply.json)
            assert (api.calls, lazy_connection().opened) == (1, 0)
    with database.admin() as admin:
        users = admin.execute(
            "select count(*) from pg_stat_activity where usename = %s and datname = %s", [APP, database.name]
        )
        assert users.fetchone() == (0,)


def test_a_probe_calls_the_database_if_its_compute_runs(database: Database) -> None:
    with NeonApi(lambda: "active") as api:
        environment = {"DATABASE_URL": database.app_url, **api.environment}
        with unhurried(environment) as functions:
            reply = probe(functions)
            assert condition_in(reply) == (200, "healthy", [])
            assert reply.json["compute"] == "active"


def test_a_probe_calls_the_database_if_neons_api_fails(embedded_database: Database) -> None:
    with NeonApi(lambda: "idle") as api, never_answers() as port:
        environment = {"DATABASE_URL": embedded_database.app_url, **api.environment}
        for misbehave in (api.hang, lambda: api.fail(503)):
            misbehave()
            with unhurried(environment) as functions:
                reply = probe(functions)
                assert condition_in(reply) == (200, "healthy", [])
                assert reply.json["compute"] is None
        api.hang()
        with unhurried(environment | {"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}) as functions:
            assert condition_in(probe(functions)) == (503, "waking", ["waking"])


def test_a_database_of_another_schema_version_is_degraded(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        admin.execute(
            "create or replace function robot_brain.schema_version() returns integer"
            " language sql immutable parallel safe return 1000"
        )
    reply = probe(bundle)
    assert condition_in(reply) == (200, "degraded", ["schema"])
    assert reply.json["schema_version"] == 1000


def test_a_read_only_database_is_degraded(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        admin.execute(f"alter database {database.name} set default_transaction_read_only = on".encode())
    assert condition_in(probe(bundle)) == (200, "degraded", ["read_only"])


def test_a_recent_retry_is_degraded(bundle: Bundle, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    thread = deadlock(database)
    order = {"interaction_type": "order", "duration_ms": 1, "success": True}
    assert bundle.write("demo", turn(interaction=order)).status == 201
    thread.join()
    reply = probe(bundle)
    assert condition_in(reply) == (200, "degraded", ["retries"])
    assert (reply.json["environment"]["retries"], reply.json["environment"]["failures"]) == (1, 0)
    # As after a freeze of this length: the clock of Lambda continues, so the idle connection is replaced.
    later = time.time() + LATELY + 1
    monkeypatch.setattr(time, "time", lambda: later)
    assert condition_in(probe(bundle)) == (200, "healthy", [])


def test_a_database_that_accepts_a_connection_and_stays_silent_is_waking() -> None:
    with never_answers() as port, unhurried({"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}) as functions:
        with logged() as lines:
            reply = probe(functions)
            (line,) = [line for line in lines() if line["message"] == "answered"]
        assert condition_in(reply) == (503, "waking", ["waking"])
        assert int(reply.headers["retry-after"]) > 0
        assert_no_figures(reply.json)
        assert reply.json["environment"]["failures"] == 1
        assert (line["status"], line["error"], line["attempts"]) == (503, "DatabaseWakingError", 1)


def test_a_refused_port_is_unhealthy() -> None:
    with (
        refuses_connections() as port,
        unhurried({"DATABASE_URL": f"postgresql://u:p@127.0.0.1:{port}/d"}) as functions,
    ):
        reply = probe(functions)
        assert condition_in(reply) == (503, "unhealthy", ["away"])
        assert_no_figures(reply.json)
        assert reply.json["environment"]["retries"] == 0


@over_tcp
def test_a_wrong_password_is_unhealthy_and_only_the_log_holds_the_reason(database: Database) -> None:
    password = psycopg.conninfo.conninfo_to_dict(database.app_url)["password"]
    url = database.app_url.replace(f":{password}@", ":MARKED-4711@")
    with unhurried({"DATABASE_URL": url}) as functions, logged() as lines:
        reply = probe(functions)
        assert condition_in(reply) == (503, "unhealthy", ["refused"])
        assert "retry-after" not in reply.headers
        assert "authentication failed" in lines()[-1]["database_error"]
        assert "authentication" not in (reply.body or "")
        assert "MARKED-4711" not in f"{lines()}{reply.body}"


def test_a_database_without_the_schema_is_unhealthy(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        admin.execute("drop schema robot_brain_api cascade")
    with logged() as lines:
        reply = probe(bundle)
        assert condition_in(reply) == (503, "unhealthy", ["schema"])
        assert "make migrate" in lines()[-1]["reason"]
        assert "migrate" not in (reply.body or "")


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_role_at_its_connection_limit_is_overloaded(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        admin.execute(f"alter role {APP} connection limit 0".encode())
        try:
            assert condition_in(probe(bundle)) == (503, "unhealthy", ["overloaded"])
        finally:
            admin.execute(f"alter role {APP} connection limit -1".encode())
    assert condition_in(probe(bundle)) == (200, "healthy", [])


@pytest.mark.parametrize("database", ["pooled"], indirect=True)
def test_a_pooler_without_a_free_connection_is_overloaded(
    bundle: Bundle, database: Database, pooler: PgBouncer
) -> None:
    with pooler.only_connection_taken(database.app_url):
        assert condition_in(probe(bundle)) == (503, "unhealthy", ["overloaded"])
    assert condition_in(probe(bundle)) == (200, "healthy", [])


def test_a_probe_without_time_left_is_unhealthy(bundle: Bundle) -> None:
    bundle.context.milliseconds = 400
    assert condition_in(probe(bundle)) == (503, "unhealthy", ["deadline"])


def test_a_database_that_does_not_answer_is_unhealthy_in_time(bundle: Bundle, database: Database) -> None:
    assert bundle.read("demo").status == 404
    with held(database, "lock table robot_brain.refresh_state in access exclusive mode", LONGEST + 0.5):
        assert condition_in(probe(bundle)) == (503, "unhealthy", ["deadline"])
    assert condition_in(probe(bundle)) == (200, "healthy", [])


def test_a_stale_connection_does_not_make_the_report_unhealthy(bundle: Bundle, database: Database) -> None:
    assert bundle.read("demo").status == 404
    with database.admin() as admin:
        admin.execute(
            "select pg_terminate_backend(pid, 30000) from pg_stat_activity"
            " where usename = %s and datname = current_database()",
            [APP],
        )
    assert probe(bundle).status == 200


@pytest.mark.parametrize("url", ["no URL", "postgresql://u:MARKED-4711@[x/d"])
def test_settings_that_cannot_be_read_are_a_500(url: str) -> None:
    with unhurried({"DATABASE_URL": url}) as functions:
        reply = functions.database_health()
        assert_problem(reply, 500, functions.context.aws_request_id)
