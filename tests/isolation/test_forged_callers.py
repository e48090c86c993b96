"""No value that a client sends chooses its tenant or user. An unusable authorizer is 403 before any call."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from robot_brain import environment
from robot_brain.database.connection import LazyConnection
from tests.isolation.calling import SCOPE, As, by_account, by_role, by_token
from tests.isolation.parties import Party
from tests.isolation.route_cases import TURN
from tests.support.bundle import Json, Reply, deployed
from tests.support.log_lines import logged
from tests.support.servers.databases import Database

# No server listens there, and no request of these tests may try it.
NOWHERE = "postgresql://robot_brain_app@127.0.0.1:1/none"
SECRET = "canary-4f1b8a"
JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
ROLE = {"AUTH": "iam", "TENANT_FROM": "iam:role"}
ACCOUNT = {"AUTH": "iam", "TENANT_FROM": "iam:account"}
# Without AUTH the functions need the authorizer of IAM.
UNSET = {"AUTH": ""}

GOOD_CLAIMS: Json = {"sub": "ann", "tenant": "acme", "jti": SECRET, "email": f"{SECRET}@example.com"}
GOOD_JWT: Json = {"jwt": {"claims": GOOD_CLAIMS, "scopes": None}}
ARN = "arn:aws:sts::111111111111:assumed-role/kiosk/session"
GOOD_IAM: Json = {"iam": {"accountId": "111111111111", "userArn": ARN, "accessKey": SECRET}}

# Authorizers that no setting accepts.
UNUSABLE: list[Any] = [
    None,
    {},
    {"jwt": {}},
    {"jwt": None},
    {"jwt": {"claims": {}}},
    {"jwt": {"claims": None}},
    {"jwt": {"claims": [SECRET]}},
    {"iam": {}},
    {"iam": None},
    {"iam": [SECRET]},
    {"lambda": GOOD_CLAIMS},
    {"principalId": SECRET},
    {"claims": GOOD_CLAIMS},
]

WRONG_TYPES: list[Any] = [["acme"], [], 7, 0, {"a": "b"}, {}, True, False, None]
WRONG_TENANTS = ["", " ", "ac me", "acme ", " acme", "acme\n", "a" * 129, "*", "[acme]", "[a b]", "map[a:b]", "acme/x"]
WRONG_TENANTS += ["ac\x00me", "acmé", "acme\u200b", "'; select 1", "a\ud800"]
WRONG_SUBJECTS = [
    "",
    "u" * 256,
    "a\nb",
    "a\x00",
    "\x7f",
    "a\x85b",
    "\ud800",
    "a\udfffb",
    "[a b]",
    "[]",
    "map[a:b]",
    "map[]",
]
WRONG_SUBJECTS += ["[a\u2028b]", ".", "..", "a/b", "/", "a\\b", "a?b", "a#b", "%", "a%2Fb", "a%"]
WRONG_ARNS = {
    "of a user": "arn:aws:iam::111111111111:user/kiosk",
    "of a user whose path looks like a role": "arn:aws:iam::111111111111:user/assumed-role/kiosk",
    "of the root": "arn:aws:iam::111111111111:root",
    "of a role that was not assumed": "arn:aws:iam::111111111111:role/kiosk",
    "of a federated user": "arn:aws:sts::111111111111:federated-user/kiosk",
    "of another partition's form": "arn:evil:sts::111111111111:assumed-role/kiosk/session",
    "of another service": "arn:aws:iam::111111111111:assumed-role/kiosk/session",
    "with a session that looks like a role": "arn:aws:sts::111111111111:assumed-role/kiosk/assumed-role/kitchen",
    "with an empty role": "arn:aws:sts::111111111111:assumed-role//session",
    "without a session": "arn:aws:sts::111111111111:assumed-role/kiosk",
    "with an empty session": "arn:aws:sts::111111111111:assumed-role/kiosk/",
    "with a short account": "arn:aws:sts::1111:assumed-role/kiosk/session",
    "with a colon in the role": "arn:aws:sts::111111111111:assumed-role/kiosk:kitchen/session",
    "with a colon in the session": "arn:aws:sts::111111111111:assumed-role/kiosk/111111111111:kitchen",
    "with a line break": "arn:aws:sts::111111111111:assumed-role/kiosk\n/session",
}


def token(**claims: Any) -> Json:
    return {"jwt": {"claims": {**GOOD_CLAIMS, **claims}, "scopes": None}}


def identity(**members: Any) -> Json:
    return {"iam": {**GOOD_IAM["iam"], **members}}


def without(whole: Json, part: str, name: str) -> Json:
    inner = whole[part]["claims"] if part == "jwt" else whole[part]
    kept = {key: value for key, value in inner.items() if key != name}
    return {part: {"claims": kept} if part == "jwt" else kept}


def refusals() -> Iterator[tuple[str, Mapping[str, str], Any]]:
    """Yield a name, the settings and an authorizer that is 403."""
    for variables, name in (
        (JWT, "jwt"),
        (ROLE, "role"),
        (ACCOUNT, "account"),
        ({"AUTH": "jwt"}, "fixed jwt"),
        (UNSET, "fixed"),
    ):
        for empty in UNUSABLE:
            yield f"{name} with the authorizer {empty!r:.40}", variables, empty
        other = GOOD_IAM if "jwt" in name else GOOD_JWT
        yield f"{name} with the other kind", variables, other
    for wrong in [*WRONG_TYPES, *WRONG_TENANTS]:
        yield f"tenant {wrong!r:.20}", JWT, token(tenant=wrong)
        yield f"account {wrong!r:.20}", ACCOUNT, identity(accountId=wrong)
    for wrong in [*WRONG_TYPES, *WRONG_SUBJECTS]:
        yield f"sub {wrong!r:.20}", JWT, token(sub=wrong)
        yield f"sub {wrong!r:.20} and a fixed tenant", {"AUTH": "jwt"}, token(sub=wrong)
    for wrong, claim in itertools.product(WRONG_TYPES, ("scope", "scp")):
        yield f"{claim} {wrong!r:.20}", JWT, token(**{claim: wrong})
    yield "a service whose other scope claim is no text", JWT, token(scope=SCOPE, scp=[SCOPE])
    yield "no tenant", JWT, without(GOOD_JWT, "jwt", "tenant")
    yield "no sub", JWT, without(GOOD_JWT, "jwt", "sub")
    yield "a service without a tenant", JWT, without(token(scope=SCOPE), "jwt", "tenant")
    yield "no account", ACCOUNT, without(GOOD_IAM, "iam", "accountId")
    yield "no ARN", ROLE, without(GOOD_IAM, "iam", "userArn")
    for wrong in WRONG_TYPES:
        yield f"ARN {wrong!r:.20}", ROLE, identity(userArn=wrong)
    for name, arn in WRONG_ARNS.items():
        yield f"ARN {name}", ROLE, identity(userArn=arn)
    yield "an account that is not the role's", ROLE, identity(accountId="222222222222")


REFUSALS = list(refusals())  # fmt: skip

ROUTES: dict[str, Callable[[As], Reply]] = {
    "POST": lambda a: a.write("s", TURN, {"idempotency-key": "k"}),
    "PUT": lambda a: a.replace("s", 1, {"user_message": "q", "robot_response": "a"}),
    "PATCH": lambda a: a.patch("s", {}),
    "DELETE turns": lambda a: a.remove("s", 0),
    "DELETE": lambda a: a.erase("s"),
    "GET": lambda a: a.read("s"),
    "GET sessions": lambda a: a.sessions(),
    "GET stats": lambda a: a.stats(),
    "GET a session's stats": lambda a: a.stats(session_id="s"),
    "GET database": lambda a: a.database_health(),
    "POST user": lambda a: a.create_user({}, {"idempotency-key": "k"}),
    "PUT user": lambda a: a.user("PUT", "ann", {}),
    "PATCH user": lambda a: a.user("PATCH", "ann", {}),
    "DELETE user": lambda a: a.user("DELETE", "ann"),
    "DELETE user as a dry run": lambda a: a.count_user("ann"),
    "GET user": lambda a: a.user("GET", "ann"),
    "GET export": lambda a: a.export("ann"),
    "GET users": lambda a: a.users(),
    "GET audit": lambda a: a.audit(),
}


@pytest.mark.parametrize("route", ROUTES)
def test_an_unusable_authorizer_is_403_on_each_route_without_a_connection(route: str) -> None:
    for name, variables, authorizer in REFUSALS:
        with deployed({"DATABASE_URL": NOWHERE, **variables}), logged() as lines:
            reply = ROUTES[route](As(Party("acme"), authorizer))
            assert LazyConnection not in environment.current.objects, f"{name}: the database was called"
        assert reply.status == 403, f"{name}: {reply}"
        assert reply.headers["content-type"] == "application/problem+json", name
        assert (reply.json["title"], reply.json["status"]) == ("Forbidden", 403), name
        assert SECRET not in str(reply.body), name
        (line,) = lines()
        assert line["status"] == 403, name
        assert {"tenant_id", "user_id"}.isdisjoint(line), name
        assert SECRET not in json.dumps(line), name
        assert "ann" not in [value for key, value in line.items() if key != "named_user_id"], name


def test_each_unusable_authorizer_differs_from_a_usable_one() -> None:
    for variables, good in ((JWT, GOOD_JWT), (ROLE, GOOD_IAM), (ACCOUNT, GOOD_IAM), (UNSET, GOOD_IAM)):
        with deployed({"DATABASE_URL": NOWHERE, "DB_MAX_RETRIES": "1", **variables}), logged():
            assert As(Party("acme"), good).read("s").status == 503


def test_the_settings_choose_the_credentials_if_an_event_has_two_kinds(database_of_two: Database) -> None:
    both = {**token(), **identity()}
    for variables, tenant in ((JWT, "acme"), (ACCOUNT, "111111111111"), (ROLE, "111111111111:kiosk")):
        with deployed({"DATABASE_URL": database_of_two.app_url, **variables}), logged() as lines:
            assert As(Party("acme"), both).read("s").status == 404
        assert lines()[-1]["tenant_id"] == tenant


@pytest.fixture
def database_of_two(embedded_database: Database) -> Database:
    """A database in which the tenants acme and globex have a session `s` each, acme's of the user ann."""
    with deployed({"DATABASE_URL": embedded_database.app_url, **JWT}):
        assert by_token(Party("acme", "bea")).write("s", {**TURN, "user_message": "of acme"}).status == 201
        assert by_token(Party("globex", "ann")).write("s", {**TURN, "user_message": "of globex"}).status == 201
    return embedded_database


FORGED_HEADERS = {
    "x-tenant": "globex", "x-tenant-id": "globex", "tenant": "globex", "x-user": "bea", "x-user-id": "bea",
    "x-amzn-oidc-identity": "bea", "x-forwarded-user": "bea", "authorization": "Bearer bea", "tenant_id": "globex",
    "x-amzn-request-context": '{"authorizer": {"jwt": {"claims": {"tenant": "globex", "sub": "bea"}}}}',
}  # fmt: skip


@pytest.mark.parametrize("name", FORGED_HEADERS)
def test_a_header_changes_neither_tenant_nor_user(database_of_two: Database, name: str) -> None:
    with deployed({"DATABASE_URL": database_of_two.app_url, **JWT}):
        ann, header = by_token(Party("acme", "ann")), {name: FORGED_HEADERS[name]}
        assert ann.read("s", header).status == 404
        assert ann.write("s", TURN, header).status == 404
        assert ann.erase("s", header).status == 404
        assert ann.export("bea", cursor="beef").status == 403
        assert ann.user("GET", "ann", None, header).status == 404
        ann.write(f"made with {name}", TURN, header)
        assert ann.read(f"made with {name}").json["session"]["user_id"] == "ann"


@pytest.mark.parametrize("member", ["tenant_id", "tenant", "user_id", "as_user", "p_as_user", "p_tenant_id"])
def test_a_member_of_the_body_or_the_query_that_names_a_caller_is_refused(
    database_of_two: Database, member: str
) -> None:
    with deployed({"DATABASE_URL": database_of_two.app_url, **JWT}):
        for caller in (by_token(Party("acme", "ann")), by_token(Party("acme"))):
            assert caller.write("s", {**TURN, member: "globex"}).status == 422
            assert caller.replace("s", 1, {"user_message": "", "robot_response": "", member: "globex"}).status == 422
            assert caller.read("s", None, **{member: "globex"}).status == 422
            assert caller.stats(session_id="s", **{member: "globex"}).status == 422
            for method in ("PUT", "PATCH"):
                assert caller.user(method, "ann", {member: "globex"}).status == 422
            if caller.party.user is None:
                assert caller.create_user({member: "globex"}).status == 422
                assert caller.users(**{member: "globex"}).status == 422
                assert caller.audit(**{member: "globex"}).status == 422
            if member != "user_id":
                assert caller.patch("s", {member: "globex"}).status == 422
                assert caller.sessions(**{member: "globex"}).status == 422
                assert caller.export("ann", **{member: "globex"}).status == 422


def test_a_request_with_the_source_of_a_schedule_runs_no_refresh(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url, **JWT}):
        ann = by_token(Party("acme", "ann"))
        named = {"source": "robot-brain.schedule", "action": "refresh_stats"}
        assert ann.stats(**named).status == 422
        assert ann.write("s", {**TURN, **named}).status == 422
        assert ann.read("s", named).status == 404


@pytest.mark.parametrize("session", ["session", "kitchen", "assumed-role", "222222222222", "a@b=c,d.e+f-g_h"])
def test_the_name_of_a_roles_session_changes_nothing(embedded_database: Database, session: str) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url, **ROLE}), logged() as lines:
        assert by_role(Party("111111111111:kiosk"), session).read("s").status == 404
    assert lines()[-1]["tenant_id"] == "111111111111:kiosk"


def test_a_role_of_china_or_of_the_government_is_a_tenant(embedded_database: Database) -> None:
    for partition in ("aws-cn", "aws-us-gov"):
        with deployed({"DATABASE_URL": embedded_database.app_url, **ROLE}), logged() as lines:
            assert As(Party("x"), identity(userArn=ARN.replace("arn:aws", f"arn:{partition}"))).read("s").status == 404
        assert lines()[-1]["tenant_id"] == "111111111111:kiosk"


def test_anyone_may_ask_whether_the_service_is_up() -> None:
    for _, variables, authorizer in REFUSALS:
        with deployed({"DATABASE_URL": NOWHERE, **variables}), logged():
            assert As(Party("acme"), authorizer).health().status == 200
            assert LazyConnection not in environment.current.objects


def test_two_accounts_do_not_meet(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url, **ACCOUNT}):
        assert by_account(Party("111111111111")).write("s", TURN).status == 201
        assert by_account(Party("222222222222")).read("s").status == 404
