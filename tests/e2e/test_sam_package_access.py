"""The package that `sam deploy` sends to CloudFormation: the rights of roles, and the callers of functions."""

from collections.abc import Iterator
from typing import Any

from tests.e2e.sam_package import Package
from tests.support.bundle import Json
from tests.support.deployed_template import VARIABLES, role_of


def strings(node: Any) -> Iterator[str]:
    """Yield every string in `node` that is not a key."""
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def statements(role: Json) -> list[Json]:
    """Return the statements of a role's own policies, also of policies under a condition."""
    found = []
    for policy in role.get("Policies", []):
        chosen = policy["Fn::If"][1] if "Fn::If" in policy else policy
        found += chosen["PolicyDocument"]["Statement"]
    return found


def test_no_role_has_a_permission_that_is_not_needed(package: Package) -> None:
    roles = package.of_type("AWS::IAM::Role")
    functions = package.of_type("AWS::Lambda::Function")
    assert set(roles) == {*map(role_of, functions), "SchedulerRole"}
    for role in roles.values():
        assert "ManagedPolicyArns" not in role
        assert not [text for statement in statements(role) for text in strings(statement) if "*" in text]
    for name, function in functions.items():
        logs, *secrets = statements(roles[role_of(name)])
        assert logs["Action"] == ["logs:CreateLogStream", "logs:PutLogEvents"]
        assert logs["Resource"] == {"Fn::GetAtt": [function["LoggingConfig"]["LogGroup"]["Ref"], "Arn"]}
        assert [(each["Action"], each["Resource"]) for each in secrets] == (
            [("secretsmanager:GetSecretValue", {"Ref": "DatabaseSecretArn"})]
            if "DATABASE_SECRET_ARN" in VARIABLES[name]
            else []
        )
        conditions = [policy["Fn::If"][0] for policy in roles[role_of(name)]["Policies"] if "Fn::If" in policy]
        assert conditions == ["GivenSecret"] * len(secrets)
    [invoke] = statements(roles["SchedulerRole"])
    assert invoke["Action"] == "lambda:InvokeFunction"
    assert invoke["Resource"] == {"Fn::GetAtt": ["StatsFunction", "Arn"]}


def test_only_the_gateway_may_call_a_function_and_only_for_its_routes(package: Package) -> None:
    allowed = {
        (each["FunctionName"]["Ref"], each["Principal"], each["SourceArn"]["Fn::Sub"][0].split("${__Stage__}")[1])
        for each in package.of_type("AWS::Lambda::Permission").values()
    }
    assert allowed == {
        ("WriteMessageFunction", "apigateway.amazonaws.com", "/POST/sessions/*/messages"),
        ("WriteMessageFunction", "apigateway.amazonaws.com", "/PUT/sessions/*/messages/*"),
        ("ReadSessionFunction", "apigateway.amazonaws.com", "/GET/sessions/*"),
        ("ReadSessionFunction", "apigateway.amazonaws.com", "/GET/sessions"),
        ("EditSessionFunction", "apigateway.amazonaws.com", "/PATCH/sessions/*"),
        ("EditSessionFunction", "apigateway.amazonaws.com", "/DELETE/sessions/*"),
        ("EditSessionFunction", "apigateway.amazonaws.com", "/DELETE/sessions/*/messages"),
        ("ReadUserFunction", "apigateway.amazonaws.com", "/GET/users"),
        ("ReadUserFunction", "apigateway.amazonaws.com", "/GET/users/*"),
        ("ReadUserFunction", "apigateway.amazonaws.com", "/GET/users/*/export"),
        ("EditUserFunction", "apigateway.amazonaws.com", "/POST/users"),
        ("EditUserFunction", "apigateway.amazonaws.com", "/PUT/users/*"),
        ("EditUserFunction", "apigateway.amazonaws.com", "/PATCH/users/*"),
        ("EditUserFunction", "apigateway.amazonaws.com", "/DELETE/users/*"),
        ("ReadAuditFunction", "apigateway.amazonaws.com", "/GET/audit"),
        ("SearchFunction", "apigateway.amazonaws.com", "/GET/search"),
        ("HealthFunction", "apigateway.amazonaws.com", "/GET/health"),
        ("HealthFunction", "apigateway.amazonaws.com", "/HEAD/health"),
        ("StatsFunction", "apigateway.amazonaws.com", "/GET/stats"),
        ("StatsFunction", "apigateway.amazonaws.com", "/GET/health/database"),
    }
