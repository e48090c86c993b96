"""GET /health/database reports waking or unhealthy with its reason, within the time of a probe."""

from collections.abc import Iterator

import psycopg
import pytest

from robot_brain.database import condition
from tests.integration.edge import assert_problem
from tests.integration.held_locks import held
from tests.integration.probes import assert_no_figures, condition_in, probe, unhurried
from tests.support.bundle import Bundle
from tests.support.log_lines import logged
from tests.support.marks import over_tcp
from tests.support.servers.databases import APP, Database
from tests.support.servers.failing import never_answers, refuses_connections
from tests.support.servers.pgbouncer import PgBouncer

# The limit of a report, in seconds. It is 3 s in production.
SOON = 1.0


@pytest.fixture
def bundle(database: Database) -> Iterator[Bundle]:
    """The functions on `database`."""
    with unhurried({"DATABASE_URL": database.app_url}) as functions:
        yield functions


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
        assert condition_in(reply) == (503, "unhealthy", ["schema_missing"])
        assert "if it had data, restore a backup" in lines()[-1]["reason"]
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


def test_a_database_that_does_not_answer_is_unhealthy_in_time(
    bundle: Bundle, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert bundle.read("demo").status == 404
    with (
        monkeypatch.context() as patched,
        held(database, "lock table robot_brain.refresh_state in access exclusive mode", SOON + 0.5),
    ):
        patched.setattr(condition, "LONGEST", SOON)
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
