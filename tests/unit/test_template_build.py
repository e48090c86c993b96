"""The template that `make build` builds from: architecture, SnapStart and authorization, and the pins of the layer."""

import re
from importlib.metadata import requires
from typing import Any

import pytest
from packaging.requirements import Requirement

from ops.build import SAMCONFIG, built_for, template_for
from ops.errors import BuildError
from tests.support.cloudformation import Stack
from tests.support.deployed_template import (
    SECRET_ARN,
    SOURCE,
    TEMPLATE,
    VARIABLES,
    built_template,
    layer_pins,
    references,
)

FUNCTIONS = {
    name: each["Properties"]
    for name, each in TEMPLATE["Resources"].items()
    if each["Type"] == "AWS::Serverless::Function"
}


# The longest value that each parameter allows.
LONGEST = {
    "TenantId": "x" * 128,
    "AllUsersScope": "x" * 120,
    "MemorySize": "3008",
    "LogLevel": "CRITICAL",
    "StatsMaxAge": "2678400",
    "NeonEndpointId": "x" * 34,
    "DatabaseSecretArn": SECRET_ARN.replace("robot-brain/database-AbCdEf", "x" * 128),
}


def test_the_default_choices_build_from_the_unchanged_template() -> None:
    assert template_for(SOURCE, "x86_64", "off", "iam") == SOURCE


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("snapstart", ["off", "on"])
@pytest.mark.parametrize("auth", ["iam", "jwt"])
def test_each_choice_builds_from_a_template_that_is_made_for_this_choice(
    architecture: str, snapstart: str, auth: str
) -> None:
    built = built_template(architecture, snapstart, auth)
    assert built["Globals"]["Function"]["Architectures"] == [architecture]
    assert built["Resources"]["RobotBrainLayer"]["Properties"]["CompatibleArchitectures"] == [architecture]
    for name in VARIABLES:
        variables = built["Resources"][name]["Properties"].get("Environment", {}).get("Variables", {})
        assert variables.get("AUTH") == (auth if "AUTH" in VARIABLES[name] else None)
        assert built["Globals"]["Function"]["Environment"]["Variables"].keys() | variables.keys() == VARIABLES[name]
    assert ("SnapStart" in built["Globals"]["Function"]) is (snapstart == "on")
    assert ("AutoPublishAlias" in built["Globals"]["Function"]) is (snapstart == "on")
    versioned = [name for name in FUNCTIONS if "VersionDescription" in built["Resources"][name]["Properties"]]
    assert versioned == (list(FUNCTIONS) if snapstart == "on" else [])
    authorization = built["Resources"]["RobotBrainApi"]["Properties"]["Auth"]
    assert authorization["DefaultAuthorizer"] == {"iam": "AWS_IAM", "jwt": "Jwt"}[auth]
    assert ("EnableIamAuthorizer" in authorization) is (auth == "iam")
    assert ("Authorizers" in authorization) is ("JwtIssuer" in built["Parameters"]) is (auth == "jwt")


def descriptions(template: dict[str, Any]) -> tuple[Any, Any]:
    """Return the description of the functions' versions, and that of the layer's version."""
    [version] = {str(template["Resources"][name]["Properties"]["VersionDescription"]) for name in FUNCTIONS}
    layer = template["Resources"]["RobotBrainLayer"]["Properties"]["Description"]
    some = template["Resources"]["HealthFunction"]["Properties"]["VersionDescription"]
    assert str(some) == version
    return some, layer


@pytest.mark.parametrize("auth", ["iam", "jwt"])
def test_the_two_descriptions_that_publish_a_version_have_every_parameter_that_functions_see(auth: str) -> None:
    # test_sam_versions.py shows that a change of each publishes a version.
    on = built_template(snapstart="on", auth=auth)
    functions = [on["Resources"][name]["Properties"] for name in FUNCTIONS]
    visible = references(on["Globals"]["Function"]).union(
        *(references(properties["Environment"]) for properties in functions if "Environment" in properties)
    )
    # The endpoint changes with its project, so the project need not be in them.
    visible.remove("NeonProjectId")
    assert references(list(descriptions(on))) == visible | {"RobotBrainLayer"}
    assert auth in descriptions(on)[0]["Fn::Join"][1]


@pytest.mark.parametrize("tenant_from", ["fixed", "claim:" + "x" * 128])
def test_the_descriptions_of_versions_are_never_longer_than_lambda_allows(tenant_from: str) -> None:
    layer = "arn:aws:lambda:eu-central-1:123456789012:layer:robot-brain-layer:99999"
    stack = Stack(
        built_template(snapstart="on", auth="jwt"), LONGEST | {"TenantFrom": tenant_from}, {"RobotBrainLayer": layer}
    )
    for each in descriptions(built_template(snapstart="on", auth="jwt")):
        assert len(stack.resolve(each, "Description")) <= 256


@pytest.mark.parametrize(
    ("architecture", "snapstart", "auth"),
    [
        ("mips", "off", "iam"),
        ("x86_64", "maybe", "iam"),
        ("", "off", "iam"),
        ("arm64", "on", "none"),
        ("arm64", "on", ""),
    ],
)
def test_an_unknown_choice_is_refused(architecture: str, snapstart: str, auth: str) -> None:
    with pytest.raises(BuildError, match=r"(ARCHITECTURE|SNAPSTART|AUTH)=\w* is unknown: use one of "):
        template_for(SOURCE, architecture, snapstart, auth)


def test_a_template_without_the_lines_that_a_choice_replaces_is_refused() -> None:
    with pytest.raises(BuildError, match="Architecture"):
        template_for(SOURCE.replace("Architectures: [x86_64]", "Architectures: [other]", 1), "arm64", "off", "iam")
    with pytest.raises(BuildError, match="#snapstart"):
        template_for(SOURCE.replace("#snapstart ", "# "), "x86_64", "on", "iam")
    with pytest.raises(BuildError, match="end with #no-snapstart"):
        template_for(SOURCE.replace(" #no-snapstart", ""), "x86_64", "on", "iam")
    with pytest.raises(BuildError, match="begin with #jwt"):
        template_for(SOURCE.replace("#jwt ", "# "), "x86_64", "off", "jwt")
    with pytest.raises(BuildError, match="end with #iam"):
        template_for(SOURCE.replace(" #iam", ""), "x86_64", "off", "jwt")


@pytest.mark.parametrize(
    ("auth", "answers", "warned"),
    [
        ("iam", "", False),
        ("iam", 'parameter_overrides = "TenantId=\\"acme\\""', False),
        ("jwt", 'parameter_overrides = "JwtIssuer=\\"https://id.example.com/\\""', False),
        ("iam", 'parameter_overrides = "JwtIssuer=\\"https://id.example.com/\\""', True),
    ],
)
def test_a_build_says_what_it_is_for_and_warns_if_a_stack_for_tokens_would_take_signatures(
    auth: str, answers: str, warned: bool
) -> None:
    line, *warning = built_for("arm64", "on", auth, SAMCONFIG + answers).splitlines()
    assert line == f"Building for arm64, with SnapStart, AUTH={auth}."
    assert bool(warning) is warned
    assert ("make build AUTH=jwt" in "".join(warning)) is warned


def test_the_layer_pins_exactly_the_packages_that_it_needs() -> None:
    pins = [Requirement(line) for line in layer_pins()]
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
