"""Only the credentials and Lambda say in the audit trail who acted, in which tenant and in which request."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.isolation.calling import As, by_account, by_role, by_token
from tests.isolation.parties import Party
from tests.isolation.route_cases import TURN
from tests.support.bundle import Json, Reply, deployed
from tests.support.servers.databases import Database

JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
EDIT = {"user_message": "new", "robot_response": "new"}
NAMES = {
    "actor": "eve", "p_actor": "eve", "as_user": "eve", "user": "eve", "user_id": "eve", "userarn": "eve",
    "request_id": "forged", "requestid": "forged", "p_request_id": "forged", "tenant_id": "globex", "tenant": "globex",
}  # fmt: skip
FORGED = {
    **NAMES,
    **{f"x-{name.replace('_', '-')}": value for name, value in NAMES.items()},
    "x-amzn-requestid": "forged", "x-amzn-request-id": "forged", "x-amz-request-id": "forged",
    "x-correlation-id": "forged", "x-amzn-trace-id": "Root=1-forged", "x-amzn-oidc-identity": "eve",
    "x-forwarded-user": "eve", "x-remote-user": "eve", "authorization": "Bearer eve",
    "x-amzn-request-context": '{"requestId": "forged", "authorizer": {"jwt": {"claims": {"sub": "eve"}}}}',
}  # fmt: skip
# Members beside what the functions read. The gateway would not pass them on, or gives them another meaning.
CLAIMS = {
    **NAMES, "act": {"sub": "eve"}, "username": "eve", "cognito:username": "eve", "email": "eve@example.com",
    "client_id": "eve", "azp": "eve", "jti": "forged",
}  # fmt: skip
# The name that the token or the signature has, and what the trail must call it.
DEPLOYMENTS: dict[str, tuple[Mapping[str, str], Callable[[], As], str, str]] = {
    "end user": (JWT, lambda: by_token(Party("acme", "ann"), **CLAIMS | {"tenant": "acme"}), "acme", "ann"),
    "service": (JWT, lambda: by_token(Party("acme"), **CLAIMS | {"tenant": "acme"}), "acme", "robot"),
    "account": (
        {"AUTH": "iam", "TENANT_FROM": "iam:account"},
        lambda: by_account(Party("111111111111")),
        "111111111111",
        "arn:aws:iam::111111111111:user/robot",
    ),
    "role": (
        {"AUTH": "iam", "TENANT_FROM": "iam:role"},
        lambda: by_role(Party("111111111111:kiosk")),
        "111111111111:kiosk",
        "arn:aws:sts::111111111111:assumed-role/kiosk/session",
    ),
}
# Each operation that the audit trail records, in an order in which each changes something.
OPERATIONS: dict[str, tuple[Callable[[As, Json], Reply], tuple[str, str, str]]] = {
    "PUT turn": (lambda a, h: a.replace("s", 1, EDIT, h), ("conversations", "s", "UPDATE")),
    "DELETE turns": (lambda a, h: a.remove("s", 1, h), ("conversations", "s", "DELETE")),
    "PUT user": (lambda a, h: a.user("PUT", "ann", {}, h), ("users", "ann", "INSERT")),
    "PATCH user": (
        lambda a, h: a.user("PATCH", "ann", {"profile": {"first_name": "A"}}, h),
        ("user_profiles", "ann", "UPDATE"),
    ),
    "DELETE session": (lambda a, h: a.erase("s", h), ("sessions", "s", "ERASE")),
    "DELETE user": (lambda a, h: a.user("DELETE", "ann", None, h), ("users", "ann", "ERASE")),
}
# Operations that some of the callers may not do, or that leave no entry for them. The id of a new user is made.
SOME_CALLERS: dict[str, tuple[Callable[[As, Json], Reply], tuple[str, str, str]]] = {
    "PATCH of a new session": (
        lambda a, h: a.patch("made", {"user_metadata": {"a": 1}}, h),
        ("sessions", "made", "INSERT"),
    ),
    "PATCH": (lambda a, h: a.patch("made", {"user_id": "ann"}, h), ("sessions", "made", "UPDATE")),
    "export": (lambda a, _: a.export("ann"), ("users", "ann", "EXPORT")),
    "POST user": (lambda a, h: a.create_user({}, h), ("users", "", "INSERT")),
}
_TRAIL = """
select tenant_id, table_name, record_id, action, user_id, request_id from robot_brain.audit_logs
where tenant_id <> '*' order by id
"""


def trail(database: Database) -> list[tuple[Any, ...]]:
    """Return all entries of all tenants but the operator."""
    with database.admin() as admin:
        return admin.execute(_TRAIL).fetchall()


@pytest.fixture(params=DEPLOYMENTS)
def caller(request: pytest.FixtureRequest, embedded_database: Database) -> Iterator[tuple[As, str, str]]:
    """A caller whose request has more of everything, with the tenant and the actor that the trail must have."""
    variables, make, tenant, actor = DEPLOYMENTS[request.param]
    with deployed({"DATABASE_URL": embedded_database.app_url, **variables}):
        made = make()
        if "iam" in made.authorizer:
            made.authorizer["iam"] |= {**NAMES, "caller": "eve", "userId": "eve", "callerId": "eve"}
        made.authorizer |= {"lambda": NAMES, "principalId": "eve"}
        yield made, tenant, actor


def test_no_header_and_no_other_claim_changes_who_acts_in_which_tenant_and_request(
    caller: tuple[As, str, str], embedded_database: Database
) -> None:
    asked, tenant, actor = caller
    assert asked.write("s", {"messages": [TURN] * 3}, FORGED).status == 201
    assert trail(embedded_database) == []
    expected = []
    for name, (send, entry) in OPERATIONS.items():
        reply = send(asked, FORGED)
        assert reply.status in (200, 201, 204), (name, reply)
        expected.append((tenant, *entry, actor, asked.context.aws_request_id))
        assert trail(embedded_database) == expected, name


def test_no_header_changes_the_actor_of_a_patch_an_export_or_a_creation(
    caller: tuple[As, str, str], embedded_database: Database
) -> None:
    asked, tenant, actor = caller
    is_service = asked.party.user is None
    for send, entry in SOME_CALLERS.values():
        before, reply = len(trail(embedded_database)), send(asked, FORGED)
        found = trail(embedded_database)[before:]
        # An end user owns what it makes, and a service's session has no owner yet.
        if reply.status == 403 or (is_service and entry[2:] == ("INSERT",) and entry[0] == "sessions"):
            assert found == []
            continue
        assert reply.status in (200, 201), reply
        record = entry[1] or reply.json["id"]
        assert found == [(tenant, entry[0], record, entry[2], actor, asked.context.aws_request_id)]


@pytest.mark.parametrize("name", ["actor", "p_actor", "request_id", "p_request_id", "tenant_id", "p_tenant_id"])
def test_a_body_or_a_query_that_names_an_actor_or_a_request_is_refused_and_leaves_no_entry(
    caller: tuple[As, str, str], embedded_database: Database, name: str
) -> None:
    asked, _, _ = caller
    asked.write("s", TURN)
    asked.user("PUT", "ann", {})
    before, named = trail(embedded_database), {name: "eve"}
    replies = [
        asked.replace("s", 1, {**EDIT, **named}),
        asked.patch("s", named),
        asked.user("PUT", "ann", {"profile": {"first_name": "A"}, **named}),
        asked.user("PATCH", "ann", {"profile": {"first_name": "A"}, **named}),
        asked.export("ann", **named),
    ]
    if asked.party.user is None:
        replies += [asked.create_user(named), asked.audit(**named)]
    assert {each.status for each in replies} == {422}
    assert trail(embedded_database) == before


def test_the_id_of_the_request_is_lambdas_and_not_the_gateways(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url, **JWT}):
        service = by_token(Party("acme"))
        assert service.user("PUT", "ann", {}).status == 201
    ((*_, request_id),) = trail(embedded_database)
    assert request_id == service.context.aws_request_id
    assert '"requestId"' in service.sent
    assert request_id not in service.sent


def test_a_caller_reads_only_what_it_did_as_its_own_actor(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url, **JWT}):
        for tenant in ("acme", "globex"):
            ann, service = by_token(Party(tenant, "ann")), by_token(Party(tenant))
            assert ann.user("PUT", "ann", {"profile": {"first_name": tenant}}).status == 201
            assert service.user("PATCH", "ann", {"profile": None}).status == 200
            # The service changes the user. It does not act as the user.
            for actor, action in (("ann", "INSERT"), ("robot", "UPDATE"), ("eve", None)):
                entries = service.audit(user=actor).json["entries"]
                assert [each["action"] for each in entries] == ([] if action is None else [action])
                assert {each["user_id"] for each in entries} <= {actor}
