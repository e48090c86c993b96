"""The answers of the functions agree with the contract and docs/openapi.json: bodies, headers and statuses."""

import json
from typing import Any

import pytest

from contract.document import ROUTES
from contract.route import Route
from tests.integration.answered_audit import AUDIT, OF_AUDIT, UNSERVED_AUDIT
from tests.integration.answered_callers import OF_CALLERS
from tests.integration.answered_changes import (
    CHANGES_AND_LISTS,
    ERASE,
    EVENT_OF,
    LIST,
    PATCH,
    READ,
    REMOVE,
    REPLACE,
    UNSERVED_CHANGES,
    WRITE,
)
from tests.integration.answered_search import OF_SEARCH, SEARCH, UNSERVED_SEARCH
from tests.integration.answered_users import (
    CREATE_USER,
    ERASE_USER,
    EVENT_OF_USER,
    LIST_USERS,
    OF_USERS,
    PATCH_USER,
    PUT_USER,
    READ_USER,
    UNSERVED_USERS,
)
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import Send, function_of, get, other, post
from tests.support.bundle import EVENTS, Bundle, deployed, event, turn
from tests.support.documented import operations, resolved
from tests.support.servers.databases import Database

STATS = "GET /stats"
HEALTH = "GET /health"
HEAD = "HEAD /health"
DATABASE = "GET /health/database"
KEY = {"idempotency-key": "order-4711"}
NEW = {"user_message": "", "robot_response": "", "robot_personality": "barista"}
# Sent in this order. Each has a route, a status and a request.
REQUESTS: list[tuple[str, int, Send]] = [
    (WRITE, 201, lambda b: b.write("s", turn(interaction=event_interaction()), KEY)),
    (WRITE, 201, lambda b: b.write("s", turn(interaction=event_interaction()), KEY)),
    (WRITE, 201, lambda b: b.write("s", {"messages": [turn(2), turn(3)], "user_metadata": {"a": None}})),
    (WRITE, 400, post("{")),
    (WRITE, 400, lambda b: b.write("s", turn(), {"if-match": "7"})),
    (WRITE, 412, lambda b: b.write("s", turn(), {"if-match": '"7"'})),
    (WRITE, 412, lambda b: b.write("unknown", turn(), {"if-match": '"7"'})),
    (WRITE, 413, lambda b: b.write("s", " " * (4 * 1024 * 1024 + 1))),
    (WRITE, 415, post(NEW, content_type="text/plain")),
    (WRITE, 422, post({"messages": [{}, {"x": 1}], "user_metadata": None})),
    (WRITE, 422, post(NEW, session="a/b")),
    (WRITE, 422, lambda b: b.write("s", turn(9), KEY)),
    (READ, 200, lambda b: b.read("s")),
    (READ, 200, lambda b: b.read("s", limit=1, before=3)),
    (READ, 200, lambda b: b.read("s", after=3)),
    (READ, 304, lambda b: b.read("s", {"if-none-match": "*"})),
    (READ, 400, get("limit=%zz")),
    (READ, 404, lambda b: b.read("unknown")),
    (READ, 422, lambda b: b.read("s", limit=0, page=1)),
    (READ, 200, lambda b: b.read("s")),
    (READ, 200, lambda b: b.read("s")),
    *CHANGES_AND_LISTS,
    *OF_USERS,
    *OF_AUDIT,
    *OF_SEARCH,
    (STATS, 200, lambda b: b.stats()),
    (STATS, 200, lambda b: b.stats(session_id="s")),
    (STATS, 400, other("stats", "%")),
    (STATS, 404, lambda b: b.stats(session_id="unknown")),
    (STATS, 422, lambda b: b.stats(session_id="")),
    (HEALTH, 200, lambda b: b.health()),
    (HEALTH, 400, other("health", "%")),
    (HEALTH, 422, other("health", "page=1")),
    (HEAD, 200, lambda b: b.call("health", event("health_head"))),
    (HEAD, 422, other("health_head", "page=1")),
    (DATABASE, 200, lambda b: b.database_health()),
    (DATABASE, 422, other("stats_database_health", "page=1")),
]
# Sent without a database that answers, or without settings.
UNSERVED: list[tuple[str, Send]] = [
    (WRITE, lambda b: b.write("s", turn())),
    (READ, lambda b: b.read("s")),
    *UNSERVED_CHANGES,
    *UNSERVED_USERS,
    *UNSERVED_AUDIT,
    *UNSERVED_SEARCH,
    (STATS, lambda b: b.stats()),
    (DATABASE, lambda b: b.database_health()),
]


def event_interaction() -> Any:
    """Return the interaction of events/write_message_batch.json."""
    return json.loads(event("write_message_batch")["body"])["messages"][1]["interaction"]


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_every_answer_is_described_in_the_document(bundle: Bundle) -> None:
    for route, status, send in REQUESTS:
        reply = send(bundle)
        assert reply.status == status, (route, reply.body)
        assert_documented(route, reply)
    for url, status in (("postgresql://app:x@127.0.0.1:1/db", 503), ("mysql://", 500)):
        with deployed({"DATABASE_URL": url}) as functions:
            for route, send in UNSERVED:
                reply = send(functions)
                assert reply.status == status, (route, reply.body)
                assert_documented(route, reply)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_every_answer_to_an_end_user_and_to_a_service_is_described_in_the_document(database: Database) -> None:
    with deployed({"DATABASE_URL": database.app_url, "AUTH": "jwt"}):
        for caller, route, status, send in OF_CALLERS:
            reply = send(caller)
            assert reply.status == status, (route, reply.body)
            assert_documented(route, reply)


def shape(value: Any) -> Any:
    """Return a value without its texts and numbers, and with only the first element of each list."""
    if isinstance(value, dict):
        return {name: shape(member) for name, member in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1]]
    return "number" if type(value) in (int, float) else type(value).__name__


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_the_examples_of_answers_in_the_document_are_the_answers_to_the_events(
    bundle: Bundle, database: Database
) -> None:
    for function, name, route, example in (
        ("write_message", "write_message", WRITE, "write_message"),
        ("read_session", "read_session", READ, "read_session"),
        ("edit_session", "edit_session", PATCH, "edit_session"),
        ("read_session", "read_session_list", LIST, "list_sessions"),
        ("write_message", "write_message_replace", REPLACE, "replace_turn"),
        ("edit_session", "edit_session_remove", REMOVE, "remove_turns"),
        ("stats", "stats", STATS, "stats"),
        ("stats", "stats_session", STATS, "stats_session"),
        ("health", "health", HEALTH, "health"),
        ("stats", "stats_database_health", DATABASE, "healthy"),
        ("edit_user", "edit_user", PUT_USER, "created_user"),
        ("edit_user", "edit_user", PUT_USER, "replaced_user"),
        ("read_user", "read_user", READ_USER, "read_user"),
        ("read_user", "read_user_list", LIST_USERS, "list_users"),
        ("edit_user", "edit_user_patch", PATCH_USER, "patch_user"),
        ("edit_user", "edit_user_erase_dry_run", ERASE_USER, "erase_user_dry_run"),
        ("edit_user", "edit_user_create", CREATE_USER, "create_user"),
    ):
        reply = bundle.call(function, event(name))
        bundle.refresh()
        content = operations()[route]["responses"][str(reply.status)]["content"]["application/json"]
        documented = content["examples"][example]["value"]
        assert shape(reply.json) == shape(documented)
        assert list(reply.json) == list(documented)
        if name == "write_message":
            # Both answers are about the session's first turn, so their numbers are equal, too.
            assert {**reply.json, "messages": None} == {**documented, "messages": None}


def test_the_examples_of_problems_in_the_document_are_the_answers_to_the_bad_events(
    embedded_database: Database,
) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        said = [functions.call(function_of(sent), sent).json for sent in bad_events()]
    for route in (
        WRITE,
        READ,
        STATS,
        REPLACE,
        PATCH,
        REMOVE,
        ERASE,
        LIST,
        AUDIT,
        SEARCH,
        *(each for each, _ in UNSERVED_USERS),
    ):
        for status in ("400", "422"):
            content = operations()[route]["responses"][status]["content"]["application/problem+json"]
            for reference in content["examples"].values():
                example = resolved(reference)["value"]
                if "session_id" not in example and not is_of_a_state(example):
                    alike = [{**each, "request_id": example["request_id"]} for each in said]
                    assert example in alike


def is_of_a_state(example: Any) -> bool:
    """Return whether a problem depends on what is stored, so that no event alone can cause it."""
    return [error["type"] for error in example.get("errors", [])] == ["email_taken"]


def bad_events() -> list[Any]:
    """Return the events of events/bad."""
    return [event(f"bad/{path.stem}") for path in sorted((EVENTS / "bad").glob("*.json"))]


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_a_function_accepts_exactly_the_parameters_of_the_document(bundle: Bundle, route: Route) -> None:
    sent = event((EVENT_OF | EVENT_OF_USER).get(route.name, route.name))
    reply = bundle.call(function_of(sent), sent | {"rawQueryString": "page=1"})
    named = [
        each["name"]
        for each in operations()[f"{route.method} {route.path}"].get("parameters", [])
        if each["in"] == "query"
    ]
    known = ", ".join(sorted(named)) or "none"
    assert [error["msg"] for error in reply.json["errors"]] == [f"unknown parameter; known: {known}"]


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_the_numbers_in_the_query_have_the_bounds_and_defaults_of_the_document(bundle: Bundle) -> None:
    numbers = [each for each in operations()[READ]["parameters"] if each["schema"]["type"] == "integer"]
    assert len(numbers) == 4
    bundle.write("s", turn())
    for parameter in numbers:
        least, most = parameter["schema"]["minimum"], parameter["schema"]["maximum"]
        for value, status in ((least, 200), (most, 200), (least - 1, 422), (most + 1, 422)):
            assert bundle.read("s", **{parameter["name"]: value}).status == status
    default = operations()[READ]["parameters"][1]["schema"]["default"]
    bundle.write("s", {"messages": [turn(number) for number in range(default)]})
    assert len(bundle.read("s").json["messages"]) == default
