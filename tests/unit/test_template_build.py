"""The template that `make build` builds from: the choices of architecture and SnapStart, and the pins of the layer."""

import re
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from local.cloudformation import read_template
from local.settings import ROOT
from ops.build import template_for
from ops.errors import BuildError
from tests.support.deployed_template import TEMPLATE, layer_pins, references

SOURCE = (ROOT / "template.yaml").read_text()
FUNCTIONS = {
    name: each["Properties"]
    for name, each in TEMPLATE["Resources"].items()
    if each["Type"] == "AWS::Serverless::Function"
}


def test_the_default_choices_build_from_the_unchanged_template() -> None:
    assert template_for(SOURCE, "x86_64", "off") == SOURCE


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
@pytest.mark.parametrize("snapstart", ["off", "on"])
def test_each_choice_builds_from_a_template_that_allows_only_this_choice(
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


def test_the_description_of_a_published_version_has_every_parameter_that_functions_see() -> None:
    # CloudFormation publishes a new version only if the description changes. Neither the URL nor the key may be in it.
    on = template_for(SOURCE, "x86_64", "on")
    visible = references(TEMPLATE["Globals"]["Function"]).union(
        *(references(properties["Environment"]) for properties in FUNCTIONS.values() if "Environment" in properties)
    )
    # The project need not be in it, because the endpoint changes with its project.
    visible -= {"DatabaseUrl", "NeonApiKey", "NeonProjectId", "Architecture"}
    described = re.search(r"VersionDescription: &settings(.*?)\n      \w", on, re.DOTALL)
    assert described is not None
    assert visible == set(re.findall(r"!Ref (\w+)", described[1]))
    longest = {"TenantId": 64, "MemorySize": 4, "LogLevel": 8, "StatsMaxAge": 7, "NeonEndpointId": 34, "secret": 128}
    assert set(longest) == {*re.findall(r"- !Ref (\w+)", described[1]), "secret"}
    layer_version = 5
    assert sum(longest.values()) + layer_version + len(longest) <= 256


@pytest.mark.parametrize(("architecture", "snapstart"), [("mips", "off"), ("x86_64", "maybe"), ("", "off")])
def test_an_unknown_architecture_or_snapstart_is_refused(architecture: str, snapstart: str) -> None:
    with pytest.raises(BuildError, match=r"(ARCHITECTURE|SNAPSTART)=\w* is "):
        template_for(SOURCE, architecture, snapstart)


def test_a_template_without_the_lines_that_a_choice_replaces_is_refused() -> None:
    with pytest.raises(BuildError, match="Architecture"):
        template_for(SOURCE.replace("Default: x86_64", "Default: other"), "arm64", "off")
    with pytest.raises(BuildError, match="#snapstart"):
        template_for(SOURCE.replace("#snapstart ", "# "), "x86_64", "on")


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
