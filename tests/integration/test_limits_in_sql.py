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
    MAX_INTEGER,
    MAX_NAME_LENGTH,
    MAX_PAGE_TURNS,
    MAX_PERSONALITIES,
    MAX_SESSION_ID_LENGTH,
    MAX_TEXT_BYTES,
    MAX_TURNS,
    STATS_DAYS,
    TOP_SESSIONS,
)
from tests.integration.edge import row_counts
from tests.support.bundle import Bundle, Json, turn
from tests.support.random_bodies import FILLING
from tests.support.servers.databases import Database

TURN: Json = {"robot_personality": "p", "user_message": "q", "robot_response": "a", "metadata": {}}
INTERACTION: Json = {"robot_id": "r", "interaction_type": "t", "duration_ms": 1, "success": True}
WRITE: dict[str, Any] = {"p_tenant_id": "other", "p_session_id": "s", "p_messages": Jsonb([TURN])}

NOT_NULL = "23502"
CHECK = "23514"
TOO_LONG = "22001"
INVALID = "22023"


def messages(*changes: Json, **first: Any) -> dict[str, Any]:
    """Return the arguments of a write: one turn changed by `first`, and one more for each of `changes`."""
    return {"p_messages": Jsonb([TURN | first, *(TURN | change for change in changes)])}


def interaction(**changes: Any) -> dict[str, Any]:
    """Return the arguments of a write whose second turn has an interaction with `changes`."""
    return messages({"interaction": INTERACTION | changes})


def deep(depth: int) -> Json:
    """Return an object of `depth` objects, each inside the one before it."""
    value: Json = {}
    for _ in range(depth - 1):
        value = {"a": value}
    return value


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "personality of 8,000 characters": (messages(robot_personality="x" * 8000), TOO_LONG),
    "personality of 51 characters": (messages(robot_personality="x" * (MAX_NAME_LENGTH + 1)), TOO_LONG),
    "personality of 51 characters in the last turn": (
        messages(TURN, {"robot_personality": "ü" * (MAX_NAME_LENGTH + 1)}),
        TOO_LONG,
    ),
    "no personality": (messages(robot_personality=None), NOT_NULL),
    "session id of 101 characters": ({"p_session_id": "x" * (MAX_SESSION_ID_LENGTH + 1)}, TOO_LONG),
    "session id of 8,000 characters": ({"p_session_id": "x" * 8000}, TOO_LONG),
    "no session id": ({"p_session_id": None}, NOT_NULL),
    "tenant of 129 characters": ({"p_tenant_id": "x" * 129}, TOO_LONG),
    "tenant of 8,000 characters": ({"p_tenant_id": "x" * 8000}, TOO_LONG),
    "session id of 100 characters and a space": ({"p_session_id": "x" * MAX_SESSION_ID_LENGTH + " "}, TOO_LONG),
    "tenant of 128 characters and a space": ({"p_tenant_id": "x" * 128 + " "}, "42501"),
    "empty tenant": ({"p_tenant_id": ""}, "42501"),
    "no tenant": ({"p_tenant_id": None}, "42501"),
    "the tenant of the rows of all tenants": ({"p_tenant_id": "*"}, INVALID),
    "user message over 256 KiB": (messages(user_message="x" * (MAX_TEXT_BYTES + 1)), CHECK),
    "user message over 256 KiB of UTF-8": (messages(user_message="ü" * (MAX_TEXT_BYTES // 2 + 1)), CHECK),
    "no user message": (messages(user_message=None), NOT_NULL),
    "robot response over 256 KiB": (messages(robot_response="x" * (MAX_TEXT_BYTES + 1)), CHECK),
    "no robot response": (messages(robot_response=None), NOT_NULL),
    "metadata over 16 KiB": (messages(metadata={"a": "x" * FILLING + "x"}), CHECK),
    "a number of 100,000 digits in metadata": (
        {"p_messages": json.dumps([TURN | {"metadata": {"a": 0}}]).replace('"a": 0', '"a": 1e100000')},
        CHECK,
    ),
    "metadata that is an array": (messages(metadata=[1]), CHECK),
    "metadata that is null": (messages(metadata=None), CHECK),
    "no metadata": ({"p_messages": Jsonb([{k: v for k, v in TURN.items() if k != "metadata"}])}, NOT_NULL),
    "user_metadata over 16 KiB": ({"p_user_metadata": Jsonb({"a": "x" * FILLING + "x"})}, "RB423"),
    "user_metadata that is an array": ({"p_user_metadata": Jsonb([1])}, INVALID),
    "user_metadata that is a JSON null": ({"p_user_metadata": "null"}, INVALID),
    "robot id of 51 characters": (interaction(robot_id="x" * (MAX_NAME_LENGTH + 1)), TOO_LONG),
    "no robot id": (interaction(robot_id=None), NOT_NULL),
    "interaction type of 51 characters": (interaction(interaction_type="x" * (MAX_NAME_LENGTH + 1)), TOO_LONG),
    "no interaction type": (interaction(interaction_type=None), NOT_NULL),
    "duration over 2^31 - 1": (interaction(duration_ms=MAX_INTEGER + 1), "22003"),
    "duration that is not a whole number": (interaction(duration_ms=1.5), "22P02"),
    "no duration": (interaction(duration_ms=None), NOT_NULL),
    "success that is not a boolean": (interaction(success="perhaps"), "22P02"),
    "no success": (interaction(success=None), NOT_NULL),
    "interaction that is null": (messages({"interaction": None}), NOT_NULL),
    "interaction that is an array": (messages({"interaction": [INTERACTION]}), NOT_NULL),
    "101 turns": ({"p_messages": Jsonb([TURN] * (MAX_TURNS + 1))}, INVALID),
    "no turns": ({"p_messages": Jsonb([])}, INVALID),
    "messages that are an object": ({"p_messages": Jsonb(TURN)}, INVALID),
    "messages that are a text": ({"p_messages": Jsonb("x")}, INVALID),
    "messages that are a JSON null": ({"p_messages": "null"}, INVALID),
    "messages that are null": ({"p_messages": None}, INVALID),
    "a turn that is null": ({"p_messages": Jsonb([TURN, None])}, NOT_NULL),
    "a turn that is an array": ({"p_messages": Jsonb([[TURN]])}, NOT_NULL),
    "a turn that is a text": ({"p_messages": Jsonb(["x"])}, NOT_NULL),
    "JSON too deep to read": ({"p_messages": "[" * 100_000 + "]" * 100_000}, "54001"),
}

TAKEN: dict[str, dict[str, Any]] = {
    # The layer refuses these. SQL accepts them, because they harm no other tenant.
    "personality with a million spaces": messages(robot_personality="x" + " " * 10**6),
    "one of many personalities with a million spaces": messages(TURN, robot_personality="x" + " " * 10**6),
    "robot id with a million spaces": interaction(robot_id="x" + " " * 10**6),
    "empty personality": messages(robot_personality=""),
    "empty session id": {"p_session_id": ""},
    "empty robot id": interaction(robot_id=""),
    "empty interaction type": interaction(interaction_type=""),
    "negative duration": interaction(duration_ms=-1),
    "personality of 50 characters of four bytes": messages(robot_personality="🤖" * MAX_NAME_LENGTH),
    "session id of 100 characters of four bytes": {"p_session_id": "🤖" * MAX_SESSION_ID_LENGTH},
    "tenant of 128 characters": {"p_tenant_id": "x" * 128},
    "texts of 256 KiB": messages(user_message="x" * MAX_TEXT_BYTES, robot_response="ü" * (MAX_TEXT_BYTES // 2)),
    "metadata of 16 KiB": messages(metadata={"a": "x" * FILLING}),
    "metadata 2,300 deep": messages(metadata=deep(2_300)),
    "100 turns of one personality each": {
        "p_messages": Jsonb(
            [TURN | {"robot_personality": f"{n:03}" + "🤖" * (MAX_NAME_LENGTH - 3)} for n in range(MAX_TURNS)]
        )
    },
    "key of 1 MB": {"p_key": "k" * 2**20},
    "empty key": {"p_key": ""},
    "if-match of 1 MB": {"p_if_match": None, "p_key": "é\n,"},
    "no user_metadata": {"p_user_metadata": None},
    "no first id": {"p_first_id": None, "p_repeated": None},
    "repeated without a first id": {"p_repeated": True},
    "no schema version": {"p_schema_version": None},
    "duration of 2^31 - 1": interaction(duration_ms=MAX_INTEGER),
}


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
    assert set(bundle.refresh()) == {"counted", "as_of", "months_made", "keys_cleared"}
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
