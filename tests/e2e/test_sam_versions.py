"""With SnapStart a changed setting publishes new versions of the functions: a version keeps its variables."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.sam_bundle import FUNCTIONS, sam_python
from tests.e2e.sam_package import transform
from tests.support.bundle import Json
from tests.support.cloudformation import Stack
from tests.support.deployed_template import SECRET_ARN, built_template, packaged
from tests.support.servers.binaries import skip_without

BEFORE = {
    "DatabaseSecretArn": SECRET_ARN,
    "JwtIssuer": "https://id.example.com/",
    "JwtAudience": "robot-brain",
    "NeonProjectId": "quiet-forest-12345678",
    "NeonEndpointId": "ep-quiet-forest-a1b2c3d4",
}
PUBLISHING: dict[str, dict[str, str]] = {
    "the source of the tenant": {"TenantFrom": "claim:tenant"},
    "the tenant": {"TenantId": "other"},
    "the scope": {"AllUsersScope": "other"},
    "the memory": {"MemorySize": "1024"},
    "the log level": {"LogLevel": "DEBUG"},
    "the age of the statistics": {"StatsMaxAge": "0"},
    "the endpoint": {"NeonEndpointId": "ep-loud-forest-a1b2c3d4"},
    "the secret": {"DatabaseSecretArn": SECRET_ARN.replace("AbCdEf", "GhIjKl")},
}
VERSIONLESS = {
    "nothing": {},
    "the throttle": {"ThrottlingRate": "7"},
    "the origins": {"CorsOrigin": "https://app.example.com"},
    "the issuer": {"JwtIssuer": "https://other.example.com/"},
    "the schedule": {"StatsSchedule": "none"},
}


def source(auth: str = "jwt", **content: str) -> Json:
    """Return the template with SnapStart as `sam package` writes it, for this content of the code and of the layer."""
    return packaged(built_template(snapstart="on", auth=auth), **content)


def named(transformed: Json, parameters: dict[str, str], ids: dict[str, str], kind: str) -> dict[str, Any]:
    """Return the resolved properties of the resources of a kind. Another value of any of them makes a new resource."""
    stack = Stack(transformed, parameters, ids)
    return {
        name: stack.resolve(each["Properties"], name)
        for name, each in transformed["Resources"].items()
        if each["Type"] == kind
    }


@dataclass(frozen=True, eq=False)
class State:
    """A stack: its template and its parameters."""

    template: Json
    parameters: dict[str, str]

    def layer(self, transformed: Json) -> Any:
        """Return the logical id and the properties of the layer."""
        [found] = named(transformed, self.parameters, {}, "AWS::Lambda::LayerVersion").items()
        return found

    def versions(self, transformed: Json, number: int) -> dict[str, Any]:
        """Return the properties of the functions' versions if the layer has this version."""
        arn = f"arn:aws:lambda:us-east-1:123456789012:layer:robot-brain-layer:{number}"
        return named(transformed, self.parameters, {self.layer(transformed)[0]: arn}, "AWS::Lambda::Version")


def published(before: State, first: Json, after: State, second: Json) -> set[str]:
    """Return the functions of which an update publishes a new version. `first` and `second` are transformed."""
    # SAM also gives a changed layer another logical id. The properties alone must be enough.
    number = 7 if before.layer(first)[1] == after.layer(second)[1] else 8
    old, new = before.versions(first, 7), after.versions(second, number)
    assert len(new) == len(FUNCTIONS)
    return {each["FunctionName"] for name, each in new.items() if old.get(name) != each}


ORIGIN = State(source(), BEFORE)
SIGNED = {name: value for name, value in BEFORE.items() if not name.startswith("Jwt")}
UPDATES = {
    **{name: (ORIGIN, State(source(), BEFORE | change)) for name, change in (PUBLISHING | VERSIONLESS).items()},
    "the layer": (ORIGIN, State(source(layer="other"), BEFORE)),
    "the code": (ORIGIN, State(source(code="other"), BEFORE)),
    "the authorization": (ORIGIN, State(source(auth="iam"), SIGNED)),
    "a claim to the tenant of its name": (
        State(source(), BEFORE | {"TenantFrom": "claim:tenant"}),
        State(source(), BEFORE | {"TenantId": "claim:tenant"}),
    ),
}


@pytest.fixture(scope="module")
def updates() -> dict[str, set[str]]:
    """Return which functions each update of a stack publishes."""
    skip_without(sam_python)
    states = list(dict.fromkeys(state for pair in UPDATES.values() for state in pair))
    made = dict(zip(states, transform([(each.template, each.parameters) for each in states]), strict=True))
    return {name: published(before, made[before], after, made[after]) for name, (before, after) in UPDATES.items()}


@pytest.mark.parametrize("change", [name for name in UPDATES if name not in VERSIONLESS])
def test_an_update_that_changes_what_functions_see_publishes_all_of_them(
    updates: dict[str, set[str]], change: str
) -> None:
    assert updates[change] == set(FUNCTIONS)


@pytest.mark.parametrize("change", VERSIONLESS)
def test_an_update_that_changes_nothing_for_functions_publishes_no_function(
    updates: dict[str, set[str]], change: str
) -> None:
    assert updates[change] == set()
