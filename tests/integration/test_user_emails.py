"""No two users of a tenant have one e-mail, whatever its case and its Unicode form."""

import json

import psycopg
import pytest

from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, Reply, deployed, turn
from tests.support.private_text import PRIVATE
from tests.support.servers.databases import Database

SAVE = "select body, etag, created from robot_brain_api.save_user('local', %s, %s, %s)"
# Pairs of spellings of one address.
SAME = {
    "case": ("Ann@example.com", "aNN@EXAMPLE.com"),
    "Greek case": ("ΣΟΦΟΣ@example.com", "σοφος@example.com"),
    "final sigma": ("σοφος@example.com", "σοφοσ@example.com"),
    "sharp s": ("strasse@example.com", "straße@example.com"),
    "capital sharp s": ("straße@example.com", "STRAẞE@example.com"),
    "full width": ("ann@example.com", "".join(chr(ord(each) + 0xFEE0) for each in "ann") + "@example.com"),
    "accents": ("jos\u00e9@example.com", "jose\u0301@example.com"),
    "two accents in another order": ("a\u0323\u0307@example.com", "a\u0307\u0323@example.com"),
    "ligature": ("ﬁn@example.com", "FIN@example.com"),
    "Turkish capital I with dot": ("\u0130@example.com", "i\u0307@example.com"),
    "micro sign": ("\u00b5@example.com", "\u03bc@example.com"),
    "circled letter": ("ⓐ@example.com", "a@example.com"),
    "combining iota under capitals": ("\u1f80@example.com", "\u1f88@example.com"),
    "soft form of Cherokee": ("\uab70@example.com", "\u13a0@example.com"),
}
# Spellings that differ for each mail server.
OTHERS = ["i@example.com", "\u0131@example.com", "\u0130@example.com", "jose@example.com", "jos\u00e9@example.com"]


def assert_taken(functions: Bundle, reply: Reply) -> None:
    """Assert that the answer is 422 at body.email, and does not say who has the e-mail."""
    assert_problem(reply, 422, functions.context.aws_request_id)
    assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["body", "email"], "email_taken")]
    assert "the first" not in (reply.body or "")


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("name", SAME)
def test_two_spellings_of_one_email_are_one_email(bundle: Bundle, name: str) -> None:
    one, other = SAME[name]
    assert one != other
    first = bundle.user("PUT", "the first", {"email": one})
    assert (first.status, first.json["email"]) == (201, one)
    for route, reply in (
        ("POST /users", bundle.create_user({"email": other})),
        ("PUT /users/{user_id}", bundle.user("PUT", "b", {"email": other})),
    ):
        assert_taken(bundle, reply)
        assert_documented(route, reply)
    assert [user["id"] for user in bundle.users().json["users"]] == ["the first"]
    for email in (one, other):
        assert [user["email"] for user in bundle.users(email=email).json["users"]] == [one]
    # A user may spell its own e-mail in another way.
    changed = bundle.user("PATCH", "the first", {"email": other})
    assert (changed.status, changed.json["email"]) == (200, other)
    assert changed.headers["etag"] != first.headers["etag"]
    assert bundle.user("PUT", "b", {}).status == 201
    assert_taken(bundle, bundle.user("PATCH", "b", {"email": one}))


def test_emails_that_only_look_alike_are_different(bundle: Bundle) -> None:
    for email in OTHERS:
        assert bundle.create_user({"email": email}).status == 201
    for email in OTHERS:
        assert [user["email"] for user in bundle.users(email=email).json["users"]] == [email]


def test_an_email_is_free_again_after_a_patch_a_replacement_or_an_erasure(bundle: Bundle) -> None:
    for number, (method, body) in enumerate(
        (("PATCH", {"email": None}), ("PUT", {}), ("PATCH", {"email": "other@b"}), ("DELETE", None))
    ):
        assert bundle.user("PUT", f"u{number}", {"email": "a@b"}).status == 201
        assert_taken(bundle, bundle.user("PUT", "next", {"email": "A@B"}))
        assert bundle.user(method, f"u{number}", body).status in (200, 204)
        assert bundle.users(email="a@b").json["users"] == []
    assert bundle.user("PUT", "next", {"email": "A@B"}).status == 201


def test_an_email_is_free_as_soon_as_a_large_erasure_has_begun(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        assert functions.user("PUT", "ann", {"email": "a@b"}).status == 201
        assert functions.write("s", {"messages": [turn()] * 100}).status == 201
        assert functions.patch("s", {"user_id": "ann"}).status == 200
        with embedded_database.admin() as admin:
            admin.execute(
                "insert into robot_brain.sessions (tenant_id, id, user_id, created_at, last_active, active_hour,"
                " message_count, response_length, answer_bytes)"
                " select 'local', 'many ' || n, 'ann', now(), now(), now(), 0, 0, 0 from generate_series(1, 150) n"
            )
            state = admin.execute("select state from robot_brain_api.erase_user('local', 'ann')").fetchone()
        assert state == ("erasing",)
        assert functions.user("PUT", "bob", {"email": "a@b"}).status == 201


def test_a_refused_email_leaves_both_users_as_they_were(bundle: Bundle, database: Database) -> None:
    profile = {"first_name": "Ann"}
    bundle.user("PUT", "the first", {"email": "a@b"})
    before = bundle.user("PUT", "second", {"email": "c@d", "profile": profile})
    body = {"email": "A@B", "password_hash": "$x$" + "y" * 20, "profile": {"first_name": PRIVATE}}
    for method in ("PUT", "PATCH"):
        assert_taken(bundle, bundle.user(method, "second", body))
        assert_taken(bundle, bundle.user(method, "second", body, {"if-match": before.headers["etag"]}))
    assert_taken(bundle, bundle.create_user(body, {"idempotency-key": "k"}))
    after = bundle.user("GET", "second")
    assert (after.body, after.headers["etag"]) == (before.body, before.headers["etag"])
    with database.admin() as admin:
        for table, count in (("users", 2), ("user_profiles", 1), ("idempotency_keys", 0)):
            assert admin.execute(f"select count(*) from robot_brain.{table}".encode()).fetchone() == (count,)
    # The key is not used up by a refused request.
    assert bundle.create_user({"email": "e@f"}, {"idempotency-key": "k"}).status == 201


def test_two_tenants_may_have_the_same_email_and_find_only_their_own_user(database: Database) -> None:
    variables = {"DATABASE_URL": database.app_url}
    for tenant in ("one", "two"):
        with deployed({**variables, "TENANT_ID": tenant}) as functions:
            assert functions.user("PUT", f"of {tenant}", {"email": "a@b"}).status == 201
    for tenant in ("one", "two"):
        with deployed({**variables, "TENANT_ID": tenant}) as functions:
            assert [user["id"] for user in functions.users(email="A@b").json["users"]] == [f"of {tenant}"]
            assert [user["id"] for user in functions.users().json["users"]] == [f"of {tenant}"]
    with deployed({**variables, "TENANT_ID": "three"}) as functions:
        assert functions.users(email="a@b").json["users"] == []


def test_two_users_swap_their_emails_through_a_third_one(bundle: Bundle) -> None:
    bundle.user("PUT", "a", {"email": "a@b"})
    bundle.user("PUT", "b", {"email": "b@b"})
    assert_taken(bundle, bundle.user("PATCH", "a", {"email": "b@b"}))
    assert bundle.user("PATCH", "a", {"email": None}).status == 200
    assert bundle.user("PATCH", "b", {"email": "a@b"}).status == 200
    assert bundle.user("PATCH", "a", {"email": "b@b"}).status == 200
    assert [user["id"] for user in bundle.users(email="a@b").json["users"]] == ["b"]
    assert [user["id"] for user in bundle.users(email="b@b").json["users"]] == ["a"]


def test_the_server_log_holds_no_email_if_it_is_taken_or_another_value_is_wrong(
    bundle: Bundle, database: Database
) -> None:
    body = {
        "email": f"{PRIVATE}@example.com",
        "password_hash": f"$x${PRIVATE}-and-a-long-salt",
        "profile": {"first_name": PRIVATE},
    }
    assert bundle.user("PUT", "the first", body).status == 201
    for reply in (
        bundle.create_user(body, {"idempotency-key": "k"}),
        bundle.user("PUT", "b", body),
        bundle.user("PATCH", "the first", body, {"if-match": '"0"'}),
        bundle.users(email=f"{PRIVATE}@example.com"),
        bundle.users(cursor=PRIVATE.encode().hex()),
    ):
        assert reply.status in (200, 412, 422)
    key = f"{PRIVATE}@example.com".casefold()
    wrong = [
        ({"email": PRIVATE + "x" * 254}, key + "x"),
        ({"email": f"{PRIVATE}@example.com"}, key + "x" * 1500),
        ({"password_hash": PRIVATE * 512}, None),
        ({"profile": {"last_name": PRIVATE * 100}}, None),
        ({"email": PRIVATE}, None),
        ([PRIVATE], None),
    ]
    with database.app() as app:
        for user, email_key in wrong:
            with pytest.raises(psycopg.Error) as raised:
                app.execute(SAVE, ["c", json.dumps(user), email_key])
            assert raised.value.sqlstate in ("22001", "22023")
    log = database.postgres.process.log.read_text(errors="replace")
    assert "another user has the e-mail" in log
    assert [line for line in log.splitlines() if PRIVATE in line or PRIVATE.casefold() in line] == []
