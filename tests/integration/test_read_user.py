"""GET of a user, of the list of users and of the user with an e-mail, through the handler."""

import json

import pytest

from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem, other
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import Database

READ, LIST = "GET /users/{user_id}", "GET /users"
# What a user id may hold, and what URLs, JSON, SQL and hexadecimal digits write in another way.
ODD_IDS = [
    "a b",
    "é +",
    "\"'{}[],:;@&=$!*()",
    "\U0001f916" * 255,
    "x" * 255,
    "...",
    "'; drop table x; --",
    "NULL",
    "01",
]
# Microseconds of the year 9999 and beyond, and numbers that are no microseconds.
NUMBERS: list[object] = [-1, 2**63 - 1, 2**63, 10**30, 1e300, 0.5, "1", "x", None, True, [], {}]


def cursor_of(*place: object) -> str:
    """Return a cursor with a place that a client has forged."""
    return json.dumps(place, ensure_ascii=False).encode(errors="surrogatepass").hex()


def make_users(functions: Bundle, count: int) -> list[str]:
    """Create users and return their ids, newest first."""
    for number in range(count):
        assert functions.user("PUT", f"u{number:03}", {"profile": {"first_name": str(number)}}).status == 201
    return [f"u{number:03}" for number in reversed(range(count))]


def walk(functions: Bundle, limit: int, cursor: str | None = None) -> list[str]:
    """Return the ids of all users from the cursor on."""
    walked: list[str] = []
    while True:
        page = functions.users(limit=limit, **({} if cursor is None else {"cursor": cursor}))
        assert page.status == 200
        assert len(page.json["users"]) <= limit
        walked += [user["id"] for user in page.json["users"]]
        cursor = page.json["page"]["cursor"]
        if cursor is None:
            return walked


def test_a_read_of_a_user_has_a_tag_and_may_be_kept_by_its_client(bundle: Bundle) -> None:
    written = bundle.user("PUT", "ann", {"email": "a@b", "profile": {"first_name": "Ann"}})
    read = bundle.user("GET", "ann")
    assert_documented(READ, read)
    assert (read.status, read.body) == (200, written.body)
    assert {name: value for name, value in read.headers.items() if name != "content-type"} == {
        "etag": written.headers["etag"],
        "cache-control": "private, no-cache",
    }


def test_a_user_without_a_row_is_404_although_the_person_has_sessions(bundle: Bundle) -> None:
    assert bundle.write("s", turn()).status == 201
    assert bundle.patch("s", {"user_id": "ann"}).status == 200
    for headers in ({}, {"if-none-match": "*"}):
        reply = bundle.user("GET", "ann", headers=headers)
        assert_problem(reply, 404, bundle.context.aws_request_id)
        assert_documented(READ, reply)
        assert "etag" not in reply.headers
    assert bundle.users().json == {"users": [], "page": {"cursor": None}}


def test_if_none_match_with_the_tag_of_a_user_is_304_until_the_user_changes(bundle: Bundle) -> None:
    tag = bundle.user("PUT", "ann", {"email": "a@b"}).headers["etag"]
    for header in (tag, f"W/{tag}", "*", f'"0", W/{tag}', f' {tag} ,"x"'):
        reply = bundle.user("GET", "ann", headers={"if-none-match": header})
        assert (reply.status, reply.body, reply.headers["etag"]) == (304, None, tag), header
        assert_documented(READ, reply)
    for header in ("", tag.strip('"'), tag[:-1], tag.replace('"', '"0.', 1), '"\ud83d"', "**"):
        assert bundle.user("GET", "ann", headers={"if-none-match": header}).status == 200, header
    changed = bundle.user("PATCH", "ann", {"email": None}).headers["etag"]
    reply = bundle.user("GET", "ann", headers={"if-none-match": tag})
    assert (reply.status, reply.headers["etag"]) == (200, changed)


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("user_id", ODD_IDS, ids=range(len(ODD_IDS)))
def test_a_user_id_of_odd_characters_is_stored_read_and_listed(bundle: Bundle, user_id: str) -> None:
    written = bundle.user("PUT", user_id, {"profile": {"first_name": "é\\u0000 %s"}})
    assert (written.status, written.json["id"]) == (201, user_id)
    make_users(bundle, 1)
    assert bundle.user("GET", user_id).body == written.body
    assert walk(bundle, 1) == ["u000", user_id]
    assert bundle.user("DELETE", user_id).status == 204


def test_the_newest_user_comes_first_and_a_walk_finds_each_once(bundle: Bundle) -> None:
    ids = make_users(bundle, 5)
    bundle.user("PATCH", "u001", {"email": "a@b"})
    page = bundle.users(limit=2)
    assert_documented(LIST, page)
    assert {name: value for name, value in page.headers.items() if name != "content-type"} == {
        "cache-control": "private, no-cache"
    }
    assert page.json["users"] == [bundle.user("GET", user_id).json for user_id in ids[:2]]
    for limit in (1, 2, 5, 100):
        assert walk(bundle, limit) == ids
    assert bundle.users(limit=5).json["page"] == {"cursor": None}


def test_a_list_has_20_users_without_a_limit_and_at_most_100(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        ids = make_users(functions, 101)
        assert [user["id"] for user in functions.users().json["users"]] == ids[:20]
        assert [user["id"] for user in functions.users(limit=100).json["users"]] == ids[:100]
        for limit in (0, 101, "x"):
            assert functions.users(limit=limit).status == 422


def test_users_of_one_time_come_in_the_order_of_their_ids_by_bytes(bundle: Bundle, database: Database) -> None:
    ids = ["b", "B", "a", "Ä", "_", "ab", "\U0001f916", "1"]
    for user_id in ids:
        assert bundle.user("PUT", user_id, {}).status == 201
    with database.admin() as admin:
        admin.execute("update robot_brain.users set created_at = now()")
    expected = sorted(ids, key=str.encode, reverse=True)
    for limit in (1, 3, 8):
        assert walk(bundle, limit) == expected


def test_users_that_are_made_during_a_walk_repeat_no_user_and_hide_none(bundle: Bundle) -> None:
    ids = make_users(bundle, 4)
    first = bundle.users(limit=2)
    cursor = first.json["page"]["cursor"]
    for number in range(3):
        assert bundle.create_user({"profile": {"first_name": f"late {number}"}}).status == 201
    # The entry from which the next page begins is gone.
    assert bundle.user("DELETE", ids[1]).status == 204
    assert bundle.user("PATCH", ids[0], {"email": "a@b"}).status == 200
    assert walk(bundle, 1, cursor) == ids[2:]
    assert len(walk(bundle, 2)) == 6


def test_a_cursor_of_another_list_is_422(bundle: Bundle) -> None:
    make_users(bundle, 2)
    for number in range(3):
        assert bundle.write(f"s{number}", turn()).status == 201
        assert bundle.patch(f"s{number}", {"user_id": "u000"}).status == 200
    users = bundle.users(limit=1).json["page"]["cursor"]
    sessions = bundle.sessions(limit=1).json["page"]["cursor"]
    of_user = bundle.sessions(limit=1, user_id="u000").json["page"]["cursor"]
    for reply in (
        bundle.users(cursor=sessions),
        bundle.users(cursor=of_user),
        bundle.sessions(cursor=users),
        bundle.sessions(cursor=users, user_id="u000"),
        bundle.export("u000", cursor=users),
        bundle.export("u000", cursor=of_user),
    ):
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]


def test_a_forged_cursor_is_422_or_a_place_in_the_list_and_never_500(bundle: Bundle) -> None:
    make_users(bundle, 2)
    number, user_id, list_name = json.loads(bytes.fromhex(bundle.users(limit=1).json["page"]["cursor"]))
    wrong = [
        *(cursor_of(forged, user_id, list_name) for forged in NUMBERS if forged != "1"),
        *(cursor_of(number, user, list_name) for user in (None, "\0", "\ud800")),
        *(cursor_of(number, user_id, forged) for forged in NUMBERS),
        *(cursor_of(number, user_id, forged) for forged in ("", "users", list_name + "x")),
        *(text.encode().hex() for text in ("", "{}", "7", '"x"', "null", "[", "[[[[[", '{"0": 1}', "[] []", "\0")),
        *("", "0", "abc", "zz", "0x12", "é", "ff", "ffff", "5b" * 500, "NaN", "a\0", "%"),
    ]
    for cursor in wrong:
        reply = bundle.users(cursor=cursor)
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "cursor"], "cursor")]
    for place, found in (
        ((0, "", list_name), []),
        (("1", "x", list_name, "more"), []),
        ((253402300799999999, "", list_name), ["u001", "u000"]),
        ((number, "\U0010ffff" * 30, list_name), ["u001", "u000"]),
    ):
        assert walk(bundle, 1, cursor_of(*place)) == found, place


def test_an_email_finds_one_user_or_no_user_in_the_form_of_a_read(bundle: Bundle) -> None:
    bundle.user("PUT", "ann", {"email": "Ann+x@Example.com", "profile": {"last_name": "Lee"}})
    bundle.user("PUT", "bob", {"email": "bob@example.com"})
    for email in ("Ann+x@Example.com", "ANN+X@example.COM"):
        found = bundle.users(email=email)
        assert_documented(LIST, found)
        assert found.json == {"users": [bundle.user("GET", "ann").json], "page": {"cursor": None}}
    assert bundle.users(email="ann@example.com").json == {"users": [], "page": {"cursor": None}}


def test_a_text_that_is_no_email_and_an_email_beside_a_page_are_422(bundle: Bundle) -> None:
    sent = ["", "ann", "%40", "a%40", "%40b", "a+b%40c", "a%40b%40c", "a%00%40b", "x" * 253 + "%40b", "\ud83d@b"]
    for email in sent:
        reply = other("read_user_list", f"email={email}")(bundle)
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "email"], "email")]
        assert_documented(LIST, reply)
    for name in ("limit", "cursor"):
        reply = bundle.users(email="a@b", **{name: 1})
        assert reply.status == 422
        assert [error["loc"] for error in reply.json["errors"]] == [["query", name]]
