"""What `sam deploy` would send to CloudFormation: packaged against moto's S3, transformed by SAM's own translator."""

import io
import json
import re
import subprocess
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml
from moto.server import ThreadedMotoServer

from tests.e2e.sam_bundle import FUNCTIONS, SamBundle, sam_environment, sam_python
from tests.support.deployed_template import VARIABLES, role_of
from tests.support.servers.binaries import skip_without

BUCKET = "robot-brain-artifacts"
TRANSFORM = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
template, parameters = json.load(sys.stdin)
json.dump(Translator({}, Parser()).translate(template, parameters), sys.stdout)
"""
NO_DATABASE = {"HealthFunction"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Package:
    """A packaged template, the file it is in, the resources CloudFormation makes of it, and what was uploaded."""

    path: Path
    template: Json
    resources: dict[str, Json]
    archives: dict[str, bytes] = field(repr=False)

    def of_type(self, kind: str) -> dict[str, Json]:
        """Return the properties of all resources of one type, by logical id."""
        return {name: each["Properties"] for name, each in self.resources.items() if each["Type"] == kind}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of moto's S3."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def package(sam_bundle: SamBundle, s3: str) -> Package:
    """The package of the bundle as `make build` makes it by default."""
    return make_package(sam_bundle, s3)


@pytest.fixture(scope="module")
def snapstart_package(arm_bundle: SamBundle, s3: str) -> Package:
    """The package of the bundle with SnapStart."""
    return make_package(arm_bundle, s3)


def make_package(bundle: SamBundle, endpoint: str) -> Package:
    """Package what was built with `sam package` and transform the result as AWS::Serverless does."""
    skip_without(sam_python)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket=BUCKET)
    path = bundle.folder / "packaged.yaml"
    signed = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    arguments = ["--s3-bucket", BUCKET, "--output-template-file", str(path)]
    done = bundle.sam("package", *arguments, environment=signed | {"AWS_ENDPOINT_URL": endpoint})
    assert done.returncode == 0, done.stderr
    template = yaml.safe_load(path.read_text())
    archives = {}
    for name, each in template["Resources"].items():
        uri = each.get("Properties", {}).get("CodeUri") or each.get("Properties", {}).get("ContentUri")
        if uri:
            key = uri.removeprefix(f"s3://{BUCKET}/")
            archives[name] = client.get_object(Bucket=BUCKET, Key=key)["Body"].read()
    client.close()
    transformed = subprocess.run(
        [str(sam_python()), "-c", TRANSFORM],
        input=json.dumps([template, {}]),
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert transformed.returncode == 0, transformed.stderr
    return Package(path, template, json.loads(transformed.stdout)["Resources"], archives)


def strings(node: Any) -> Iterator[str]:
    """Yield every string in `node`, keys left out."""
    if isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)
    elif isinstance(node, str):
        yield node


def statements(role: Json) -> list[Json]:
    """Return the statements of a role's own policies, those under a condition too."""
    found = []
    for policy in role.get("Policies", []):
        chosen = policy["Fn::If"][1] if "Fn::If" in policy else policy
        found += chosen["PolicyDocument"]["Statement"]
    return found


def test_the_package_has_no_lint_finding(package: Package, snapstart_package: Package) -> None:
    for each in (package, snapstart_package):
        lint = sam_python().parent / "cfn-lint"
        command = [str(lint), "--regions", "us-east-1", "eu-central-1", "--", str(each.path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.stdout + done.stderr == ""
        assert done.returncode == 0


def test_every_parameter_is_used_in_the_package(package: Package) -> None:
    declared = package.template["Parameters"]
    rest = json.dumps({key: value for key, value in package.template.items() if key not in ("Parameters", "Metadata")})
    used = set(re.findall(r'"Ref": "(\w+)"', rest)) | set(re.findall(r"\$\{(\w+)\}", rest))
    assert set(declared) - used == set()
    assert declared["DatabaseUrl"]["NoEcho"] is declared["NeonApiKey"]["NoEcho"] is True


def test_code_and_layer_are_uploaded_as_they_were_built(package: Package, sam_bundle: SamBundle) -> None:
    assert set(package.archives) == {*FUNCTIONS, "RobotBrainLayer"}
    for name, content in package.archives.items():
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {info.filename: info for info in archive.infolist() if not info.is_dir()}
            built = {str(path.relative_to(sam_bundle.build / name)) for path in (sam_bundle.build / name).rglob("*.*")}
            assert {path for path in built if (sam_bundle.build / name / path).is_file()} <= set(files)
            assert all(info.external_attr >> 16 & 0o444 == 0o444 for info in files.values())
    with zipfile.ZipFile(io.BytesIO(package.archives["RobotBrainLayer"])) as archive:
        assert {info.filename.split("/")[0] for info in archive.infolist()} == {"python"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_has_all_it_needs(package: Package, name: str) -> None:
    function = package.of_type("AWS::Lambda::Function")[name]
    assert function["Runtime"] == "python3.13"
    assert function["Timeout"] < 30
    assert function["MemorySize"] == {"Ref": "MemorySize"}
    assert function["Architectures"] == [{"Ref": "Architecture"}]
    variables = function["Environment"]["Variables"]
    assert set(variables) == VARIABLES[name]
    assert variables["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}
    assert variables.get("DATABASE_URL") == (None if name in NO_DATABASE else {"Ref": "DatabaseUrl"})
    assert function["Role"]["Fn::GetAtt"] == [role_of(name), "Arn"]
    [layer] = function["Layers"]
    assert layer["Ref"] in package.of_type("AWS::Lambda::LayerVersion")
    groups = package.of_type("AWS::Logs::LogGroup")
    assert groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_no_two_functions_share_a_log_group(package: Package) -> None:
    functions = package.of_type("AWS::Lambda::Function")
    assert len({each["LoggingConfig"]["LogGroup"]["Ref"] for each in functions.values()}) == len(functions) == 4


def test_there_is_no_permission_beyond_what_is_needed(package: Package) -> None:
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
            [] if name in NO_DATABASE else [("secretsmanager:GetSecretValue", {"Ref": "DatabaseSecretArn"})]
        )
        conditions = [policy["Fn::If"][0] for policy in roles[role_of(name)]["Policies"] if "Fn::If" in policy]
        assert conditions == ["GivenSecret"] * len(secrets)
    [invoke] = statements(roles["SchedulerRole"])
    assert invoke["Action"] == "lambda:InvokeFunction"
    assert invoke["Resource"] == {"Fn::GetAtt": ["StatsFunction", "Arn"]}


def test_only_the_gateway_may_call_and_only_by_its_routes(package: Package) -> None:
    allowed = {
        (each["FunctionName"]["Ref"], each["Principal"], each["SourceArn"]["Fn::Sub"][0].split("${__Stage__}")[1])
        for each in package.of_type("AWS::Lambda::Permission").values()
    }
    assert allowed == {
        ("WriteMessageFunction", "apigateway.amazonaws.com", "/POST/sessions/*/messages"),
        ("ReadSessionFunction", "apigateway.amazonaws.com", "/GET/sessions/*"),
        ("HealthFunction", "apigateway.amazonaws.com", "/GET/health"),
        ("HealthFunction", "apigateway.amazonaws.com", "/HEAD/health"),
        ("StatsFunction", "apigateway.amazonaws.com", "/GET/stats"),
        ("StatsFunction", "apigateway.amazonaws.com", "/GET/health/database"),
    }


def test_every_route_but_health_asks_for_a_signature(package: Package) -> None:
    [api] = package.of_type("AWS::ApiGatewayV2::Api").values()
    body = api["Body"]
    routes = {
        (method.upper(), path): [name for scheme in operation["security"] for name in scheme]
        for path, operations in body["paths"].items()
        for method, operation in operations.items()
    }
    assert routes == {
        ("POST", "/sessions/{session_id}/messages"): ["AWS_IAM"],
        ("GET", "/sessions/{session_id}"): ["AWS_IAM"],
        ("GET", "/health"): ["NONE"],
        ("HEAD", "/health"): ["NONE"],
        ("GET", "/health/database"): ["AWS_IAM"],
        ("GET", "/stats"): ["AWS_IAM"],
    }
    schemes = body["components"]["securitySchemes"]
    assert set(schemes) == {"AWS_IAM"}
    assert schemes["AWS_IAM"]["x-amazon-apigateway-authtype"] == "awsSigv4"
    for operations in body["paths"].values():
        for operation in operations.values():
            assert operation["x-amazon-apigateway-integration"]["payloadFormatVersion"] == "2.0"


def test_the_gateway_throttles_and_logs_each_request_as_json(package: Package) -> None:
    [stage] = package.of_type("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ThrottlingRate"},
        "ThrottlingBurstLimit": {"Ref": "ThrottlingBurst"},
    }
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request_id", "route", "status", "latency_ms", "error", "caller"} <= set(line)
    # The path and the query hold what users wrote.
    assert not {"$context.path", "$context.httpMethod"} & set(line.values())


def test_the_schedule_calls_stats(package: Package) -> None:
    [schedule] = package.of_type("AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == {"Ref": "StatsSchedule"}
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["StatsFunction", "Arn"]}
    assert schedule["Target"]["RoleArn"] == {"Fn::GetAtt": ["SchedulerRole", "Arn"]}


def test_without_snapstart_the_api_calls_what_was_deployed_last(package: Package) -> None:
    # A version behind an alias would keep the environment it was published with: a new password would not count.
    assert package.of_type("AWS::Lambda::Version") == {}
    assert package.of_type("AWS::Lambda::Alias") == {}


def test_with_snapstart_the_api_calls_a_version_that_is_published_anew_when_a_parameter_changes(
    snapstart_package: Package,
) -> None:
    versions = snapstart_package.of_type("AWS::Lambda::Version")
    aliases = snapstart_package.of_type("AWS::Lambda::Alias")
    functions = snapstart_package.of_type("AWS::Lambda::Function")
    [layer] = snapstart_package.of_type("AWS::Lambda::LayerVersion")
    assert len(versions) == len(aliases) == len(functions) == 4
    for name, version in versions.items():
        described = json.dumps(version["Description"])
        settings = ("TenantId", "MemorySize", "LogLevel", "StatsMaxAge", "NeonEndpointId", "DatabaseSecretArn")
        for parameter in (*settings, layer):
            assert f'{{"Ref": "{parameter}"}}' in described
        assert not [secret for secret in ("DatabaseUrl", "NeonApiKey") if secret in described]
        assert snapstart_package.resources[name]["DeletionPolicy"] == "Delete"
    assert all(each["SnapStart"] == {"ApplyOn": "PublishedVersions"} for each in functions.values())
    [api] = snapstart_package.of_type("AWS::ApiGatewayV2::Api").values()
    for operations in api["Body"]["paths"].values():
        for operation in operations.values():
            assert "Aliaslive" in operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]


def test_the_outputs_name_what_an_operator_looks_for(package: Package) -> None:
    outputs = {name: each["Value"] for name, each in package.template["Outputs"].items()}
    assert all(each["Description"] for each in package.template["Outputs"].values())
    assert "ApiUrl" in outputs
    assert [name for name in FUNCTIONS if outputs[f"{name}Name"] != {"Ref": name}] == []
    groups = {value["Ref"] for value in outputs.values() if value.get("Ref", "").endswith("LogGroup")}
    assert groups == set(package.of_type("AWS::Logs::LogGroup"))
