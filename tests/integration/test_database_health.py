"""GET /health/database reports healthy or degraded with its reasons, within the time of a probe."""

import time
from collections.abc import Iterator

import pytest

from robot_brain.database import api as database_calls
from robot_brain.database.connection import lazy_connection
from robot_brain.database.patterns import LATELY
from tests.integration.held_locks import deadlock, held
from tests.integration.probes import assert_no_figures, condition_in, probe, unhurried
from tests.support.bundle import Bundle, turn
from tests.support.neon.api import NeonApi
from tests.support.servers.databases import APP, Database
from tests.support.servers.failing import never_answers


@pytest.fixture
def bundle(database: Database) -> Iterator[Bundle]:
    """The functions on `database`."""
    with unhurried({"DATABASE_URL": database.app_url}) as functions:
        yield functions


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
