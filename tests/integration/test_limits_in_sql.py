"""The limits of the contract hold in SQL too, so a call with the runtime password harms no other tenant.

The tests call the SQL functions as robot_brain_app, without the layer. A call is refused and writes nothing,
or it succeeds and changes nothing for other tenants.
"""

import json
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from robot_brain.limits import (
    MAX_PAGE_TURNS,
    MAX_PERSONALITIES,
    MAX_TURNS,
    STATS_DAYS,
    TOP_SESSIONS,
)
from tests.integration.edge import row_counts
from tests.integration.odd_calls import CHECK, INTERACTION, REFUSED, TAKEN, TURN, WRITE
from tests.support.bundle import Bundle, turn
from tests.support.servers.databases import Database


def call(connection: psycopg.Connection, function: str, arguments: dict[str, Any]) -> tuple[Any, ...]:
    """Call a function of robot_brain_api with named parameters."""
    names = ", ".join(f"{name} => %({name})s" for name in arguments)
    row = connection.execute(f"select * from robot_brain_api.{function}({names})".encode(), arguments).fetchone()
    assert row is not None
    return row


COUNTED = """
select
  (select sum(messages) from robot_brain.tenant_stats) = turns
  and (select sum(messages) from robot_brain.personality_stats) = turns
  and (select sum(message_count) from robot_brain.sessions) = turns
  and (select sum(sessions) from robot_brain.tenant_stats) = (select count(*) from robot_brain.sessions)
  and (select sum(interactions) from robot_brain.tenant_stats) = (select count(*) from robot_brain.robot_interactions)
  and not exists (select from robot_brain.uncounted)
from (select count(*) as turns from robot_brain.conversations) c
"""


def assert_no_tenant_is_harmed(bundle: Bundle, database: Database) -> None:
    """Assert that another tenant can write and read and is counted, and that a refresh does all its steps."""
    assert bundle.write("mine", turn(interaction=INTERACTION), {"idempotency-key": "k"}).status == 201
    assert set(bundle.refresh()) == {
        "counted", "as_of", "months_made", "keys_cleared", "turns_erased", "audit_chained", "words_made",
    }  # fmt: skip
    assert bundle.stats().json["totals"] == {"sessions": 1, "messages": 1, "interactions": 1}
    assert len(bundle.read("mine").json["messages"]) == 1
    assert bundle.database_health().json["status"] == "healthy"
    with database.admin() as admin:
        assert admin.execute(COUNTED).fetchone() == (True,)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("name", REFUSED)
def test_a_write_over_a_limit_is_refused_and_writes_nothing(database: Database, name: str) -> None:
    arguments, sqlstate = REFUSED[name]
    with database.app() as connection, database.admin() as admin:
        for key in (None, "key"):
            for _ in range(2):
                with pytest.raises(psycopg.Error) as raised:
                    call(connection, "write_message", WRITE | arguments | {"p_key": key})
                assert raised.value.sqlstate == sqlstate, raised.value
                if sqlstate == CHECK:
                    assert raised.value.diag.constraint_name
        assert set(row_counts(admin).values()) == {0}
        assert admin.execute("select count(*) from robot_brain.uncounted").fetchone() == (0,)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("name", TAKEN)
def test_an_odd_write_that_sql_accepts_harms_no_other_tenant(bundle: Bundle, database: Database, name: str) -> None:
    arguments = WRITE | TAKEN[name]
    with database.app() as connection:
        for _ in range(2):
            call(connection, "write_message", arguments)
        place = {key: arguments[key] for key in ("p_tenant_id", "p_session_id")}
        assert call(connection, "read_session", place)[1] is not None
        assert (
            json.loads(call(connection, "stats", {"p_tenant_id": place["p_tenant_id"]})[0])["totals"]["sessions"] == 1
        )
    assert_no_tenant_is_harmed(bundle, database)


LARGEST = 2**63 - 1
SMALLEST = -(2**63)
READS: list[dict[str, Any]] = [
    *({"p_limit": limit} for limit in (None, 0, -1, 10**6, -(2**31))),
    *({"p_before": seq} for seq in (None, 0, -1, 1, LARGEST, SMALLEST)),
    *({"p_after": seq} for seq in (None, 0, -1, LARGEST, SMALLEST)),
    *({"p_max_chars": chars} for chars in (None, 0, -1, LARGEST)),
    {"p_before": 3, "p_after": 1},
    {"p_after": 1, "p_max_chars": 1},
    {"p_known_etags": None},
    {"p_known_etags": [None]},
    {"p_known_etags": ['"x"'] * 200_000},
    {"p_known_etags": ["x" * 10**6]},
    {"p_schema_version": None},
]


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_read_beyond_a_limit_gives_an_error_or_a_page_within_the_limit(bundle: Bundle, database: Database) -> None:
    with database.app() as connection:
        for _ in range(3):
            call(connection, "write_message", WRITE | {"p_messages": Jsonb([TURN] * 100)})
        place = {"p_tenant_id": "other", "p_session_id": "s"}
        for arguments in READS:
            try:
                body, etag = call(connection, "read_session", place | arguments)
            except psycopg.errors.NumericValueOutOfRange:
                assert {SMALLEST, LARGEST} & set(arguments.values())
                continue
            seqs = [message["seq"] for message in json.loads(body)["messages"]]
            assert len(seqs) <= MAX_PAGE_TURNS
            assert len(seqs) == MAX_PAGE_TURNS or arguments != {"p_limit": 10**6}
            assert seqs == list(range(seqs[0], seqs[0] + len(seqs))) if seqs else True
            assert etag.startswith('"300.')
        for missing in (None, "", "x" * 10**6, "*"):
            assert call(connection, "read_session", place | {"p_tenant_id": missing}) == (None, None)
            assert call(connection, "read_session", place | {"p_session_id": missing}) == (None, None)
    assert_no_tenant_is_harmed(bundle, database)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_statistics_list_no_more_sessions_and_personalities_than_the_contract_allows(bundle: Bundle) -> None:
    for number in range(TOP_SESSIONS + 1):
        bundle.write(f"s{number}", {"messages": [turn(robot_personality=f"{number} {n}") for n in range(MAX_TURNS)]})
    bundle.refresh()
    figures = bundle.stats().json
    assert figures["totals"]["messages"] > MAX_PERSONALITIES == len(figures["personalities"])
    assert figures["totals"]["sessions"] > TOP_SESSIONS == len(figures["top_sessions"])
    assert len(figures["daily"]) == STATS_DAYS


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_step_of_a_refresh_with_odd_arguments_harms_no_tenant(bundle: Bundle, database: Database) -> None:
    ends = (None, 0, -1, 2**31 - 1, -(2**31))
    with database.app() as connection:
        call(connection, "write_message", WRITE)
        for tenant in (None, "", "*", "x" * 10**6):
            figures = json.loads(call(connection, "stats", {"p_tenant_id": tenant})[0])
            assert figures["totals"] == {"sessions": 0, "messages": 0, "interactions": 0}
            assert figures["personalities"] == figures["top_sessions"] == []
            assert call(connection, "stats", {"p_tenant_id": tenant, "p_session_id": "s"})[0] is None
        for seconds in ends:
            call(connection, "stats", {"p_tenant_id": "other", "p_max_age": seconds})
            call(connection, "health", {"p_max_age": seconds})
            call(connection, "refresh_stats", {"p_if_older": seconds})
        for wait in (None, False, True):
            call(connection, "refresh_view", {"p_wait": wait})
    assert_no_tenant_is_harmed(bundle, database)
