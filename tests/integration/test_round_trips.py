"""Every request is one statement in the server's statistics, and one round trip on the wire."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.bench.relay import Relay, relay_to
from tests.support.bundle import Bundle, Json, deployed, turn
from tests.support.servers.databases import APP, Database

REQUESTS: dict[str, Callable[[Bundle], int]] = {
    "write": lambda bundle: bundle.write("s", turn()).status,
    "write a batch": lambda bundle: bundle.write("s", {"messages": [turn()] * 50}).status,
    "write with a key": lambda bundle: bundle.write("s", turn(), {"idempotency-key": "new"}).status,
    "replay": lambda bundle: bundle.write("s", turn(), {"idempotency-key": "old"}).status,
    "failed precondition": lambda bundle: bundle.write("s", turn(), {"if-match": '"99"'}).status,
    "read": lambda bundle: bundle.read("s").status,
    "read nothing new": lambda bundle: bundle.read("s", {"if-none-match": "*"}).status,
    "read of an unknown session": lambda bundle: bundle.read("unknown").status,
    "replacement": lambda bundle: bundle.replace("s", 1, turn_texts()).status,
    "replacement of an unknown turn": lambda bundle: bundle.replace("s", 9, turn_texts()).status,
    "patch": lambda bundle: bundle.patch("s", {"user_metadata": {"a": 1}, "user_id": "u"}).status,
    "removal": lambda bundle: bundle.remove("s", 0).status,
    "erasure": lambda bundle: bundle.erase("s").status,
    "erasure of an unknown session": lambda bundle: bundle.erase("unknown").status,
    "list": lambda bundle: bundle.sessions(preview="true", user_id="u").status,
    "search": lambda bundle: bundle.search("answer", order="relevance").status,
    "search for nothing": lambda bundle: bundle.search("-answer").status,
    "stats": lambda bundle: bundle.stats().status,
    "stats of a session": lambda bundle: bundle.stats(session_id="s").status,
    "deep health": lambda bundle: bundle.database_health().status,
}
EXPECTED = {
    "failed precondition": 412,
    "read nothing new": 304,
    "read of an unknown session": 404,
    "replacement of an unknown turn": 404,
    "search for nothing": 422,
    "erasure": 204,
    "erasure of an unknown session": 404,
}


def turn_texts() -> Json:
    """Return the body of a replacement."""
    return {"user_message": "a", "robot_response": "b"}


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("database", ["tls", "pooled"], indirect=True)
def test_a_request_is_one_statement_to_the_server(bundle: Bundle, database: Database, name: str) -> None:
    bundle.write("s", turn(), {"idempotency-key": "old"})
    with database.admin() as admin:
        admin.execute("create extension pg_stat_statements")
        admin.execute("select pg_stat_statements_reset()")
        status = REQUESTS[name](bundle)
        calls = admin.execute(
            "select s.query, s.calls from pg_stat_statements s join pg_roles r on r.oid = s.userid"
            " where r.rolname = 'robot_brain_app_a'"
            " and s.dbid = (select oid from pg_database where datname = current_database())"
            " and s.toplevel"
        ).fetchall()
    assert status in (EXPECTED.get(name, status), 200, 201)
    # The server does not count a statement that raises. The test of round trips shows that it was sent once.
    assert sum(count for _, count in calls) == (0 if EXPECTED.get(name) in (412, 422) else 1), calls


@contextmanager
def counted(database: Database) -> Iterator[tuple[Bundle, Relay]]:
    """Yield the functions and the relay through which they reach `database`."""
    address = database.postgres.address
    with relay_to(f"{address.host}/.s.PGSQL.{address.port}") as relay:
        url = f"postgresql://{APP}@127.0.0.1:{relay.port}/{database.name}?sslmode=disable"
        with deployed({"DATABASE_URL": url}) as bundle:
            yield bundle, relay


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_is_one_round_trip_on_the_wire(embedded_database: Database, name: str) -> None:
    with counted(embedded_database) as (bundle, relay):
        bundle.write("s", turn(), {"idempotency-key": "old"})
        before = relay.counted().round_trips
        status = REQUESTS[name](bundle)
        assert relay.counted().round_trips - before == 1
    assert status == EXPECTED.get(name, status)
    assert status in (200, 201, 204, 304, 404, 412, 422)


def test_get_health_sends_nothing_to_the_database(embedded_database: Database) -> None:
    with counted(embedded_database) as (bundle, relay):
        assert bundle.health().status == 200
        assert relay.counted().round_trips == 0
