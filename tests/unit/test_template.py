"""template.yaml: its parameters and conditions, and that it agrees with the other files of the project."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from local.settings import ROOT
from tests.support.cloudformation import Stack
from tests.support.deployed_template import SECRET_ARN, SNAPSTART_TEMPLATES, TEMPLATE, TEMPLATES, references

BUILDS = TEMPLATES | {f"{auth}-snapstart": template for auth, template in SNAPSTART_TEMPLATES.items()}
PARAMETERS: dict[str, dict[str, Any]] = TEMPLATES["jwt"]["Parameters"] | TEMPLATE["Parameters"]
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
FUNCTIONS = {
    name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"
}


def allowed(declared: dict[str, Any], value: str | int) -> bool:
    """Return whether CloudFormation accepts `value` for a parameter. It compares each member of a list."""
    if "AllowedValues" in declared and value not in declared["AllowedValues"]:
        return False
    members = [str(value)]
    if declared["Type"] == "CommaDelimitedList":
        members = [each.strip() for each in str(value).split(",")]
    if "AllowedPattern" in declared and not all(re.fullmatch(declared["AllowedPattern"], each) for each in members):
        return False
    if declared["Type"] == "Number" and not declared.get("MinValue", value) <= value <= declared.get("MaxValue", value):
        return False
    return len(str(value)) <= int(declared.get("MaxLength", 4096))


@pytest.mark.parametrize(("build", "name"), [(build, name) for build in BUILDS for name in BUILDS[build]["Parameters"]])
def test_every_parameter_is_described_constrained_and_used(build: str, name: str) -> None:
    template = BUILDS[build]
    declared = template["Parameters"][name]
    assert declared["Description"]
    assert declared["ConstraintDescription"]
    assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(declared)
    # No issuer fits all: API Gateway connects to it when the stack is deployed. With SnapStart there is one database.
    must_be_given = ["JwtIssuer", "JwtAudience"] + (["DatabaseSecretArn"] if build.endswith("snapstart") else [])
    assert ("Default" in declared) is (name not in must_be_given)
    assert allowed(declared, declared.get("Default", SECRET_ARN if name == "DatabaseSecretArn" else "https://a.b"))
    rest = {key: value for key, value in template.items() if key not in ("Parameters", "Metadata")}
    assert name in references(rest)


@pytest.mark.parametrize("build", BUILDS)
def test_a_deployment_is_asked_for_no_value_that_only_one_answer_fits(build: str) -> None:
    for name, declared in BUILDS[build]["Parameters"].items():
        assert len(declared.get("AllowedValues", [1, 2])) > 1, name
    decided = {"Auth", "Architecture", "SnapStart"}
    if build.startswith("iam"):
        # Without tokens these mean nothing.
        decided |= {"JwtIssuer", "JwtAudience", "AllUsersScope"}
    if build.endswith("snapstart"):
        # A published version would keep an old password or key, so both must be in the secret.
        decided |= {"DatabaseUrl", "NeonApiKey"}
    assert decided & set(BUILDS[build]["Parameters"]) == set()


@pytest.mark.parametrize("build", BUILDS)
def test_every_parameter_is_in_exactly_one_group_of_the_console(build: str) -> None:
    template = BUILDS[build]
    groups = template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(template["Parameters"])


@pytest.mark.parametrize(
    ("parameter", "good", "bad"),
    [
        (
            "DatabaseUrl",
            ["", "postgresql://u:p@ep-x-pooler.eu-central-1.aws.neon.tech/db?sslmode=require", "postgres://u@h/d"],
            ["mysql://u@h/d", "ep-x.neon.tech", "postgresql://u@h/d e", "postgresql://u@h/d\n"],
        ),
        (
            "DatabaseSecretArn",
            ["", SECRET_ARN, SECRET_ARN.replace("aws:", "aws-cn:", 1)],
            ["robot-brain", SECRET_ARN + "*", SECRET_ARN + " ", SECRET_ARN.replace("AbCdEf", "x" * 128)],
        ),
        (
            "TenantFrom",
            [
                "fixed",
                "iam:account",
                "iam:role",
                "claim:custom:tenant",
                "claim:https://a.example/tenant",
                "claim:" + "x" * 128,
            ],
            ["", "fixed:a", "iam", "iam:session", "header:x", "claim:", "claim:a b", "claim:ä", "claim:" + "x" * 129],
        ),
        ("TenantId", ["local", "123456789012:a.b_c-D9+=,@", "x" * 128], ["", "a b", "x" * 129, "ä", "a/b", "a\n"]),
        (
            "AllUsersScope",
            ["none", "robot-brain/all-users", "https://api.example.com/all", "!#^~", "x" * 120],
            ["", "a b", 'a"b', "a\\b", "[a", "a]", "ä", "x" * 121, "a\n"],
        ),
        (
            "JwtIssuer",
            ["https://id.example.com/", "https://cognito-idp.eu-central-1.amazonaws.com/eu-central-1_a1B2c3"],
            ["", "http://id.example.com", "id.example.com", "https://", "https://a?b", "https://a#b", "https://a b"],
        ),
        ("JwtAudience", ["robot-brain", "https://api.example.com/, other"], ["", "a,", "a b", "x" * 256, "ä"]),
        (
            "CorsOrigin",
            ["none", "https://app.example.com", "http://localhost:5173", "https://a.com,https://b.com:8443"],
            [
                "*",
                "a.com",
                "https://a.com/",
                "https://a.com,",
                "https://a.com, https://b.com",
                "none,https://a.com",
                "",
            ],
        ),
        (
            "StatsSchedule",
            ["none", "rate(1 day)", "rate(12 hours)", "cron(0 3 * * ? *)"],
            ["", "daily", "rate(0 days)", "rate(1 week)", "at(2026-01-01T00:00:00)", "rate(1 day) x"],
        ),
        ("StatsMaxAge", [0, 3600, 2678400], [-1, 2678401]),
        ("NeonApiKey", ["", "none", "napi_4a5b"], ["napi 4a5b", "napi\n", "é"]),
        ("NeonProjectId", ["", "quiet-forest-12345678"], ["a/b", "Quiet", "x" * 61]),
        ("NeonEndpointId", ["", "ep-quiet-forest-a1b2c3d4"], ["ep/b", "ep-x.eu-central-1.aws.neon.tech", "x" * 35]),
        ("ThrottlingRate", [1, 10000], [0, 10001]),
        ("ThrottlingBurst", [1, 5000], [0, 5001]),
        ("MemorySize", [256, 3008], [128, 10240]),
        ("DbPoolSize", ["none", "1", "20", "128", "999", "1000"], ["", "0", "01", "1001", "-1", "1.5", "20 ", "None"]),
        ("LogLevel", ["DEBUG", "WARNING"], ["info", "TRACE"]),
        ("LogRetentionDays", [1, 30, 3653], [0, 2]),
    ],
)
def test_a_parameter_accepts_good_values_and_refuses_bad_ones(
    parameter: str, good: list[str | int], bad: list[str | int]
) -> None:
    assert [value for value in good if not allowed(PARAMETERS[parameter], value)] == []
    assert [value for value in bad if allowed(PARAMETERS[parameter], value)] == []


def test_the_database_url_is_never_shown_and_only_the_functions_of_the_database_have_it() -> None:
    assert PARAMETERS["DatabaseUrl"]["NoEcho"] is True
    assert "DatabaseUrl" not in references(TEMPLATE["Outputs"])
    functions = [name for name, each in RESOURCES.items() if "DatabaseUrl" in references(each)]
    assert functions == [
        *("WriteMessageFunction", "ReadSessionFunction", "EditSessionFunction"),
        *("ReadUserFunction", "EditUserFunction", "ReadAuditFunction", "SearchFunction", "StatsFunction"),
    ]


@pytest.mark.parametrize(
    ("url", "secret", "accepted"),
    [
        ("postgresql://u@h/d", "", True),
        ("", SECRET_ARN, True),
        ("", "", False),
        ("postgresql://u@h/d", SECRET_ARN, False),
    ],
)
def test_exactly_one_of_database_url_and_secret_must_be_given(url: str, secret: str, accepted: bool) -> None:
    refusals = Stack(TEMPLATE, {"DatabaseUrl": url, "DatabaseSecretArn": secret}).refusals()
    assert refusals == ([] if accepted else ["Give exactly one of DatabaseUrl and DatabaseSecretArn."])


def test_neons_key_is_never_shown_and_only_stats_has_it() -> None:
    assert PARAMETERS["NeonApiKey"]["NoEcho"] is True
    assert "NeonApiKey" not in references(TEMPLATE["Outputs"]) | references(TEMPLATE["Globals"])
    assert [name for name, each in RESOURCES.items() if "NeonApiKey" in references(each)] == ["StatsFunction"]


@pytest.mark.parametrize(
    ("key", "project", "endpoint", "secret", "accepted"),
    [
        ("", "", "", "", True),
        ("none", "", "", SECRET_ARN, True),
        ("k", "p", "e", "", True),
        ("none", "p", "e", SECRET_ARN, True),
        ("k", "p", "e", SECRET_ARN, True),
        ("none", "p", "e", "", False),
        ("k", "", "e", "", False),
        ("k", "p", "", SECRET_ARN, False),
        ("k", "", "", "", False),
        ("", "p", "", SECRET_ARN, False),
    ],
)
def test_all_parameters_of_neon_must_be_given_or_no_parameter_of_neon(
    key: str, project: str, endpoint: str, secret: str, accepted: bool
) -> None:
    given = {"NeonApiKey": key, "NeonProjectId": project, "NeonEndpointId": endpoint, "DatabaseSecretArn": secret}
    url = {} if secret else {"DatabaseUrl": "postgresql://u@h/d"}
    assert (Stack(TEMPLATE, given | url).refusals() == []) is accepted


def test_a_schedule_a_secret_and_an_origin_exist_only_if_they_are_given() -> None:
    none = Stack(TEMPLATE, {"StatsSchedule": "none"})
    assert not none.condition("GivenSchedule", "")
    assert not none.condition("GivenSecret", "")
    assert not none.condition("GivenCorsOrigin", "")
    given = Stack(TEMPLATE, {"DatabaseSecretArn": SECRET_ARN, "CorsOrigin": "https://app.example.com"})
    assert given.condition("GivenSchedule", "")
    assert given.condition("GivenSecret", "")
    assert given.condition("GivenCorsOrigin", "")
    assert RESOURCES["StatsScheduleTrigger"]["Condition"] == RESOURCES["SchedulerRole"]["Condition"] == "GivenSchedule"


def test_every_file_of_functions_is_a_function_with_its_own_log_group() -> None:
    handlers = {name: properties["Handler"].removesuffix(".handler") for name, properties in FUNCTIONS.items()}
    assert sorted(handlers.values()) == sorted(path.stem for path in (ROOT / "functions").glob("*.py"))
    for name, handler in handlers.items():
        assert name == "".join(word.capitalize() for word in handler.split("_")) + "Function"
        group = FUNCTIONS[name]["LoggingConfig"]["LogGroup"]["Ref"]
        properties = RESOURCES[group]["Properties"]
        assert properties["LogGroupName"]["Fn::Sub"].endswith("/" + handler.replace("_", "-"))
        assert properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize(
    "path",
    [path for folder in ("", "bad", "forbidden") for path in sorted((ROOT / "events" / folder).glob("*.json"))],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_the_name_of_an_event_begins_with_the_function_that_serves_it(path: Path) -> None:
    sent = json.loads(path.read_text())
    if "routeKey" not in sent:
        assert path.stem == "schedule"
        return
    [function] = [
        properties["Handler"].removesuffix(".handler")
        for properties in FUNCTIONS.values()
        for each in properties["Events"].values()
        if f"{each['Properties']['Method']} {each['Properties']['Path']}" == sent["routeKey"]
    ]
    assert f"{path.stem}_".startswith(f"{function}_")


def test_the_schedule_sends_the_event_of_events_schedule_json() -> None:
    target = RESOURCES["StatsScheduleTrigger"]["Properties"]["Target"]
    assert json.loads(target["Input"]) == json.loads((ROOT / "events" / "schedule.json").read_text())


def test_the_timeout_of_every_function_is_shorter_than_the_gateways() -> None:
    assert TEMPLATE["Globals"]["Function"]["Timeout"] < 30
    assert not [name for name, properties in FUNCTIONS.items() if "Timeout" in properties]
