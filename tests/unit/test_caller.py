"""The caller in an event's authorizer, and what is refused because no value is guessed."""

from typing import Any

import pytest

from robot_brain.caller import Caller, caller_of
from robot_brain.errors import ForbiddenError, SettingsError
from tests.support.bundle import deployed

URL = {"DATABASE_URL": "postgresql://app@127.0.0.1:1/none"}
ROLE_ARN = "arn:aws:sts::123456789012:assumed-role/chat-robot/session-1"
IAM = {"accountId": "123456789012", "userArn": ROLE_ARN, "userId": "AROA:session-1", "callerId": "AROA:session-1"}
CLAIMS = {"sub": "ann", "iss": "https://issuer.example.com", "scope": "openid", "tenant": "acme", "iat": "1764000000"}
ALL = "robot-brain/all-users"
WRONG: list[Any] = [None, 5, True, ["acme"], {"acme": "acme"}, "", "a b", "[acme]", "*", "a/b", "é", "a\n", "x" * 129]


def of(authorizer: Any, **variables: str) -> Caller:
    """Return the caller in an environment with these variables."""
    with deployed({**URL, **variables}):
        return caller_of(authorizer)


def of_claims(changes: dict[str, Any], **variables: str) -> Caller:
    """Return the caller of a token with the claims above and some changes. A claim whose value is null is left out."""
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    return of({"jwt": {"claims": claims, "scopes": None}}, AUTH="jwt", **variables)


def test_without_authorization_the_caller_acts_for_the_fixed_tenant() -> None:
    assert of({}, AUTH="none", TENANT_ID="acme") == Caller("acme", None, True)


def test_an_iam_caller_acts_for_its_tenant() -> None:
    for variables, tenant in (
        ({"TENANT_ID": "acme"}, "acme"),
        ({"TENANT_FROM": "iam:account"}, "123456789012"),
        ({"TENANT_FROM": "iam:role"}, "123456789012:chat-robot"),
    ):
        assert of({"iam": IAM}, AUTH="iam", **variables) == Caller(tenant, None, True, actor=ROLE_ARN)


def test_the_name_of_a_roles_session_never_reaches_the_tenant() -> None:
    arn = "arn:aws-us-gov:sts::123456789012:assumed-role/chat-robot/admin,other=1@x"
    found = of({"iam": {**IAM, "userArn": arn}}, AUTH="iam", TENANT_FROM="iam:role")
    assert found.tenant_id == "123456789012:chat-robot"


@pytest.mark.parametrize(
    "arn",
    [
        None,
        5,
        [ROLE_ARN],
        "",
        "arn:aws:iam::123456789012:user/chat-robot",
        "arn:aws:iam::123456789012:root",
        "arn:aws:sts::123456789012:federated-user/chat-robot",
        "arn:aws:sts::12345:assumed-role/chat-robot/s",
        "arn:aws:sts::123456789012:assumed-role/chat-robot",
        "arn:aws:sts::123456789012:assumed-role/chat-robot/",
        "arn:aws:sts::123456789012:assumed-role/chat-robot/a/b",
        "arn:aws:sts::123456789012:assumed-role//s",
        "arn:aws:sts::123456789012:assumed-role/chat robot/s",
        f"{ROLE_ARN}\n",
        f" {ROLE_ARN}",
    ],
)
def test_only_the_arn_of_an_assumed_role_names_a_tenant(arn: object) -> None:
    with pytest.raises(ForbiddenError):
        of({"iam": {**IAM, "userArn": arn}}, AUTH="iam", TENANT_FROM="iam:role")


@pytest.mark.parametrize("account", WRONG)
def test_an_account_that_is_missing_or_no_tenant_is_refused(account: object) -> None:
    with pytest.raises(ForbiddenError):
        of({"iam": {**IAM, "accountId": account}}, AUTH="iam", TENANT_FROM="iam:account")


def test_a_token_without_the_scope_is_of_an_end_user() -> None:
    assert of_claims({}) == Caller("local", "ann", False, actor="ann")
    assert of_claims({}, TENANT_FROM="claim:tenant") == Caller("acme", "ann", False, actor="ann")
    assert of_claims({}).as_user == "ann"


@pytest.mark.parametrize("name", ["scope", "scp"])
@pytest.mark.parametrize("text", [ALL, f"openid {ALL}", f"[{ALL} openid]", f"[openid {ALL}]", f"[{ALL}]"])
def test_a_token_with_the_scope_sees_all_users(name: str, text: str) -> None:
    found = of_claims({"scope": None, name: text})
    assert found == Caller("local", "ann", True, actor="ann")
    assert found.as_user is None
    assert of_claims({"scope": None, name: text, "sub": None}) == Caller("local", None, True)


@pytest.mark.parametrize(
    "text", ["", "robot-brain/all", f"x{ALL}", f"{ALL}x", ALL.upper(), f"{ALL},openid", f"[[{ALL}]]", f"openid\t{ALL}"]
)
def test_a_scope_that_only_resembles_the_scope_is_of_an_end_user(text: str) -> None:
    assert not of_claims({"scope": text, "scp": text}).sees_all


def test_without_a_scope_for_all_users_every_token_is_of_an_end_user() -> None:
    assert not of_claims({"scope": f"none {ALL}"}, ALL_USERS_SCOPE="none").sees_all


@pytest.mark.parametrize("value", WRONG)
def test_a_tenant_claim_that_is_missing_or_no_tenant_is_refused(value: object) -> None:
    with pytest.raises(ForbiddenError):
        of_claims({"tenant": value}, TENANT_FROM="claim:tenant")


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        True,
        ["ann"],
        {"ann": "ann"},
        "",
        "x" * 256,
        "a\x00b",
        "a\nb",
        "a\x85b",
        "\ud800",
        *("a/b", "/", "a\\b", "a?b", "a#b", "a%b", "%2e", ".", ".."),
        "[ann bob]",
        "map[a:b]",
    ],
)
def test_a_subject_that_is_missing_or_no_user_id_is_refused(value: object) -> None:
    with pytest.raises(ForbiddenError):
        of_claims({"sub": value})


@pytest.mark.parametrize(
    "value", ["auth0|5f7c8ec7", "a b", "ann@example.com", "é" * 255, "[ann", "0", "...", "a.b", "a:b", "-", "+", "~"]
)
def test_a_subject_may_be_any_text_of_255_characters_that_can_be_a_part_of_a_path(value: str) -> None:
    assert of_claims({"sub": value}).user_id == value


@pytest.mark.parametrize("value", [5, True, [ALL], {ALL: ALL}])
def test_a_scope_of_a_wrong_type_is_refused(value: object) -> None:
    with pytest.raises(ForbiddenError):
        of_claims({"scp": value})


@pytest.mark.parametrize(
    "authorizer",
    [{}, {"jwt": None}, {"jwt": {}}, {"jwt": {"claims": None}}, {"jwt": {"claims": {}}}, {"jwt": {"claims": ["sub"]}},
     {"jwt": "ann"}, {"claims": CLAIMS}, {"iam": IAM}, {"lambda": CLAIMS}],
)  # fmt: skip
def test_an_event_without_the_claims_of_a_token_is_refused(authorizer: Any) -> None:
    with pytest.raises(ForbiddenError):
        of(authorizer, AUTH="jwt")


@pytest.mark.parametrize("authorizer", [{}, {"iam": None}, {"iam": {}}, {"iam": "ann"}, {"jwt": {"claims": CLAIMS}}])
def test_an_event_without_an_identity_is_refused(authorizer: Any) -> None:
    with pytest.raises(ForbiddenError):
        of(authorizer, AUTH="iam")


def test_the_claims_count_also_if_an_identity_is_there() -> None:
    found = of({"iam": IAM, "jwt": {"claims": CLAIMS}}, AUTH="jwt", TENANT_FROM="claim:tenant")
    assert found == Caller("acme", "ann", False, actor="ann")


def test_a_tenant_of_another_kind_of_caller_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError):
        of({"iam": IAM}, AUTH="iam", TENANT_FROM="claim:tenant")


def test_an_end_user_may_list_and_search_only_its_own_sessions() -> None:
    ann, service = Caller("t", "ann", False), Caller("t", "ann", True)
    assert ann.listed_user(None) == ann.listed_user("ann") == "ann"
    assert (service.listed_user(None), service.listed_user("bob")) == (None, "bob")
    with pytest.raises(ForbiddenError, match="may name only itself as a user"):
        ann.listed_user("bob")


def test_an_end_user_may_name_only_itself_and_a_service_may_name_any_user() -> None:
    ann = Caller("t", "ann", False)
    ann.require_user("ann")
    for service in (Caller("t", None, True), Caller("t", "ann", True)):
        service.require_user("bob")
    for named in ("bob", "Ann", "ann ", "an", "annn", "\uff41nn", ""):
        with pytest.raises(ForbiddenError) as error:
            ann.require_user(named)
        assert "ann" not in str(error.value)
        assert "bob" not in str(error.value)


@pytest.mark.parametrize("value", ["a/b", "a\\b", "a?b", "a#b", "a%b", ".", "..", "", "x" * 256])
def test_a_service_whose_subject_is_no_user_id_acts_without_a_user(value: str) -> None:
    found = of_claims({"sub": value, "scope": ALL})
    assert (found.tenant_id, found.user_id, found.sees_all) == ("local", None, True)


def test_what_needs_all_users_names_what_is_refused() -> None:
    Caller("t", None, True).require_all("dance")
    with pytest.raises(ForbiddenError, match=r"An end user may not dance\."):
        Caller("t", "ann", False).require_all("dance")


UNUSABLE: list[Any] = [None, 5, True, ["ann"], {"ann": "ann"}, "", "x" * 1025, "a\x00b", "a\nb", "a\x7f", "a/\ud800"]


@pytest.mark.parametrize(
    "value", ["spiffe://example.com/ns/robots", "https://issuer.example.com/clients/7", "x" * 1024]
)
def test_a_service_whose_subject_is_no_user_id_acts_as_its_subject(value: str) -> None:
    found = of_claims({"sub": value, "scope": ALL})
    assert (found.user_id, found.actor) == (None, value)


@pytest.mark.parametrize("value", [*UNUSABLE, "a b/c", "é/a", "[ann]", "[ann bob]", "map[a:b]"])
def test_a_service_whose_subject_is_missing_or_unusable_acts_without_a_name(value: object) -> None:
    assert of_claims({"sub": value, "scope": ALL}) == Caller("local", None, True)


@pytest.mark.parametrize(
    "arn",
    [
        "arn:aws:iam::123456789012:root",
        "arn:aws:iam::123456789012:user/division/ann",
        "arn:aws:sts::123456789012:assumed-role/chat-robot/session,=@-1",
        "a" * 1024,
    ],
)
def test_a_signer_acts_as_its_arn(arn: str) -> None:
    assert of({"iam": {**IAM, "userArn": arn}}, AUTH="iam").actor == arn


@pytest.mark.parametrize("arn", [*UNUSABLE, "a b", "é"])
def test_a_signer_whose_arn_is_missing_or_unusable_acts_without_a_name(arn: object) -> None:
    assert of({"iam": {**IAM, "userArn": arn}}, AUTH="iam") == Caller("local", None, True)
    assert of({"iam": {"accountId": "123456789012"}}, AUTH="iam", TENANT_FROM="iam:account").actor is None


def test_no_other_part_of_an_authorizer_names_who_acts() -> None:
    assert of({"iam": IAM, "jwt": {"claims": CLAIMS}}, AUTH="none").actor is None
    assert of({"iam": IAM, "jwt": {"claims": CLAIMS}}, AUTH="iam").actor == ROLE_ARN
    assert of_claims({"sub": None, "client_id": "desk", "username": "ann", "scope": ALL}).actor is None


def test_a_caller_has_the_id_of_its_request() -> None:
    with deployed({**URL, "AUTH": "iam"}):
        assert caller_of({"iam": IAM}, "request-1") == Caller("local", None, True, ROLE_ARN, "request-1")
    with deployed({**URL, "AUTH": "jwt"}):
        assert caller_of({"jwt": {"claims": CLAIMS}}, "request-1") == Caller("local", "ann", False, "ann", "request-1")
