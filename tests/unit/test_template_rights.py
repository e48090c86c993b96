"""Each function of template.yaml has the rights and the variables that it needs, and no more."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from local.cloudformation import Resolver, function_arn, read_template
from local.settings import ROOT
from local.template import load_template
from tests.support.bundle import Bundle, deployed, event

TEMPLATE = read_template(ROOT / "template.yaml")
FUNCTIONS = load_template(ROOT / "template.yaml").functions
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain/database-AbCdEf"

LOG = {"POWERTOOLS_LOG_LEVEL"}
DATABASE = LOG | {
    "DATABASE_URL",
    "DATABASE_SECRET_ARN",
    "TENANT_ID",
    "DB_CONNECTION_TIMEOUT",
    "DB_IDLE_TIMEOUT",
    "DB_MAX_RETRIES",
    "DB_SLOW_QUERY_MS",
}
VARIABLES = {
    "WriteMessageFunction": DATABASE,
    "ReadSessionFunction": DATABASE,
    "HealthFunction": LOG,
    "StatsFunction": DATABASE | {"STATS_MAX_AGE", "NEON_API_KEY", "NEON_PROJECT_ID", "NEON_ENDPOINT_ID"},
}


class Recorder(dict[str, str]):
    """Variables that remember which of them were asked for."""

    def __init__(self, variables: dict[str, str]) -> None:
        super().__init__(variables)
        self.read: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        self.read.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.read.add(name)
        return super().__getitem__(name)


def role_of(function: str) -> str:
    """Return the logical id of a function's role."""
    named = TEMPLATE["Resources"][function]["Properties"]["Role"]["Fn::GetAtt"]
    name, attribute = named.split(".") if isinstance(named, str) else named
    assert attribute == "Arn"
    return str(name)


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


def test_every_function_has_its_rights_and_variables_written_down_here() -> None:
    assert set(VARIABLES) == set(FUNCTIONS)


@pytest.mark.parametrize("secret", ["", SECRET])
@pytest.mark.parametrize("name", VARIABLES)
def test_a_function_may_write_its_own_log_and_read_the_secret_if_it_calls_the_database(name: str, secret: str) -> None:
    log = function_arn(TEMPLATE["Resources"][name]["Properties"]["LoggingConfig"]["LogGroup"]["Ref"])
    expected = {("logs:CreateLogStream", log), ("logs:PutLogEvents", log)}
    if secret and "DATABASE_SECRET_ARN" in VARIABLES[name]:
        expected.add(("secretsmanager:GetSecretValue", SECRET))
    assert set(rights_of(name, secret)) == expected


def test_no_two_functions_share_a_role() -> None:
    assert len({role_of(name) for name in FUNCTIONS}) == len(FUNCTIONS)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_function_has_the_variables_that_are_written_down_here(name: str) -> None:
    assert set(FUNCTIONS[name].environment) == VARIABLES[name]


@pytest.mark.parametrize("name", VARIABLES)
def test_a_function_reads_every_variable_that_template_yaml_gives_it(name: str) -> None:
    function = FUNCTIONS[name]
    file = function.handler.removesuffix(".handler")
    variables = Recorder(dict(function.environment))
    if "DATABASE_URL" in variables:
        # Nothing listens there, so that a request is answered at once.
        variables["DATABASE_URL"] = "postgresql://app@127.0.0.1:1/none"
    with deployed(variables):
        Bundle().call(file, event(file))
    assert set(function.environment) - variables.read == set()


def test_nothing_of_the_database_is_in_what_health_is_deployed_with() -> None:
    deployed_with = json.dumps(
        [TEMPLATE["Globals"], TEMPLATE["Resources"]["HealthFunction"], TEMPLATE["Resources"][role_of("HealthFunction")]]
    )
    assert [word for word in ("Database", "Neon", "secret", "DB_") if word.lower() in deployed_with.lower()] == []
