"""template.yaml as it stands in the project: parameters, conditions, and that it agrees with the other files."""

import json
import re
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from local.cloudformation import Resolver, read_template
from ops.build import template_for
from ops.errors import BuildError

PROJECT = Path(__file__).resolve().parents[2]
TEMPLATE = read_template(PROJECT / "template.yaml")
SOURCE = (PROJECT / "template.yaml").read_text()
PARAMETERS: dict[str, dict[str, Any]] = TEMPLATE["Parameters"]
RESOURCES: dict[str, dict[str, Any]] = TEMPLATE["Resources"]
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain/database-AbCdEf"

FUNCTIONS = {
    name: each["Properties"] for name, each in RESOURCES.items() if each["Type"] == "AWS::Serverless::Function"
}


def references(node: Any) -> set[str]:
    """Return every name that Ref or Sub refer to within `node`."""
    if isinstance(node, dict):
        found = {str(node["Ref"])} if "Ref" in node else set()
        if isinstance(node.get("Fn::Sub"), str):
            found |= set(re.findall(r"\$\{([^}]+)\}", node["Fn::Sub"]))
        return found.union(*(references(value) for value in node.values()))
    if isinstance(node, list):
        return set().union(*(references(value) for value in node))
    return set()


def allowed(parameter: str, value: str | int) -> bool:
    """Return whether CloudFormation would take `value` for the parameter."""
    declared = PARAMETERS[parameter]
    if "AllowedValues" in declared and value not in declared["AllowedValues"]:
        return False
    if "AllowedPattern" in declared and not re.fullmatch(declared["AllowedPattern"], str(value)):
        return False
    if declared["Type"] == "Number" and not declared.get("MinValue", value) <= value <= declared.get("MaxValue", value):
        return False
    return len(str(value)) <= int(declared.get("MaxLength", 4096))


@pytest.mark.parametrize("name", PARAMETERS)
def test_every_parameter_is_described_constrained_and_used(name: str) -> None:
    declared = PARAMETERS[name]
    assert declared["Description"]
    assert declared["ConstraintDescription"]
    assert {"AllowedPattern", "AllowedValues", "MinValue"} & set(declared)
    assert allowed(name, declared["Default"])
    rest = {key: value for key, value in TEMPLATE.items() if key not in ("Parameters", "Metadata")}
    assert name in references(rest)


def test_every_parameter_stands_in_one_group_of_the_console() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    assert sorted(name for group in groups for name in group["Parameters"]) == sorted(PARAMETERS)


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
            ["", SECRET, SECRET.replace("aws:", "aws-cn:", 1)],
            ["robot-brain", SECRET + "*", SECRET + " ", SECRET.replace("AbCdEf", "x" * 128)],
        ),
        ("TenantId", ["local", "a.b_c-D9", "x" * 64], ["", "a b", "x" * 65, "ä", "a/b"]),
        (
            "CorsOrigin",
            ["none", "https://app.example.com", "http://localhost:5173"],
            ["*", "app.example.com", "https://a.com/", "https://a.com,https://b.com", ""],
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
        ("LogLevel", ["DEBUG", "WARNING"], ["info", "TRACE"]),
        ("LogRetentionDays", [1, 30, 3653], [0, 2]),
        ("Architecture", ["x86_64"], ["arm64"]),
        ("SnapStart", ["off"], ["on"]),
    ],
)
def test_a_parameter_takes_what_it_should(parameter: str, good: list[str | int], bad: list[str | int]) -> None:
    assert [value for value in good if not allowed(parameter, value)] == []
    assert [value for value in bad if allowed(parameter, value)] == []


def test_the_url_is_never_shown() -> None:
    assert PARAMETERS["DatabaseUrl"]["NoEcho"] is True
    assert "DatabaseUrl" not in references(TEMPLATE["Outputs"])
    functions = [name for name, each in RESOURCES.items() if "DatabaseUrl" in references(each)]
    assert functions == ["WriteMessageFunction", "ReadSessionFunction", "StatsFunction"]


@pytest.mark.parametrize(
    ("url", "secret", "accepted"),
    [("postgresql://u@h/d", "", True), ("", SECRET, True), ("", "", False), ("postgresql://u@h/d", SECRET, False)],
)
def test_exactly_one_database_is_given(url: str, secret: str, accepted: bool) -> None:
    [assertion] = TEMPLATE["Rules"]["OneDatabase"]["Assertions"]
    resolver = Resolver(TEMPLATE, {"DatabaseUrl": url, "DatabaseSecretArn": secret})
    assert resolver.resolve(assertion["Assert"], "Rules.OneDatabase") is accepted


def test_neons_key_is_never_shown_and_only_who_asks_has_it() -> None:
    assert PARAMETERS["NeonApiKey"]["NoEcho"] is True
    assert "NeonApiKey" not in references(TEMPLATE["Outputs"]) | references(TEMPLATE["Globals"])
    assert [name for name, each in RESOURCES.items() if "NeonApiKey" in references(each)] == ["StatsFunction"]


@pytest.mark.parametrize(
    ("key", "project", "endpoint", "secret", "accepted"),
    [
        ("", "", "", "", True),
        ("none", "", "", SECRET, True),
        ("k", "p", "e", "", True),
        ("none", "p", "e", SECRET, True),
        ("k", "p", "e", SECRET, True),
        ("none", "p", "e", "", False),
        ("k", "", "e", "", False),
        ("k", "p", "", SECRET, False),
        ("k", "", "", "", False),
        ("", "p", "", SECRET, False),
    ],
)
def test_all_of_neon_is_given_or_nothing(key: str, project: str, endpoint: str, secret: str, accepted: bool) -> None:
    rule = TEMPLATE["Rules"]["AllOfNeonOrNothing"]
    given = {"NeonApiKey": key, "NeonProjectId": project, "NeonEndpointId": endpoint, "DatabaseSecretArn": secret}
    resolver = Resolver(TEMPLATE, given)
    [assertion] = rule["Assertions"]
    applies = resolver.resolve(rule["RuleCondition"], "Rules")
    assert (not applies or resolver.resolve(assertion["Assert"], "Rules")) is accepted


def test_a_schedule_and_a_secret_exist_only_if_given() -> None:
    none = Resolver(TEMPLATE, {"StatsSchedule": "none"})
    assert not none.condition("GivenSchedule", "")
    assert not none.condition("GivenSecret", "")
    assert not none.condition("GivenCorsOrigin", "")
    given = Resolver(TEMPLATE, {"DatabaseSecretArn": SECRET, "CorsOrigin": "https://app.example.com"})
    assert given.condition("GivenSchedule", "")
    assert given.condition("GivenSecret", "")
    assert given.condition("GivenCorsOrigin", "")
    assert RESOURCES["StatsScheduleTrigger"]["Condition"] == RESOURCES["SchedulerRole"]["Condition"] == "GivenSchedule"


def test_every_file_in_functions_is_a_function_with_a_log_group_of_its_own() -> None:
    handlers = {name: properties["Handler"].removesuffix(".handler") for name, properties in FUNCTIONS.items()}
    assert sorted(handlers.values()) == sorted(path.stem for path in (PROJECT / "functions").glob("*.py"))
    for name, handler in handlers.items():
        assert name == "".join(word.capitalize() for word in handler.split("_")) + "Function"
        group = FUNCTIONS[name]["LoggingConfig"]["LogGroup"]["Ref"]
        properties = RESOURCES[group]["Properties"]
        assert properties["LogGroupName"]["Fn::Sub"].endswith("/" + handler.replace("_", "-"))
        assert properties["RetentionInDays"] == {"Ref": "LogRetentionDays"}


@pytest.mark.parametrize("path", sorted((PROJECT / "events").glob("*.json")), ids=lambda path: path.stem)
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


# What API Gateway makes itself, without a quote or a backslash. Every other variable may hold anything.
TOKENS = {
    "error.responseType": "INTEGRATION_FAILURE",
    "identity.sourceIp": "2001:db8::7",
    "identity.userArn": "arn:aws:sts::123456789012:assumed-role/Admin+=,.@-_/a=b,c@d-e_f",
    "integration.requestId": "33ebbf12-898f-4462-92ce-74054cfd9239",
    "integrationLatency": "12",
    "integrationStatus": "200",
    "requestId": "JKJaXmPLvHcESHA=",
    "requestTime": "22/Nov/2026:12:00:00 +0000",
    "responseLatency": "14",
    "responseLength": "131",
    "routeKey": "POST /sessions/{session_id}/messages",
    "status": "500",
}
# Such as the gateway's own: … Lambda body contains the wrong type for field "headers"
HOSTILE = ('a "quoted" word', "a \\ backslash", "two\nlines", '","status":"200', '"a quoted text"')


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_line_of_the_access_log_is_json_whatever_an_error_says(hostile: str) -> None:
    line = RESOURCES["RobotBrainApi"]["Properties"]["AccessLogSettings"]["Format"]
    variable = re.compile(r"\$context\.([A-Za-z.]+)")
    used = variable.findall(line)

    written = json.loads(variable.sub(lambda found: TOKENS.get(found[1], hostile), line))
    assert list(written.values()) == [TOKENS[name] for name in used]

    # What there is none of is a hyphen.
    assert set(json.loads(variable.sub("-", line)).values()) == {"-"}


def test_the_schedule_sends_the_event_that_the_tests_use() -> None:
    target = RESOURCES["StatsScheduleTrigger"]["Properties"]["Target"]
    assert json.loads(target["Input"]) == json.loads((PROJECT / "events" / "schedule.json").read_text())


def test_functions_give_up_before_the_gateway_does() -> None:
    assert TEMPLATE["Globals"]["Function"]["Timeout"] < 30
    assert not [name for name, properties in FUNCTIONS.items() if "Timeout" in properties]


def test_the_defaults_build_from_the_template_as_it_stands() -> None:
    assert template_for(SOURCE, "x86_64", "off") == SOURCE


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("snapstart", ["off", "on"])
def test_another_choice_builds_from_a_template_that_allows_only_that(
    tmp_path: Path, architecture: str, snapstart: str
) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(template_for(SOURCE, architecture, snapstart))
    built = read_template(path)
    for name, choice in (("Architecture", architecture), ("SnapStart", snapstart)):
        assert built["Parameters"][name]["Default"] == choice
        assert built["Parameters"][name]["AllowedValues"] == [choice]
    assert ("SnapStart" in built["Globals"]["Function"]) is (snapstart == "on")
    assert ("AutoPublishAlias" in built["Globals"]["Function"]) is (snapstart == "on")
    versioned = [name for name in FUNCTIONS if "VersionDescription" in built["Resources"][name]["Properties"]]
    assert versioned == (list(FUNCTIONS) if snapstart == "on" else [])


def test_a_published_version_is_described_by_every_parameter_its_functions_see() -> None:
    # The description is what makes CloudFormation publish anew, and neither URL nor key can be in it (see Rules).
    on = template_for(SOURCE, "x86_64", "on")
    seen = references(TEMPLATE["Globals"]["Function"]).union(
        *(references(properties["Environment"]) for properties in FUNCTIONS.values() if "Environment" in properties)
    )
    # The endpoint changes with its project.
    seen -= {"DatabaseUrl", "NeonApiKey", "NeonProjectId", "Architecture"}
    described = re.search(r"VersionDescription: &settings(.*?)\n      \w", on, re.DOTALL)
    assert described is not None
    assert seen == set(re.findall(r"!Ref (\w+)", described[1]))
    longest = {"TenantId": 64, "MemorySize": 4, "LogLevel": 8, "StatsMaxAge": 7, "NeonEndpointId": 34, "secret": 128}
    assert set(longest) == {*re.findall(r"- !Ref (\w+)", described[1]), "secret"}
    layer_version = 5
    assert sum(longest.values()) + layer_version + len(longest) <= 256


@pytest.mark.parametrize(("architecture", "snapstart"), [("mips", "off"), ("x86_64", "maybe"), ("", "off")])
def test_an_unknown_choice_is_refused(architecture: str, snapstart: str) -> None:
    with pytest.raises(BuildError, match=r"(ARCHITECTURE|SNAPSTART)=\w* is unknown: use one of"):
        template_for(SOURCE, architecture, snapstart)


def test_a_template_that_no_longer_holds_what_is_replaced_is_refused() -> None:
    with pytest.raises(BuildError, match="Architecture"):
        template_for(SOURCE.replace("Default: x86_64", "Default: other"), "arm64", "off")
    with pytest.raises(BuildError, match="#snapstart"):
        template_for(SOURCE.replace("#snapstart ", "# "), "x86_64", "on")


def test_the_layer_pins_everything_it_needs_and_nothing_else() -> None:
    lines = (PROJECT / "layers/robot_brain/requirements.txt").read_text().splitlines()
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert [pin.name for pin in pins if not re.fullmatch(r"==[0-9.]+", str(pin.specifier))] == []
    there = {"python_version": "3.13", "python_full_version": "3.13.0", "sys_platform": "linux", "extra": ""}
    there |= {"implementation_name": "cpython", "platform_system": "Linux", "platform_python_implementation": "CPython"}
    pinned = {pin.name: str(pin.specifier).removeprefix("==") for pin in pins}
    needed = {"aws-lambda-powertools", "psycopg", "psycopg-binary", "pydantic"}
    for name in pinned:
        for requirement in map(Requirement, requires(name) or []):
            if requirement.marker is None or requirement.marker.evaluate(there):
                other = requirement.name.replace("_", "-").lower()
                needed.add(other)
                assert requirement.specifier.contains(pinned[other]), f"{name} needs {requirement}"
    assert needed == set(pinned)
