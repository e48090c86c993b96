"""GET /audit: its parameters, its events, its cursors, and answers that the document describes."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, LiteralString

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError
from robot_brain.http import parameters
from robot_brain.limits import DEFAULT_AUDIT_ENTRIES, MAX_ACTOR_LENGTH, MAX_AUDIT_ENTRIES
from tests.integration.answered_audit import AUDIT
from tests.integration.answered_callers import SCOPE, Signed
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem, function_of, other
from tests.support.bundle import EVENTS, Bundle, deployed, event, turn
from tests.support.documented import operations
from tests.support.servers.databases import Database

# Another test sends the events of callers.
FILES = [path.stem for path in sorted(EVENTS.glob("read_audit*.json")) if "jwt" not in path.stem]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OFFSETS = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
TIMES = st.datetimes(timezones=OFFSETS).map(datetime.isoformat) | st.dates().map(str)
# A client of the same pooler can leave these settings in a connection.
SETTINGS: list[LiteralString] = [
    "set datestyle = 'SQL, DMY'; set timezone = 'America/New_York'",
    "set datestyle = 'German, MDY'; set timezone = 'Pacific/Kiritimati'",
    "set datestyle = 'Postgres, YMD'; set timezone = 'UTC'",
]
# The microseconds of no time that PostgreSQL has, and values that are no number of microseconds.
NUMBERS: list[object] = [-1, -(2**63), 2**63 - 1, 2**63, 10**30, 1e300, 0.5, "x", None, True, [], {}]
IDS: list[object] = ["9" * 19, "-1", "", "x", "1.5", " 1", "1\n", None, 1.5, True, [], {}]


@pytest.mark.parametrize("statement", SETTINGS)
def test_postgresql_reads_each_accepted_time_as_the_same_instant(
    embedded_database: Database, statement: LiteralString
) -> None:
    with embedded_database.app() as connection:
        connection.execute(statement)

        @settings(max_examples=500, deadline=None, database=None)
        @given(TIMES)
        def check(text: str) -> None:
            try:
                found = parameters.moment({"from": text}, "from")
            except InvalidRequestError:
                return
            expected = datetime.fromisoformat(text if "T" in text else f"{text}T00:00:00Z")
            microseconds = (expected - EPOCH) // timedelta(microseconds=1)
            query = "select extract(epoch from %s::timestamptz) * 1000000"
            assert connection.execute(query, [found]).fetchone() == (microseconds,)

        check()


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize(
    "time",
    [
        "2026-11-28T12:00:00+15:59",
        "2026-11-28T12:00:00+16:00",
        "2026-11-28T12:00:00-23:59",
        "0001-01-01",
        "0001-01-01T00:00:00-23:59",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59+23:59",
    ],
)
def test_a_time_at_a_limit_of_rfc_3339_is_answered(embedded_database: Database, name: str, time: str) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        reply = functions.audit(**{name: time})
        assert (reply.status, reply.json) == (200, {"entries": [], "page": {"cursor": None}})


@pytest.mark.parametrize("name", FILES)
def test_an_event_of_the_audit_trail_is_accepted(bundle: Bundle, name: str) -> None:
    assert bundle.call(function_of(event(name)), event(name)).status == 200


def test_the_example_of_the_document_is_the_entry_of_a_new_owner(embedded_database: Database) -> None:
    content = operations()[AUDIT]["responses"]["200"]["content"]["application/json"]
    documented = content["examples"]["read_audit"]["value"]
    with deployed({"DATABASE_URL": embedded_database.app_url, "AUTH": "jwt"}) as functions:
        caller = Signed("desk", SCOPE)
        assert caller.write("demo", turn()).status == 201
        assert caller.patch("demo", {"user_id": "ann"}).status == 200
        functions.refresh()
        found = caller.call("read_audit", event("read_audit_record")).json
    changing = ("n", "hash", "created_at", "request_id", "user_id")
    for whole in (found, documented):
        (entry,) = whole["entries"]
        assert [type(entry[name]) for name in changing] == [int, str, str, str, str]
    assert list(found["entries"][0]) == list(documented["entries"][0])
    for name in changing:
        found["entries"][0][name] = documented["entries"][0][name]
    assert found == documented


def changes(functions: Bundle, count: int) -> None:
    """Create `count` users, each of which leaves an entry."""
    for number in range(count):
        assert functions.user("PUT", f"u{number:03}", {"email": f"u{number}@example.com"}).status == 201


def test_each_kind_of_entry_is_described_in_the_document_before_and_after_it_is_chained(bundle: Bundle) -> None:
    written = json.loads(event("write_message")["body"])
    assert bundle.write("demo", {"messages": [written, written]}).status == 201
    assert bundle.patch("demo", {"user_id": "ann"}).status == 200
    assert bundle.replace("demo", 1, {"user_message": "a", "robot_response": "b"}).status == 200
    assert bundle.remove("demo", 1).status == 200
    assert bundle.user("PUT", "ann", {"email": "ann@example.com"}).status == 201
    assert bundle.user("PATCH", "ann", {"profile": {"first_name": "Ann"}}).status == 200
    assert bundle.export("ann").status == 200
    assert bundle.erase("demo").status == 204
    assert bundle.user("DELETE", "ann").status == 204
    for is_chained in (False, True):
        reply = bundle.audit()
        assert_documented(AUDIT, reply)
        entries = reply.json["entries"]
        assert {entry["action"] for entry in entries} == {"INSERT", "UPDATE", "DELETE", "EXPORT", "ERASE"}
        assert {entry["table_name"] for entry in entries} == {"sessions", "conversations", "users", "user_profiles"}
        # Without an authorizer no one knows who acts.
        assert {entry["user_id"] for entry in entries} == {None}
        assert {entry["request_id"] for entry in entries} == {bundle.context.aws_request_id}
        assert all((entry["n"] is not None, entry["hash"] is not None) == (is_chained, is_chained) for entry in entries)
        bundle.refresh()


def test_the_entry_of_each_caller_has_its_actor_and_a_search_for_the_actor_finds_it(
    embedded_database: Database,
) -> None:
    actors = ["desk", "é ü", "spiffe://example.com/ns/robots", "x" * MAX_ACTOR_LENGTH, "\U0001f916" * 255]
    with deployed({"DATABASE_URL": embedded_database.app_url, "AUTH": "jwt"}):
        for number, actor in enumerate(actors):
            caller = Signed(actor, SCOPE)
            assert caller.user("PUT", f"u{number}", {}).status == 201
            found = caller.audit(user=actor)
            assert_documented(AUDIT, found)
            assert [(entry["record_id"], entry["user_id"]) for entry in found.json["entries"]] == [
                (f"u{number}", actor)
            ]
        nameless = Signed("a\nb", SCOPE)
        assert nameless.user("PUT", "other", {}).status == 201
        assert [entry["user_id"] for entry in nameless.audit(record="other").json["entries"]] == [None]


def test_a_page_has_20_entries_without_a_limit_and_at_most_100(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        changes(functions, MAX_AUDIT_ENTRIES + 1)
        newest = [f"u{number:03}" for number in reversed(range(MAX_AUDIT_ENTRIES + 1))]
        pages = [functions.audit(), functions.audit(limit=MAX_AUDIT_ENTRIES), functions.audit(limit=1)]
        for page, count in zip(pages, (DEFAULT_AUDIT_ENTRIES, MAX_AUDIT_ENTRIES, 1), strict=True):
            assert [entry["record_id"] for entry in page.json["entries"]] == newest[:count]
            assert page.json["page"]["cursor"]
        for wrong in (0, MAX_AUDIT_ENTRIES + 1, "x"):
            assert functions.audit(limit=wrong).status == 422


def test_sql_bounds_the_page_and_the_actor_as_http_does(embedded_database: Database) -> None:
    with embedded_database.app() as connection, embedded_database.admin() as admin:
        for number in range(MAX_AUDIT_ENTRIES + 1):
            arguments = {"id": f"u{number}", "actor": "x" * (MAX_ACTOR_LENGTH + 1), "request": "x" * 101}
            connection.execute(
                "select robot_brain_api.save_user(p_tenant_id => 'local', p_user_id => %(id)s, p_user => '{}',"
                " p_email_key => null, p_is_patch => false, p_actor => %(actor)s, p_request_id => %(request)s)",
                arguments,
            )
        for limit, count in ((10**6, MAX_AUDIT_ENTRIES), (-1, 1), (0, 1)):
            row = connection.execute("select robot_brain_api.read_audit('local', %s)", [limit]).fetchone()
            assert row is not None
            assert len(json.loads(row[0])["entries"]) == count
        sizes = (
            "select distinct length(user_id), length(request_id) from robot_brain.audit_logs where tenant_id = 'local'"
        )
        assert admin.execute(sizes).fetchall() == [(MAX_ACTOR_LENGTH, 100)]


def cursor_of(*place: object) -> str:
    """Return a cursor with a place that a client has forged."""
    return json.dumps(place, ensure_ascii=False).encode(errors="surrogatepass").hex()


def test_a_cursor_is_good_only_with_the_filters_it_was_made_with(bundle: Bundle) -> None:
    changes(bundle, 2)
    filters: list[dict[str, Any]] = [{}, {"from": "2026-01-01"}, {"to": "9999-01-01"}, {"record": "u000"}]
    cursor = bundle.audit(limit=1).json["page"]["cursor"]
    later = bundle.audit(limit=1, **{"from": "2000-01-01"}).json["page"]["cursor"]
    assert bundle.audit(cursor=cursor).status == 200
    # The same instant in another form is the same filter.
    assert bundle.audit(cursor=later, **{"from": "2000-01-01T01:00:00+01:00"}).status == 200
    refused = [bundle.audit(cursor=cursor, **each) for each in filters[1:]]
    refused += [bundle.audit(cursor=later, **each) for each in filters]
    refused += [bundle.users(cursor=cursor), bundle.sessions(cursor=cursor)]
    for reply in refused:
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]


def test_a_forged_cursor_is_422_or_a_place_in_the_trail_and_never_500(bundle: Bundle) -> None:
    changes(bundle, 2)
    number, entry, list_name = json.loads(bytes.fromhex(bundle.audit(limit=1).json["page"]["cursor"]))
    wrong = [
        *(cursor_of(forged, entry, list_name) for forged in NUMBERS),
        *(cursor_of(number, forged, list_name) for forged in IDS),
        *(cursor_of(number, entry, forged) for forged in (None, "", "users", list_name + "x", 1)),
        *("", "0", "zz", "é", "ff", "5b" * 500, "%"),
    ]
    for cursor in wrong:
        reply = bundle.audit(cursor=cursor)
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]
    for place, count in (((0, "0", list_name), 0), ((253402300799999999, "9" * 18, list_name), 2)):
        assert len(bundle.audit(cursor=cursor_of(*place)).json["entries"]) == count


@pytest.mark.parametrize(
    ("query", "loc", "kind"),
    [
        ("record=", "record", "id"),
        ("record=" + "x" * 256, "record", "id"),
        ("record=a%00", "record", "id"),
        ("user=", "user", "id"),
        ("user=" + "x" * (MAX_ACTOR_LENGTH + 1), "user", "id"),
        ("user=a%0A", "user", "id"),
        ("record=a&user=b", "user", "exclusive_parameters"),
        ("from=2026-11-28T12:00:00%2B24:00", "from", "time"),
        ("from=2026-11-28T12:00:00+01:00", "from", "time"),
        ("to=", "to", "time"),
        ("to=infinity", "to", "time"),
        ("page=1", "page", "unknown_parameter"),
    ],
)
def test_a_bad_parameter_of_the_audit_trail_is_422(
    embedded_database: Database, query: str, loc: str, kind: str
) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        reply = other("read_audit", query)(functions)
        assert_problem(reply, 422, functions.context.aws_request_id)
        assert_documented(AUDIT, reply)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", loc], kind)]


def test_ids_of_the_most_characters_are_searched(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        for query in ({"record": "\U0001f916" * 255}, {"user": "\U0001f916" * MAX_ACTOR_LENGTH}):
            assert functions.audit(**query).json["entries"] == []
