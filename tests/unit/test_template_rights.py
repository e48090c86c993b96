"""Each function of template.yaml has the rights and the variables that it needs, and no more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.cloudformation import Resolver, function_arn
from tests.support.bundle import Bundle, deployed, event
from tests.support.deployed_template import FUNCTIONS, SECRET_ARN, TEMPLATE, VARIABLES, role_of


class Recorder(dict[str, str]):
    """Variables that record which of them were read."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)


def rights_of(function: str, secret: str) -> Iterator[tuple[str, str]]:
    """Yield each (action, resource) that a function's role allows, in a stack with this DatabaseSecretArn."""
    role = TEMPLATE["Resources"][role_of(function)]["Properties"]
    assert set(role) == {"AssumeRolePolicyDocument", "Policies"}
    for policy in Resolver(TEMPLATE, {"DatabaseSecretArn": secret}).resolve(role["Policies"], function):
        for statement in policy["PolicyDocument"]["Statement"]:
            assert set(statement) == {"Effect", "Action", "Resource"}
            assert statement["Effect"] == "Allow"
            actions, resources = (
                value if isinstance(value, list) else [value] for value in (statement["Action"], statement["Resource"])
            )
            yield from ((action, resource) for action in actions for resource in resources)


def test_the_variables_of_every_function_are_known_to_these_tests() -> None:
    assert set(VARIABLES) == set(FUNCTIONS)


@pytest.mark.parametrize("secret", ["", SECRET_ARN])
@pytest.mark.parametrize("name", VARIABLES)
def test_a_function_may_write_its_own_log_and_read_the_secret_if_it_calls_the_database(name: str, secret: str) -> None:
    log = function_arn(TEMPLATE["Resources"][name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"])
    expected = {("logs:CreateLogStream", log), ("logs:PutLogEvents", log)}
    if secret and "DATABASE_SECRET_ARN" in VARIABLES[name]:
        expected.add(("secretsmanager:GetSecretValue", SECRET_ARN))
    assert set(rights_of(name, secret)) == expected


def test_no_two_functions_share_a_role() -> None:
    assert len({role_of(name) for name in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_function_has_exactly_the_variables_that_it_must_have(name: str) -> None:
    assert set(FUNCTIONS[name].environment) == VARIABLES[name]


@pytest.mark.parametrize("name", VARIABLES)
def test_a_function_reads_every_variable_that_template_yaml_gives_it(name: str) -> None:
    function = FUNCTIONS[name]
    file = function.handler.removesuffix(".handler")
    variables = Recorder(dict(function.environment))
    if "DATABASE_URL" in variables:
        # Nothing listens on this port, so the request fails at once.
        variables["DATABASE_URL"] = "postgresql://app@127.0.0.1:1/none"
    with deployed(variables):
        Bundle().call(file, event(file))
    assert set(function.environment) - variables.read == set()


def test_the_function_health_and_its_role_name_nothing_of_the_database() -> None:
    deployed_with = json.dumps(
        [TEMPLATE["Globals"], TEMPLATE["Resources"]["HealthFunction"], TEMPLATE["Resources"][role_of("HealthFunction")]]
    )
    assert [word for word in ("Database", "Neon", "secret", "DB_") if word.lower() in deployed_with.lower()] == []
