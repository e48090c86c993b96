"""What an end user may do with people: all with itself, and nothing with another, of whose state it learns nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from robot_brain import environment
from robot_brain.database.connection import LazyConnection
from tests.isolation.calling import SCOPE, As, by_token, everything
from tests.isolation.parties import Json, Party
from tests.isolation.route_cases import TURN
from tests.support.bundle import Reply, deployed
from tests.support.servers.databases import Database

JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
ANN, TOM, SERVICE = Party("acme", "ann"), Party("acme", "tom"), Party("acme")
TOMS: Json = {"email": "tom@example.com", "profile": {"first_name": "canary-5b1e"}}

OF_ONE_USER: dict[str, Callable[[As, str], Reply]] = {
    "GET": lambda a, user: a.user("GET", user),
    "GET with a tag": lambda a, user: a.user("GET", user, None, {"if-none-match": "*"}),
    "PUT": lambda a, user: a.user("PUT", user, {"email": "tom@example.com"}),
    "PUT with a tag": lambda a, user: a.user("PUT", user, {}, {"if-match": '"1f"'}),
    "PATCH": lambda a, user: a.user("PATCH", user, {"email": None}),
    "DELETE": lambda a, user: a.user("DELETE", user),
    "DELETE as a dry run": lambda a, user: a.count_user(user),
    "export": lambda a, user: a.export(user),
    "export after a place": lambda a, user: a.export(user, cursor="beef"),
}
OF_ALL_USERS: dict[str, Callable[[As], Reply]] = {
    "list": lambda a: a.users(),
    "page": lambda a: a.users(cursor="beef"),
    "e-mail that is taken": lambda a: a.users(email="tom@example.com"),
    "e-mail that is free": lambda a: a.users(email="free@example.com"),
    "own e-mail": lambda a: a.users(email="ann@example.com"),
}
CREATIONS: dict[str, Callable[[As], Reply]] = {
    "create": lambda a: a.create_user({}),
    "create with a taken e-mail": lambda a: a.create_user({"email": "tom@example.com"}),
    "create with a used key": lambda a: a.create_user(TOMS, {"idempotency-key": "k"}),
}


@pytest.fixture
def database(embedded_database: Database) -> Database:
    """A database in which acme has tom with a session, made with the key k, and globex has zoe."""
    with deployed({"DATABASE_URL": embedded_database.app_url, **JWT}):
        service = by_token(SERVICE)
        assert service.user("PUT", "tom", TOMS).status == 201
        assert by_token(TOM).write("of tom", TURN).status == 201
        assert service.create_user({}, {"idempotency-key": "k"}).status == 201
        assert by_token(Party("globex")).user("PUT", "zoe", {}).status == 201
    return embedded_database


@pytest.fixture
def ann(database: Database) -> Iterator[As]:
    """The functions as the end user ann, in a process that has not called the database yet."""
    with deployed({"DATABASE_URL": database.app_url, **JWT}):
        yield by_token(ANN)


def shape(reply: Reply) -> tuple[object, ...]:
    """Return the answer without the id of the request."""
    return reply.status, sorted(reply.headers.items()), {**reply.json, "request_id": ""}


def assert_one_403(replies: list[Reply]) -> None:
    """Assert that all answers are one 403, and that none of the requests called the database."""
    assert LazyConnection not in environment.current.objects
    assert replies[0].status == 403
    assert all(shape(each) == shape(replies[0]) for each in replies), replies


def test_each_route_of_any_other_user_is_one_and_the_same_403_before_any_call_of_the_database(ann: As) -> None:
    # A user with a row, one of another tenant, none, and spellings of the end user itself.
    others = ["tom", "zoe", "nobody", "Ann", "ann ", " ann", "\u00e1nn", "\uff41nn", "an\u200bn", "ann\u00ad"]
    assert_one_403([send(ann, user) for send in OF_ONE_USER.values() for user in others])


def test_the_list_and_the_look_up_of_an_e_mail_are_one_403_for_an_end_user(ann: As) -> None:
    assert_one_403([send(ann) for send in OF_ALL_USERS.values()])


def test_each_creation_of_a_user_is_one_403_for_an_end_user(ann: As) -> None:
    assert_one_403([send(ann) for send in CREATIONS.values()])


def test_a_subject_that_a_path_cannot_hold_is_403_on_each_route(ann: As) -> None:
    subjects = ["a/b", "/", "%", "a%2Fb", ".", "..", "a\\b", "a?b", "a#b"]
    for user in subjects:
        odd = by_token(Party("acme", user))
        replies = [send(odd, name) for send in OF_ONE_USER.values() for name in ("tom", user)]
        replies += [send(odd) for send in (*OF_ALL_USERS.values(), *CREATIONS.values())]
        replies += [odd.write("s", TURN), odd.sessions(), odd.read("of tom")]
        assert {each.status for each in replies} == {403}, user
    assert LazyConnection not in environment.current.objects
    # Such a subject makes a service no end user.
    for user in subjects:
        assert by_token(Party("acme", user), scope=SCOPE).user("GET", "tom").status == 200


def test_an_end_user_reads_changes_exports_and_erases_itself(ann: As) -> None:
    assert ann.write("of ann", TURN).status == 201
    assert ann.user("PUT", "ann", {"email": "ann@example.com"}).status == 201
    changed = ann.user("PATCH", "ann", {"profile": {"first_name": "Ann"}})
    assert ann.user("GET", "ann").headers["etag"] == changed.headers["etag"]
    page = ann.export("ann").json
    assert [each["id"] for each in page["sessions"]] == ["of ann"]
    assert ann.count_user("ann").json == {"sessions": 1, "messages": 1, "interactions": 0}
    assert ann.user("DELETE", "ann").status == 204
    assert ann.user("GET", "ann").status == ann.export("ann").status == 404
    assert by_token(TOM).export("tom").json["turns"] != []


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_a_taken_e_mail_is_422_and_says_nothing_else(ann: As, method: str) -> None:
    assert ann.user("PUT", "ann", {}).status == 201
    service, replies = by_token(SERVICE), []
    # Of a user with a profile and sessions, and of one that has the e-mail alone.
    assert service.user("PUT", "bare", {"email": "bare@example.com"}).status == 201
    for email in ("tom@example.com", "TOM@Example.com", "bare@example.com"):
        replies.append(ann.user(method, "ann", {"email": email}))
    assert {tuple(sorted(each.headers.items())) for each in replies} == {tuple(sorted(replies[0].headers.items()))}
    for each in replies:
        assert (each.status, shape(each)) == (422, shape(replies[0]))
        assert set(each.json) == {"type", "title", "status", "detail", "request_id", "errors"}
        (error,) = each.json["errors"]
        assert (error["loc"], error["type"]) == (["body", "email"], "email_taken")
        assert all(word not in everything(each) for word in ("tom", "bare", "canary"))
    assert "email" not in ann.user("GET", "ann").json


def test_an_e_mail_of_another_tenant_is_free(ann: As) -> None:
    zoe = by_token(Party("globex", "zoe"))
    assert zoe.user("PATCH", "zoe", {"email": "tom@example.com"}).status == 200
    assert by_token(Party("globex")).create_user({"email": "Tom@example.com"}).status == 422
    for tenant, user in (("acme", "tom"), ("globex", "zoe")):
        listed = by_token(Party(tenant)).users(email="tom@example.com").json["users"]
        assert [each["id"] for each in listed] == [user]
    assert ann.user("PUT", "ann", {"email": "tom@example.com"}).status == 422


@pytest.mark.parametrize("state", ["kept", "erased", "without a row"])
def test_equal_users_of_two_tenants_meet_only_what_is_their_own(ann: As, state: str) -> None:
    twin, globex = by_token(Party("globex", "tom")), by_token(Party("globex"))
    if state != "without a row":
        assert twin.user("PUT", "tom", {"email": "tom@example.com", "profile": {"first_name": "twin"}}).status == 201
    assert twin.write("of tom", {**TURN, "user_message": "of the twin"}).status == 201
    if state == "erased":
        assert twin.user("DELETE", "tom").status == 204
        assert globex.users().json["users"][0]["id"] == "zoe"
        assert twin.export("tom").status == twin.count_user("tom").status == twin.user("PATCH", "tom", {}).status == 404
    tom = by_token(TOM)
    assert tom.user("GET", "tom").json["profile"] == TOMS["profile"]
    assert [each["user_message"] for each in tom.export("tom").json["turns"]] == ["q"]
    assert tom.count_user("tom").json == {"sessions": 1, "messages": 1, "interactions": 0}
    assert tom.user("DELETE", "tom").status == 204
    if state != "erased":
        page = twin.export("tom").json
        assert (page["user"] or {}).get("profile") == ({"first_name": "twin"} if state == "kept" else None)
        assert [each["user_message"] for each in page["turns"]] == ["of the twin"]
