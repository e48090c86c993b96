"""GET /audit: filters, times, cursors, tenants, refusals and the size of a page."""

import itertools
import json
import threading
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from robot_brain.limits import MAX_ACTOR_LENGTH, MAX_ANSWER_BYTES, MAX_AUDIT_ENTRIES, MAX_USER_ID_LENGTH
from tests.integration.audited import APPEND, tamper
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, Reply, changed, deployed, event
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

# A request that is refused does not reach the database.
refused = pytest.mark.parametrize("database", ["embedded"], indirect=True)
# Entries a second apart, one more at the same microsecond as the third, and one of another tenant at each moment.
FILL = """
insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, user_id, request_id, created_at)
select t.tenant, 'users', 'record ' || n % 3, 'UPDATE', case when n % 2 = 0 then 'ann' end, t.tenant || ' ' || n,
  '2026-11-28 12:00:00.000001Z'::timestamptz + least(n, 9) * interval '1 second'
from unnest(array['local', 'other', '*']) t (tenant), generate_series(1, 10) n order by n
"""
SECOND = "2026-11-28T12:00:{:02}.00000{}Z"


@pytest.fixture
def filled(bundle: Bundle, database: Database) -> Bundle:
    tamper(database, FILL)
    return bundle


def requests(reply: Reply) -> list[str | None]:
    """Return the ids of the requests of a page's entries."""
    assert reply.status == 200, reply.body
    return [entry["request_id"] for entry in reply.json["entries"]]


def walk(bundle: Bundle, limit: int, **query: str) -> Iterator[str | None]:
    """Follow the cursor from the newest entry to the oldest one."""
    page = bundle.audit(limit=limit, **query)
    while True:
        yield from requests(page)
        cursor = page.json["page"]["cursor"]
        if cursor is None:
            return
        assert len(page.json["entries"]) == limit
        page = bundle.audit(limit=limit, cursor=cursor, **query)


def numbers(bundle: Bundle, **query: str) -> list[int]:
    """Return which of the ten entries a filter finds, newest first."""
    return [int(str(each).removeprefix("local ")) for each in walk(bundle, MAX_AUDIT_ENTRIES, **query)]


def test_each_filter_finds_its_entries_newest_first(filled: Bundle) -> None:
    assert numbers(filled) == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(filled, record="record 1") == [10, 7, 4, 1]
    assert numbers(filled, record="record") == []
    assert numbers(filled, user="ann") == [10, 8, 6, 4, 2]
    assert numbers(filled, user="ANN") == []
    later = SECOND.format(4, 1)
    assert numbers(filled, user="ann", **{"from": later}) == [10, 8, 6, 4]
    assert numbers(filled, record="record 1", to=later) == [1]


@without_pooler
def test_an_entry_has_exactly_the_members_of_the_contract(bundle: Bundle, database: Database) -> None:
    bundle.user("PUT", "ann", {})
    (entry,) = bundle.audit().json["entries"]
    assert (entry["n"], entry["hash"]) == (None, None)
    bundle.refresh()
    (chained,) = bundle.audit().json["entries"]
    assert chained == {**entry, "n": 1, "hash": chained["hash"]}
    assert len(bytes.fromhex(chained["hash"])) == 32
    assert list(entry) == [
        "table_name", "record_id", "action", "old_data", "new_data", "user_id", "request_id", "created_at", "n", "hash",
    ]  # fmt: skip
    assert entry["request_id"] == bundle.context.aws_request_id


@without_pooler
def test_from_is_inclusive_and_to_is_exclusive_to_the_microsecond(filled: Bundle) -> None:
    assert numbers(filled, **{"from": SECOND.format(5, 1), "to": SECOND.format(7, 1)}) == [6, 5]
    assert numbers(filled, **{"from": SECOND.format(5, 2), "to": SECOND.format(7, 2)}) == [7, 6]
    assert numbers(filled, **{"from": SECOND.format(5, 0), "to": SECOND.format(5, 1)}) == []
    assert numbers(filled, **{"from": SECOND.format(9, 1)}) == [10, 9], "both of one moment"
    assert numbers(filled, to=SECOND.format(9, 1)) == [8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(filled, **{"from": SECOND.format(7, 1), "to": SECOND.format(5, 1)}) == []


@without_pooler
@pytest.mark.parametrize(
    "moment",
    ["2026-11-28T12:00:05.000001Z", "2026-11-28T14:30:05.000001+02:30", "2026-11-27T22:00:05.000001-14:00"],
)
def test_a_time_with_an_offset_is_the_same_moment(filled: Bundle, moment: str) -> None:
    assert numbers(filled, to=moment) == [4, 3, 2, 1]


@without_pooler
def test_a_date_is_its_first_moment_in_utc(filled: Bundle) -> None:
    assert numbers(filled, to="2026-11-29") == [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert numbers(filled, to="2026-11-28") == []
    assert numbers(filled, **{"from": "2026-11-29"}) == []


WRONG_TIMES = [
    "2026-11-28T12:00:00", "2026-11-28 12:00:00Z", "2026-11-28T24:00:00Z", "2026-11-28T12:00:60Z", "2026-11-28T12:00Z",
    "0000-01-01", "0000-01-01T00:00:00Z", "2026-02-29", "2026-13-01", "26-11-28", "12026-11-28", "2026-11-28T12:00:00z",
    "2026-11-28T12:00:00.1234567Z", "2026-11-28T12:00:00+24:00", "2026-11-28T12:00:00+0100", "now", "infinity", "",
    "2026-W48-6", "20261128", "\uff12026-11-28", "2026-11-28T12:00:00,5Z",
]  # fmt: skip
OUTSIDE = ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999999-23:59"]
# PostgreSQL allows smaller offsets than Python does.
EXTREMES = [
    *OUTSIDE, "0001-01-01", "9999-12-31", "9999-12-31T23:59:59.999999Z",
    "2026-11-28T12:00:00+15:59", "2026-11-28T12:00:00+16:00", "2026-11-28T12:00:00-23:59",
]  # fmt: skip


@refused
@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("moment", WRONG_TIMES)
def test_a_time_that_is_none_is_422(bundle: Bundle, name: str, moment: str) -> None:
    reply = bundle.audit(**{name: moment})
    assert_problem(reply, 422, bundle.context.aws_request_id)
    assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", name], "time")]


@without_pooler
@pytest.mark.parametrize("moment", EXTREMES)
def test_a_time_at_the_end_of_all_times_is_200_unless_it_is_of_no_year_in_utc(bundle: Bundle, moment: str) -> None:
    for name in ("from", "to"):
        reply = bundle.audit(limit=1, **{name: moment})
        assert reply.status == (422 if moment in OUTSIDE else 200), reply.body


@refused
@pytest.mark.parametrize(
    ("query", "name"),
    [
        ({"limit": "0"}, "limit"), ({"limit": "101"}, "limit"), ({"limit": "x"}, "limit"), ({"limit": "1.5"}, "limit"),
        ({"record": ""}, "record"), ({"record": "x" * (MAX_USER_ID_LENGTH + 1)}, "record"),
        ({"record": "\0"}, "record"),
        ({"user": ""}, "user"), ({"user": "x" * (MAX_ACTOR_LENGTH + 1)}, "user"), ({"user": "a\n"}, "user"),
        ({"record": "a", "user": "b"}, "user"), ({"after": "1"}, "after"), ({"cursor": ""}, "cursor"),
    ],
)  # fmt: skip
def test_a_wrong_parameter_is_422(bundle: Bundle, query: dict[str, str], name: str) -> None:
    reply = bundle.audit(**query)
    assert_problem(reply, 422, bundle.context.aws_request_id)
    assert [error["loc"] for error in reply.json["errors"]] == [["query", name]]


@without_pooler
def test_a_walk_gives_each_entry_of_its_start_once_while_others_write(filled: Bundle, database: Database) -> None:
    at_start = list(walk(filled, MAX_AUDIT_ENTRIES))
    stop = threading.Event()

    def write() -> None:
        with database.admin() as admin:
            for number in itertools.count():
                admin.execute(APPEND, ["local", "s", None, None, "ann", f"meanwhile {number}"])
                if stop.is_set():
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for limit in (1, 2, 3, 7):
            found = list(walk(filled, limit))
            assert [each for each in found if each in at_start] == at_start
            assert len(set(found)) == len(found)
            filled.refresh()
    finally:
        stop.set()
        writer.join()


@without_pooler
def test_a_cursor_is_good_only_with_its_filters(filled: Bundle) -> None:
    filters: list[dict[str, str]] = [
        {}, {"record": "record 1"}, {"user": "ann"}, {"from": "2026-11-28"}, {"to": "2026-11-29"},
        {"from": "2026-11-28", "to": "2026-11-29"}, {"user": "record 1"}, {"from": "2026-11-27"},
    ]  # fmt: skip
    cursors = [filled.audit(limit=1, **query).json["page"]["cursor"] for query in filters]
    for number, query in enumerate(filters):
        for other, cursor in enumerate(cursors):
            if cursor is not None:
                assert filled.audit(cursor=cursor, **query).status == (200 if number == other else 422)
    same = {"from": "2026-11-28T02:00:00+02:00"}
    assert filled.audit(cursor=cursors[3], **same).status == 200, "the same moment in another form"


@without_pooler
def test_a_cursor_of_another_tenant_or_list_is_422(filled: Bundle, database: Database) -> None:
    filled.write("s", {"messages": [{"robot_personality": "p", "user_message": "q", "robot_response": "r"}]})
    filled.write("t", {"messages": [{"robot_personality": "p", "user_message": "q", "robot_response": "r"}]})
    of_sessions = filled.sessions(limit=1).json["page"]["cursor"]
    assert filled.audit(cursor=of_sessions).status == 422
    with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": "other"}) as other:
        cursor = other.audit(limit=1).json["page"]["cursor"]
    with deployed({"DATABASE_URL": database.app_url}) as local:
        assert local.audit(cursor=cursor).status == 422


FORGED = [
    "0", "-1", "x", "", " 1", "1 ", "1.5", "1e3", "\uff11", "9" * 18, "9" * 19, "9" * 400, "0x1", "+1", "1\n", None,
]  # fmt: skip
NUMBERS: list[object] = [
    0, -1, 253402300799999999, 253402300800000000, 2**63 - 1, 2**63, 10**400, 1.5, 1e300, None, "1", "x", [], {}, True,
]  # fmt: skip


@without_pooler
def test_a_forged_cursor_is_a_page_or_422(filled: Bundle, database: Database) -> None:
    cursor = filled.audit(limit=1).json["page"]["cursor"]
    number, entry_id, own = json.loads(bytes.fromhex(cursor))
    places = [[number, forged, own] for forged in FORGED] + [[forged, entry_id, own] for forged in NUMBERS]
    places += [[number, entry_id], [], [number, entry_id, "x"], [number, entry_id, None], [[number], entry_id, own]]
    texts = [json.dumps(place) for place in places] + ["null", "{}", "[", '"x"', "1", '["\\u0000"]', "[NaN]"]
    sent = [text.encode().hex() for text in texts] + ["zz", "0", "ff", "c080", cursor[:-1], cursor + "00", cursor * 9]
    statuses = {}
    for forged in sent:
        reply = filled.audit(cursor=forged)
        statuses[forged] = reply.status
        if reply.status == 422:
            assert [error["loc"] for error in reply.json["errors"]] == [["query", "cursor"]]
    assert {forged: status for forged, status in statuses.items() if status not in (200, 422)} == {}
    assert sum(status == 422 for status in statuses.values()) > len(sent) // 2
    # A place that no cursor has named is one all the same.
    assert filled.audit(cursor=json.dumps([0, "0", own]).encode().hex()).json["entries"] == []


@without_pooler
def test_a_tenant_sees_neither_the_entries_of_another_one_nor_those_of_an_operator(
    filled: Bundle, database: Database
) -> None:
    with database.admin() as admin:
        rows = admin.execute(
            "select tenant_id, array_agg(request_id order by created_at desc, id desc)"
            " from robot_brain.audit_logs group by 1"
        )
        every: dict[str, list[str | None]] = {row[0]: row[1] for row in rows.fetchall()}
    assert every.keys() == {"local", "other", "*"}
    assert requests(filled.audit()) == every["local"]
    assert requests(filled.audit(record="6")) == requests(filled.audit(user="robot_brain_migrator")) == []
    for tenant in ("other", "unknown"):
        with deployed({"DATABASE_URL": database.app_url, "TENANT_ID": tenant}) as functions:
            assert requests(functions.audit()) == every.get(tenant, [])


@without_pooler
def test_the_largest_page_is_an_answer_that_lambda_returns(bundle: Bundle, database: Database) -> None:
    longest = "\U0001f916" * MAX_USER_ID_LENGTH
    actor = '"\\' * (MAX_ACTOR_LENGTH // 2)
    with database.admin() as admin:
        for _ in range(MAX_AUDIT_ENTRIES + 1):
            admin.execute(
                "select robot_brain.append_audit('local', 'sessions', %s, 'UPDATE',"
                " jsonb_build_object('user_id', %s::text), jsonb_build_object('user_id', %s::text), %s, %s)",
                [longest, longest, longest, actor, '"' * 100],
            )
    bundle.refresh()
    reply = bundle.audit(limit=MAX_AUDIT_ENTRIES)
    assert len(requests(reply)) == MAX_AUDIT_ENTRIES
    assert len(json.dumps({"statusCode": 200, "headers": dict(reply.headers), "body": reply.body})) < MAX_ANSWER_BYTES
    request = changed(event("read_audit"), "/audit", {}, f"user={quote(actor)}&limit=1")
    assert len(requests(bundle.call("read_audit", request))) == 1
