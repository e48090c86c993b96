"""An execution environment opens one connection when it first needs it, reuses it, and replaces a stale one."""

import time

import psycopg
import pytest

from robot_brain import environment
from robot_brain.database.connection import LazyConnection, lazy_connection
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.marks import every_kind, without_pooler
from tests.support.servers.databases import APP, Database


def counters() -> tuple[int, int, int]:
    """Return how often this environment opened, reused and discarded a connection."""
    lazy: LazyConnection = lazy_connection()
    return lazy.opened, lazy.reused, lazy.retired


def server_processes(admin: psycopg.Connection) -> list[int]:
    """Return the pids of the server processes of the functions' role in this database."""
    found = admin.execute(
        "select pid from pg_stat_activity where usename = %s and datname = current_database()", [APP]
    ).fetchall()
    return [pid for (pid,) in found]


def terminate(database: Database) -> None:
    """End the server processes of the functions, and wait until they are gone."""
    with database.admin() as admin:
        ended = server_processes(admin)
        assert ended
        for pid in ended:
            admin.execute("select pg_terminate_backend(%s, 30000)", [pid])
        assert not set(ended) & set(server_processes(admin))


@pytest.mark.parametrize(
    "variables", [{}, {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/d"}, {"DATABASE_URL": "no URL"}]
)
def test_health_needs_no_database_and_no_settings(variables: dict[str, str]) -> None:
    with deployed(variables) as functions:
        reply = functions.health()
        assert (reply.status, reply.json["status"]) == (200, "ok")
        assert LazyConnection not in environment.current.objects


@every_kind
def test_bad_requests_and_health_open_no_connection(bundle: Bundle, database: Database) -> None:
    assert bundle.health().status == 200
    assert bundle.write("demo", "{").status == 400
    assert bundle.write("demo", {}).status == 422
    assert bundle.read("demo", limit=0).status == 422
    with database.admin() as admin:
        assert server_processes(admin) == []
    assert LazyConnection not in environment.current.objects


@every_kind
def test_one_connection_serves_every_request(bundle: Bundle, database: Database) -> None:
    assert bundle.write("demo", turn()).status == 201
    assert bundle.write("demo", {}).status == 422
    assert bundle.write("demo", turn(), {"if-match": '"9"'}).status == 412
    assert bundle.read("demo").status == 200
    assert bundle.read("nowhere").status == 404
    assert bundle.stats().status == 200
    assert bundle.refresh()["as_of"]
    assert bundle.database_health().status == 200
    # A refresh has seven steps. The last one makes words, and is repeated until no turn lacks them.
    assert counters() == (1, 13, 0)
    with database.admin() as admin:
        assert len(server_processes(admin)) == 1


@every_kind
def test_the_health_report_shows_tls_and_the_pooler(bundle: Bundle, database: Database) -> None:
    report = bundle.database_health().json
    assert (report["tls"], report["pooled"]) == (database.kind != "embedded", database.kind == "pooled")
    assert report["environment"]["connections"] == {"opened": 1, "reused": 0, "retired": 0}


@every_kind
def test_a_connection_that_the_server_closed_is_replaced_without_an_error(bundle: Bundle, database: Database) -> None:
    assert bundle.write("demo", turn(1)).status == 201
    terminate(database)
    assert bundle.write("demo", turn(2)).json["message_count"] == 2
    terminate(database)
    assert [message["seq"] for message in bundle.read("demo").json["messages"]] == [1, 2]
    terminate(database)
    assert bundle.refresh()["as_of"]


@without_pooler
def test_a_closed_connection_is_detected_before_a_call_is_sent(bundle: Bundle, database: Database) -> None:
    assert bundle.write("demo", turn()).status == 201
    terminate(database)
    with logged() as lines:
        assert bundle.read("demo").status == 200
        assert "database_error" not in lines()[-1]
    assert counters() == (2, 0, 1)


@every_kind
def test_a_connection_that_the_client_closed_is_replaced(bundle: Bundle) -> None:
    assert bundle.write("demo", turn()).status == 201
    connection = lazy_connection()._connection
    assert connection is not None
    connection.close()
    assert bundle.read("demo").status == 200
    assert counters() == (2, 0, 1)


@every_kind
def test_an_idle_connection_is_replaced_after_db_idle_timeout(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url, "DB_IDLE_TIMEOUT": "1"}) as functions:
        for _ in range(3):
            assert functions.write("demo", turn()).status == 201
            time.sleep(0.01)
        assert counters() == (3, 0, 2)


@every_kind
def test_a_connection_is_reused_after_errors_of_a_request(bundle: Bundle) -> None:
    key = {"idempotency-key": "k"}
    assert bundle.write("demo", turn(1), key).status == 201
    assert bundle.write("demo", turn(2), key).status == 422
    assert bundle.write("demo", turn(1), {"if-match": '"5"'}).status == 412
    assert bundle.write("demo", turn(2)).json["message_count"] == 2
    assert counters() == (1, 3, 0)
