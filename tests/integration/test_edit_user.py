"""POST, PUT and PATCH of a user through the handler, with status, body and headers."""

import re
import uuid
from itertools import pairwise

from robot_brain.limits import MAX_PASSWORD_HASH_LENGTH
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, Json, Reply, event, turn
from tests.support.servers.databases import Database

TAG = re.compile(r'"[0-9a-f]{1,12}"')
HASH = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub"
PROFILE = {"first_name": "Ann", "last_name": "Lee", "avatar_url": "https://example.com/ann.png"}
ANN = {"email": "Ann@example.com", "password_hash": HASH, "profile": PROFILE}
CREATE, PUT, PATCH = "POST /users", "PUT /users/{user_id}", "PATCH /users/{user_id}"


def stored_hash(database: Database, user_id: str = "ann") -> str | None:
    """Return the password hash that is stored."""
    with database.admin() as admin:
        row = admin.execute("select password_hash from robot_brain.users where id = %s", [user_id]).fetchone()
    assert row is not None
    found: str | None = row[0]
    return found


def content(reply: Reply) -> Json:
    """Return a user without its times."""
    return {name: value for name, value in reply.json.items() if name not in ("created_at", "updated_at")}


def test_post_users_creates_a_user_whose_id_is_a_uuid(bundle: Bundle, database: Database) -> None:
    reply = bundle.create_user(ANN)
    assert_documented(CREATE, reply)
    assert (reply.status, set(reply.headers)) == (201, {"content-type", "etag"})
    user_id = reply.json["id"]
    assert (str(uuid.UUID(user_id)), uuid.UUID(user_id).version) == (user_id, 4)
    assert content(reply) == {"id": user_id, "email": "Ann@example.com", "profile": PROFILE}
    assert reply.json["created_at"] == reply.json["updated_at"]
    read = bundle.user("GET", user_id)
    assert (read.body, read.headers["etag"]) == (reply.body, reply.headers["etag"])
    assert stored_hash(database, user_id) == HASH
    assert bundle.create_user({}).json["id"] != user_id


def test_a_put_creates_a_user_with_201_and_replaces_it_with_200(bundle: Bundle) -> None:
    created = bundle.user("PUT", "ann", ANN)
    assert_documented(PUT, created)
    assert (created.status, set(created.headers)) == (201, {"content-type", "etag"})
    assert TAG.fullmatch(created.headers["etag"])
    assert content(created) == {"id": "ann", "email": "Ann@example.com", "profile": PROFILE}
    replaced = bundle.user("PUT", "ann", {"profile": {"first_name": "Anna"}})
    assert_documented(PUT, replaced)
    assert (replaced.status, set(replaced.headers)) == (200, {"content-type", "etag"})
    assert content(replaced) == {"id": "ann", "profile": {"first_name": "Anna"}}
    assert replaced.json["created_at"] == created.json["created_at"] < replaced.json["updated_at"]
    read = bundle.user("GET", "ann")
    assert (read.body, read.headers["etag"]) == (replaced.body, replaced.headers["etag"])


def test_a_patch_changes_the_members_it_has_and_null_removes_one(bundle: Bundle) -> None:
    bundle.user("PUT", "ann", ANN)
    for patch, expected in (
        ({}, {"email": "Ann@example.com", "profile": PROFILE}),
        ({"profile": {"last_name": "Li"}}, {"email": "Ann@example.com", "profile": PROFILE | {"last_name": "Li"}}),
        ({"email": "a@b"}, {"email": "a@b", "profile": PROFILE | {"last_name": "Li"}}),
        ({"profile": {"last_name": None, "avatar_url": None}}, {"email": "a@b", "profile": {"first_name": "Ann"}}),
        ({"email": None}, {"profile": {"first_name": "Ann"}}),
        ({"profile": None}, {"profile": {}}),
        ({"profile": {"avatar_url": "http://b/ü"}}, {"profile": {"avatar_url": "http://b/ü"}}),
        ({"profile": {"avatar_url": None}}, {"profile": {}}),
    ):
        reply = bundle.user("PATCH", "ann", patch)
        assert_documented(PATCH, reply)
        assert (reply.status, set(reply.headers)) == (200, {"content-type", "etag"})
        assert content(reply) == {"id": "ann", **expected}
        assert bundle.user("GET", "ann").body == reply.body


def test_a_patch_of_an_unknown_user_is_404_and_creates_no_user(bundle: Bundle, database: Database) -> None:
    assert bundle.write("s", turn()).status == 201
    assert bundle.patch("s", {"user_id": "ann"}).status == 200
    for headers in ({}, {"if-match": '"1f"'}):
        reply = bundle.user("PATCH", "ann", ANN, headers)
        assert_problem(reply, 404, bundle.context.aws_request_id)
        assert reply.json["title"] == "User not found"
        assert "etag" not in reply.headers
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.users").fetchone() == (0,)


def test_an_equal_change_leaves_the_tag_and_the_time_and_another_one_changes_both(bundle: Bundle) -> None:
    last = bundle.user("PUT", "ann", ANN)
    tags = {last.headers["etag"]}
    for method, equal in (
        ("PUT", ANN),
        ("PUT", {"email": "Ann@example.com", "profile": PROFILE}),
        ("PATCH", {}),
        ("PATCH", {"profile": {}}),
        ("PATCH", {"password_hash": HASH, "profile": {"first_name": "Ann"}}),
    ):
        reply = bundle.user(method, "ann", equal)
        assert (reply.status, reply.body, reply.headers["etag"]) == (200, last.body, last.headers["etag"])
    for number, change in enumerate(
        (
            {"email": "ann@example.com"},
            {"email": None},
            {"password_hash": HASH + "x"},
            {"password_hash": None},
            {"profile": {"first_name": "An"}},
            {"profile": {"last_name": None}},
            {"profile": None},
            {"profile": {"last_name": "Lee"}},
        ),
        start=2,
    ):
        reply = bundle.user("PATCH", "ann", change)
        assert reply.json["updated_at"] > last.json["updated_at"]
        last = reply
        tags.add(reply.headers["etag"])
        assert len(tags) == number


def test_the_first_tag_of_a_user_is_random(bundle: Bundle) -> None:
    tags = []
    for number in range(3):
        tags.append(bundle.user("PUT", "ann", {}).headers["etag"])
        tags.append(bundle.user("PUT", f"other {number}", {}).headers["etag"])
        assert bundle.user("DELETE", "ann").status == 204
    versions = sorted(int(tag.strip('"'), 16) for tag in tags)
    assert all(after - before > 1000 for before, after in pairwise(versions))


def test_a_change_of_a_user_needs_the_tag_that_if_match_names(bundle: Bundle) -> None:
    old = bundle.user("PUT", "ann", ANN).headers["etag"]
    tag = bundle.user("PATCH", "ann", {"email": None}).headers["etag"]
    for method, body in (("PUT", {}), ("PATCH", {}), ("DELETE", None)):
        for stale in (old, '"0"', tag.upper() if tag.upper() != tag else '"x"'):
            reply = bundle.user(method, "ann", body, {"if-match": stale})
            assert_problem(reply, 412, bundle.context.aws_request_id)
            assert reply.headers["etag"] == tag
        for wrong in ("*", f"W/{tag}", f"{tag}, {tag}", tag.strip('"'), '""', '"7.1f"', ""):
            assert_problem(bundle.user(method, "ann", body, {"if-match": wrong}), 400, bundle.context.aws_request_id)
    assert bundle.user("GET", "ann").headers["etag"] == tag
    patched = bundle.user("PATCH", "ann", {"profile": {"first_name": "An"}}, {"if-match": tag})
    replaced = bundle.user("PUT", "ann", ANN, {"if-match": patched.headers["etag"]})
    assert (patched.status, replaced.status) == (200, 200)
    assert bundle.user("DELETE", "ann", headers={"if-match": replaced.headers["etag"]}).status == 204


def test_if_match_of_an_unknown_user_is_412_without_a_tag_for_put_and_404_for_the_others(bundle: Bundle) -> None:
    tag = bundle.user("PUT", "ann", ANN).headers["etag"]
    assert bundle.user("DELETE", "ann").status == 204
    reply = bundle.user("PUT", "ann", ANN, {"if-match": tag})
    assert_problem(reply, 412, bundle.context.aws_request_id)
    assert_documented(PUT, reply)
    assert "etag" not in reply.headers
    for method, body in (("PATCH", {}), ("DELETE", None)):
        assert_problem(bundle.user(method, "ann", body, {"if-match": tag}), 404, bundle.context.aws_request_id)
    # A namesake begins with another tag, so the old one never fits.
    assert bundle.user("PUT", "ann", ANN).headers["etag"] != tag
    assert bundle.user("PUT", "ann", ANN, {"if-match": tag}).status == 412


def test_a_password_hash_is_kept_by_put_removed_by_null_and_in_no_answer(bundle: Bundle, database: Database) -> None:
    longest = "$" + "a" * 32 + "$" + "b" * (MAX_PASSWORD_HASH_LENGTH - 34)
    replies = [bundle.create_user(ANN), bundle.user("PUT", "ann", {"password_hash": HASH})]
    assert stored_hash(database) == HASH
    replies += [bundle.user("PUT", "ann", {}), bundle.user("PATCH", "ann", {"email": "b@c"})]
    assert stored_hash(database) == HASH
    replies += [bundle.user("PUT", "ann", {"password_hash": longest})]
    assert stored_hash(database) == longest
    replies += [bundle.user("GET", "ann"), bundle.users(), bundle.users(email="b@c"), bundle.export("ann")]
    replies += [bundle.user("PATCH", "ann", {"password_hash": None})]
    assert stored_hash(database) is None
    replies += [bundle.user("PUT", "ann", {}), bundle.user("PATCH", "ann", {"password_hash": None})]
    assert stored_hash(database) is None
    assert {reply.status for reply in replies} == {200, 201}
    text = "".join(f"{reply.body}{dict(reply.headers)}" for reply in replies)
    assert not [part for part in ("password", "argon2id", longest[:34]) if part in text]


def test_put_refuses_a_password_hash_of_null_and_a_password_in_place_of_a_hash(bundle: Bundle) -> None:
    bundle.user("PUT", "ann", ANN)
    for method, body in (
        ("PUT", {"password_hash": None}),
        ("PUT", {"password_hash": "correct horse"}),
        ("PATCH", {"password_hash": "correct horse"}),
    ):
        reply = bundle.user(method, "ann", body)
        assert_problem(reply, 422, bundle.context.aws_request_id)
        assert [error["loc"] for error in reply.json["errors"]] == [["body", "password_hash"]]
        assert "horse" not in (reply.body or "")


def test_a_profile_row_is_made_changed_and_deleted_with_what_it_has(bundle: Bundle, database: Database) -> None:
    profiles = "select id::text, created_at, updated_at, first_name from robot_brain.user_profiles"
    with database.admin() as admin:
        admin.execute("set datestyle = 'iso'")
        bundle.user("PUT", "ann", {"email": "a@b"})
        assert admin.execute(profiles).fetchall() == []
        bundle.user("PATCH", "ann", {"profile": {"first_name": "Ann"}})
        ((first_id, created, updated, _),) = admin.execute(profiles).fetchall()
        assert created == updated
        bundle.user("PATCH", "ann", {"email": None})
        assert admin.execute(profiles).fetchall() == [(first_id, created, updated, "Ann")]
        bundle.user("PATCH", "ann", {"profile": {"first_name": "An"}})
        ((same_id, same, later, name),) = admin.execute(profiles).fetchall()
        assert (same_id, same, name) == (first_id, created, "An")
        assert later > updated
        bundle.user("PUT", "ann", {"profile": {}})
        assert admin.execute(profiles).fetchall() == []
        bundle.user("PUT", "ann", {"profile": {"last_name": "Lee"}})
        assert bundle.user("DELETE", "ann").status == 204
        assert admin.execute(profiles).fetchall() == []


def test_times_of_a_user_do_not_run_backwards_if_the_clock_steps_back(bundle: Bundle, database: Database) -> None:
    created = bundle.user("PUT", "ann", ANN)
    with database.admin() as admin:
        # As if the clock had been 40 days ahead until now.
        for table in ("users", "user_profiles"):
            admin.execute(
                f"update robot_brain.{table} set created_at = created_at + interval '40 days',"
                " updated_at = updated_at + interval '40 days'".encode()
            )
    before = bundle.user("GET", "ann").json
    assert before["updated_at"] == before["created_at"] > created.json["created_at"]
    for change in ({"email": None}, {"profile": None}, {"profile": PROFILE}):
        after = bundle.user("PATCH", "ann", change)
        assert (after.json["created_at"], after.json["updated_at"]) == (before["created_at"], before["updated_at"])
    assert after.headers["etag"] != created.headers["etag"]
    with database.admin() as admin:
        ordered = "select bool_and(updated_at >= created_at) from robot_brain.user_profiles"
        assert admin.execute(ordered).fetchone() == (True,)


def test_an_idempotency_key_is_ignored_by_changes_of_a_user(bundle: Bundle) -> None:
    key = {"idempotency-key": "k,k"}
    assert bundle.user("PUT", "ann", event("edit_user")["body"], key).status == 201
    assert bundle.user("PATCH", "ann", {"email": None}, key).status == 200
    assert bundle.user("DELETE", "ann", headers=key).status == 204
