"""The log reports a pattern of failures once, with advice, and a slow call with its name and time only."""

from collections.abc import Callable
from typing import Any

import pytest

from robot_brain.database.connection import lazy_connection
from robot_brain.database.patterns import WAKE, patterns
from tests.bench.relay import relay_to
from tests.integration.held_locks import deadlock, held
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.private_text import PRIVATE
from tests.support.servers.databases import APP, Database
from tests.support.servers.pgbouncer import PgBouncer

Lines = Callable[[], list[dict[str, Any]]]

ORDER = {"interaction_type": "order", "duration_ms": 1, "success": True}
embedded = pytest.mark.parametrize("database", ["embedded"], indirect=True)


def reported(lines: Lines) -> list[str]:
    """Return the patterns in the log so far, and assert that each is a warning with advice."""
    found = [line for line in lines() if line["message"] == "pattern"]
    assert all(line["level"] == "WARNING" and len(line["advice"]) > 40 for line in found)
    return [line["pattern"] for line in found]


def set_login(database: Database, allowed: str) -> None:
    """Set whether the functions' role may log in: `login` or `nologin`."""
    with database.admin() as admin:
        admin.execute(f"alter role {APP} {allowed}".encode())


@embedded
def test_failed_connections_in_a_row_are_reported_once_and_again_after_a_success(database: Database) -> None:
    environment = {"DATABASE_URL": database.app_url, "DB_MAX_RETRIES": "1"}
    with deployed(environment) as functions, logged() as lines:
        try:
            for streak in (1, 2):
                set_login(database, "nologin")
                for number in range(6):
                    assert functions.read("demo").status == 503
                    assert len(reported(lines)) == (streak if number >= 2 else streak - 1)
                set_login(database, "login")
                assert functions.read("demo").status == 404
                lazy_connection().discard()
        finally:
            set_login(database, "login")
        assert reported(lines) == ["connection_failures"] * 2
        assert [line["PatternConnectionFailures"] for line in lines() if "PatternConnectionFailures" in line] == [
            [1]
        ] * 2


def test_a_server_that_is_away_is_reported_once() -> None:
    url = "postgresql://u:p@127.0.0.1:1/d"
    with deployed({"DATABASE_URL": url}) as functions, logged() as lines:
        for _ in range(3):
            assert functions.write("demo", turn()).status == 503
        assert reported(lines) == ["connection_failures"]
        assert (patterns().failures, patterns().retries) == (3, 6)


@pytest.mark.parametrize("database", ["pooled"], indirect=True)
def test_a_pooler_without_connections_is_reported_once(database: Database, pooler: PgBouncer) -> None:
    environment = {"DATABASE_URL": database.app_url, "DB_MAX_RETRIES": "1"}
    with deployed(environment) as functions, logged() as lines:
        with pooler.only_connection_taken(database.app_url):
            assert [functions.read("demo").status for _ in range(3)] == [503] * 3
        assert functions.read("demo").status == 404
        assert reported(lines) == ["pool_exhaustion"]


def test_a_deadlock_is_reported_once_and_the_write_succeeds(bundle: Bundle, database: Database) -> None:
    with logged() as lines:
        for number in (1, 2):
            thread = deadlock(database)
            assert bundle.write("demo", turn(number, interaction=ORDER)).json["message_count"] == number
            thread.join()
        assert reported(lines) == ["deadlock"]
    assert (patterns().retries, patterns().failures) == (2, 0)


@embedded
def test_calls_slower_than_usual_are_reported_once(bundle: Bundle, database: Database) -> None:
    lock = "lock table robot_brain.sessions in access exclusive mode"
    with logged() as lines:
        # The fewest calls after which calls can be slow, so that a busy machine is unlikely to cause a pattern itself.
        for _ in range(21):
            assert bundle.write("demo", turn()).status == 201
        for _ in range(4):
            with held(database, lock, 1.0):
                assert bundle.write("demo", turn(user_message=PRIVATE)).status == 201
        assert reported(lines) == ["slower_than_usual"]
        (line,) = [line for line in lines() if line["message"] == "pattern"]
        assert line["sql_function"] == "write_message"
        assert line["milliseconds"] >= 1000 > line["usual_milliseconds"]
        assert PRIVATE not in str(lines())


def test_a_slow_call_is_logged_with_its_name_and_milliseconds(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url, "DB_SLOW_QUERY_MS": "200"}) as functions:
        assert functions.write("demo", turn()).status == 201
        with logged() as lines, held(database, "select from robot_brain.sessions for update", 0.2):
            reply = functions.write(
                "demo",
                turn(user_message=PRIVATE, metadata={PRIVATE: PRIVATE}),
                {"idempotency-key": PRIVATE},
            )
        assert reply.status == 201
        (line,) = lines()
    assert line["slow_query"] == "write_message"
    assert line["slow_query_ms"] >= 200
    assert PRIVATE not in str(line)
    assert line["SlowQueries"] == [1]


@embedded
def test_a_connection_that_took_as_long_as_a_wake_counts_as_a_wake(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = database.postgres.address.host
    with relay_to(f"{folder}/.s.PGSQL.{database.postgres.address.port}") as relay:
        url = f"postgresql://{APP}@127.0.0.1:{relay.port}/{database.name}?sslmode=disable"
        with deployed({"DATABASE_URL": url}) as functions:
            relay.hold(2 * WAKE)
            assert functions.read("demo").status == 404
            assert functions.database_health().json["environment"]["wakes"] == 1
    assert capsys.readouterr().out.count('"Wakes":[1') == 1
