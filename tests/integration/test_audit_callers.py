"""Who acted and by which request, and that no entry holds what a client said of a person."""

import hashlib
import secrets
from collections.abc import Callable

import pytest

from tests.integration.audited import entries
from tests.integration.user_rows import left_of
from tests.support.bundle import Bundle, Json, Reply, deployed, turn
from tests.support.servers.databases import Database

pytestmark = pytest.mark.parametrize("database", ["embedded"], indirect=True)
ARN = "arn:aws:sts::123456789012:assumed-role/support/bob"
JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant", "ALL_USERS_SCOPE": "all"}
IAM = {"AUTH": "iam"}


def token(**claims: str) -> Json:
    """Return what the gateway passes on of a token."""
    return {"jwt": {"claims": {"tenant": "local", **claims}, "scopes": None}}


# The variables, what the gateway passes on, and the actor of the entries.
CALLERS: dict[str, tuple[dict[str, str], Json | None, str | None]] = {
    "an end user": (JWT, token(sub="ann", scope="openid"), "ann"),
    "a service with a subject": (JWT, token(sub="robot", scope="openid all"), "robot"),
    "a service without a subject": (JWT, token(scope="all"), None),
    "a service whose subject is no id of a user": (JWT, token(sub="a/b", scope="all"), "a/b"),
    "a signer": (IAM, {"iam": {"accountId": "123456789012", "userArn": ARN}}, ARN),
    "a signer without an ARN": (IAM, {"iam": {"accountId": "123456789012"}}, None),
    "a signer whose ARN is too long": (IAM, {"iam": {"accountId": "1", "userArn": "a" * 1025}}, None),
    "a signer whose ARN is no text": (IAM, {"iam": {"accountId": "1", "userArn": {"a": 1}}}, None),
    "a gateway without an authorizer": ({}, None, None),
}


class As(Bundle):
    """The functions, with an authorizer. Each request has an id of its own."""

    def __init__(self, authorizer: Json | None) -> None:
        super().__init__()
        self.authorizer = authorizer

    def call(self, function: str, event: Json) -> Reply:
        if self.authorizer is not None:
            event["requestContext"]["authorizer"] = self.authorizer
        self.context.aws_request_id = secrets.token_hex(8)
        return super().call(function, event)


@pytest.mark.parametrize("caller", CALLERS)
def test_an_entry_names_who_acted_and_the_request_of_the_log(
    database: Database, caller: str, capsys: pytest.CaptureFixture[str]
) -> None:
    variables, authorizer, actor = CALLERS[caller]
    with deployed({"DATABASE_URL": database.app_url, **variables}):
        b = As(authorizer)
        sees_all = caller != "an end user"
        assert b.write("s", turn()).status == 201
        requests: list[Callable[[], Reply]] = [
            lambda: b.user("PUT", "ann", {"email": "a@b"}),
            lambda: b.user("PATCH", "ann", {"email": "c@d"}),
            lambda: b.replace("s", 1, {"user_message": "u", "robot_response": "r"}),
            lambda: b.export("ann"),
            lambda: b.remove("s", 0),
            lambda: b.erase("s"),
            lambda: b.user("DELETE", "ann"),
        ]
        if sees_all:
            requests += [lambda: b.create_user({}), lambda: b.patch("t", {"user_id": "ann"})]
        sent = []
        for request in requests:
            reply = request()
            assert reply.status in (200, 201, 204), reply.body
            sent.append(b.context.aws_request_id)
    found = entries(database)
    assert [(entry["user_id"], entry["request_id"]) for entry in found] == [(actor, each) for each in sent]
    logged = capsys.readouterr().out
    assert all(f'"request_id":"{each}"' in logged for each in sent)


PRIVATE_PARTS = (
    "question", "answer", "item", "metadata", "interaction", "title", "email", "hash", "first", "last", "url", "key",
)  # fmt: skip


def test_no_entry_holds_a_text_a_name_an_address_or_a_hash_after_any_operation(
    database: Database, bundle: Bundle
) -> None:
    marks = {name: f"x{secrets.token_hex(8)}" for name in PRIVATE_PARTS}
    text = {
        "user_message": marks["question"],
        "robot_response": marks["answer"],
        "items": [{marks["item"]: marks["item"]}],
        "metadata": {marks["metadata"]: marks["metadata"]},
    }
    interaction = {"interaction_type": marks["interaction"], "duration_ms": 1, "success": True}
    person = {
        "email": f"{marks['email']}@example.com",
        "password_hash": f"$argon2id$v=19$m=1,t=1,p=1$c29tZXNhbHQ${marks['hash']}",
        "profile": {
            "first_name": marks["first"], "last_name": marks["last"], "avatar_url": f"https://e.org/{marks['url']}",
        },
    }  # fmt: skip
    turns = [turn(1), {**turn(2), **text, "interaction": interaction}]
    created = bundle.create_user(person, {"idempotency-key": marks["key"]})
    replies = [
        created,
        bundle.user("PUT", "bob", {"profile": person["profile"]}),
        bundle.user("PATCH", "bob", {"email": f"{marks['email']}@b.org", "password_hash": person["password_hash"]}),
        bundle.user("PUT", "bob", {}),
        bundle.write("s", {"messages": turns, "user_metadata": {marks["title"]: marks["title"]}}),
        bundle.replace("s", 1, {**text, "interaction": interaction}),
        bundle.replace("s", 1, {"user_message": "u", "robot_response": marks["answer"][::-1]}),
        bundle.patch("s", {"user_id": "bob", "user_metadata": {marks["title"]: [marks["title"]]}}),
        bundle.patch("t", {"user_id": "bob", "user_metadata": {marks["title"]: 1}}),
        bundle.export("bob"),
        bundle.count_user("bob"),
        bundle.remove("s", 1),
        bundle.erase("t"),
        bundle.user("DELETE", "bob"),
        bundle.user("DELETE", created.json["id"]),
    ]
    assert [reply.status for reply in replies] == [
        201, 201, 200, 200, 201, 200, 200, 200, 200, 200, 200, 200, 204, 204, 204,
    ]  # fmt: skip
    assert [(entry["record_id"], entry["action"]) for entry in entries(database)] == [
        (created.json["id"], "INSERT"), ("bob", "INSERT"), ("bob", "UPDATE"), ("bob", "UPDATE"),
        ("s", "UPDATE"), ("s", "UPDATE"), ("s", "UPDATE"), ("t", "INSERT"), ("bob", "EXPORT"), ("s", "DELETE"),
        ("t", "ERASE"), ("bob", "ERASE"), (created.json["id"], "ERASE"),
    ]  # fmt: skip
    bundle.refresh()
    for mark in marks.values():
        for form in (mark, mark[::-1], mark.upper(), hashlib.sha256(mark.encode()).hexdigest()):
            found = [row for table, row in left_of(database, form) if "audit" in table]
            assert found == [], form
