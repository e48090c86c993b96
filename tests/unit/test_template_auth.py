"""template.yaml: who may call the API, whose pages may, how often, and what names the tenant."""

from typing import Any

import pytest

from local.settings import ROOT
from local.template import load_template
from robot_brain.settings import settings
from tests.support.bundle import deployed
from tests.support.cloudformation import Stack
from tests.support.deployed_template import TEMPLATE, TEMPLATES
from tests.support.invoking import API as INVOKED
from tests.support.invoking import allows, requested

ROUTES = load_template(ROOT / "template.yaml").routes
API: dict[str, Any] = TEMPLATE["Resources"]["RobotBrainApi"]["Properties"]
TOKENS = {"JwtIssuer": "https://id.example.com/", "JwtAudience": "robot-brain, https://api.example.com/"}
DATABASE = {"DatabaseUrl": "postgresql://u@h/d"}


def stack(auth: str, parameters: dict[str, str]) -> Stack:
    """Return a stack of the template for `auth`."""
    tokens = TOKENS if auth == "jwt" else {}
    return Stack(TEMPLATES[auth], tokens | DATABASE | parameters, {"RobotBrainApi": "abcdefghij"})


@pytest.mark.parametrize(
    ("auth", "tenant_from", "refusals"),
    [
        ("iam", "fixed", []),
        ("iam", "iam:account", []),
        ("iam", "iam:role", []),
        ("iam", "claim:tenant", ["This build is for signatures. Give TenantFrom fixed, iam:account or iam:role."]),
        ("jwt", "fixed", []),
        ("jwt", "claim:tenant", []),
        ("jwt", "iam:account", ["This build is for tokens. Give TenantFrom fixed, or claim and the name of a claim."]),
        ("jwt", "iam:role", ["This build is for tokens. Give TenantFrom fixed, or claim and the name of a claim."]),
    ],
)
def test_the_tenant_comes_only_from_what_a_caller_of_this_build_shows(
    auth: str, tenant_from: str, refusals: list[str]
) -> None:
    assert stack(auth, {"TenantFrom": tenant_from}).refusals() == refusals


@pytest.mark.parametrize(
    ("auth", "given", "scope"),
    [
        ("iam", {}, "robot-brain/all-users"),
        ("iam", {"TenantFrom": "iam:role"}, "robot-brain/all-users"),
        ("jwt", {"TenantFrom": "claim:" + "x" * 128, "AllUsersScope": "!#^~" + "x" * 116}, "!#^~" + "x" * 116),
        ("jwt", {"TenantId": "x" * 120 + "._+=,@:-", "AllUsersScope": "none"}, ""),
    ],
)
def test_the_functions_read_what_the_parameters_of_the_caller_say(auth: str, given: dict[str, str], scope: str) -> None:
    chosen = {"TenantFrom": "fixed", "TenantId": "local"} | given
    function = TEMPLATES[auth]["Resources"]["WriteMessageFunction"]["Properties"]
    with deployed(stack(auth, chosen).resolve(function["Environment"]["Variables"], "Variables")):
        read = settings()
    assert (read.auth, read.tenant_from, read.tenant_id) == (auth, chosen["TenantFrom"], chosen["TenantId"])
    assert read.all_users_scope == scope


def test_tokens_are_read_from_one_header_and_must_be_of_the_issuer_and_for_an_audience() -> None:
    authorizers = TEMPLATES["jwt"]["Resources"]["RobotBrainApi"]["Properties"]["Auth"]["Authorizers"]
    assert stack("jwt", {}).resolve(authorizers, "Authorizers") == {
        "Jwt": {
            "IdentitySource": "$request.header.Authorization",
            "JwtConfiguration": {
                "issuer": "https://id.example.com/",
                "audience": ["robot-brain", "https://api.example.com/"],
            },
        }
    }


@pytest.mark.parametrize("auth", TEMPLATES)
def test_a_deployment_fails_if_the_gateway_cannot_make_the_authorizer(auth: str) -> None:
    assert TEMPLATES[auth]["Resources"]["RobotBrainApi"]["Properties"]["FailOnWarnings"] is True


@pytest.mark.parametrize("origins", ["none", "https://app.example.com"])
def test_a_page_of_an_origin_may_use_every_method_and_send_and_read_every_header_that_matters(origins: str) -> None:
    cors = stack("iam", {"CorsOrigin": origins}).resolve(API["CorsConfiguration"], "CorsConfiguration")
    # A browser may send HEAD if it may send GET.
    assert set(cors["AllowMethods"]) == {route.method for route in ROUTES} - {"HEAD"}
    of_requests = {"content-type", "idempotency-key", "if-match", "if-none-match"}
    of_signatures = {"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"}
    assert set(cors["AllowHeaders"]) == of_requests | of_signatures
    of_the_gateway = {"www-authenticate", "apigw-requestid"}
    assert set(cors["ExposeHeaders"]) == {"etag", "idempotent-replayed", "retry-after"} | of_the_gateway


def test_only_the_routes_that_are_open_to_anyone_have_a_throttle_of_their_own_of_five_a_second() -> None:
    assert API["RouteSettings"] == {
        f"{route.method} {route.path}": {"ThrottlingRateLimit": 5, "ThrottlingBurstLimit": 5}
        for route in ROUTES
        if route.path == "/health"
    }


def test_the_policy_of_callers_allows_every_route_of_this_api_that_needs_a_signature_and_nothing_else() -> None:
    document = TEMPLATE["Resources"]["CallerPolicy"]["Properties"]["PolicyDocument"]
    ids = {"RobotBrainApi": "abcdefghij", "AWS::Region": "eu-central-1"}
    policy = Stack(TEMPLATE, {}, ids).resolve(document, "CallerPolicy")
    [statement] = policy["Statement"]
    assert statement["Action"] == "execute-api:Invoke"
    for route in ROUTES:
        for resource in requested(route):
            assert allows(resource, policy) is (route.path != "/health"), resource
            for part in ("eu-central-1", "123456789012", "abcdefghij", "$default"):
                assert not allows(resource.replace(part, "other", 1), policy)
    # Each line of the policy serves a route, so a removed route leaves no right behind.
    asked = {resource for route in ROUTES for resource in requested(route)}
    for each in statement["Resource"]:
        assert each.startswith(INVOKED)
        assert any(allows(resource, {"Statement": [statement | {"Resource": [each]}]}) for resource in asked)


@pytest.mark.parametrize("auth", TEMPLATES)
def test_the_policy_of_callers_and_its_output_exist_only_if_callers_sign(auth: str) -> None:
    assert ("CallerPolicy" in TEMPLATES[auth]["Resources"]) is (auth == "iam")
    assert TEMPLATES[auth]["Outputs"].get("CallerPolicyArn", {}).get("Value") == (
        {"Ref": "CallerPolicy"} if auth == "iam" else None
    )
