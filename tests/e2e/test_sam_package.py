"""The package that `sam deploy` sends to CloudFormation: its code, functions, settings and outputs."""

import io
import json
import re
import subprocess
import zipfile

import pytest

from tests.e2e.sam_bundle import FUNCTIONS, SamBundle, host_architecture, sam_python
from tests.e2e.sam_package import Package
from tests.support.deployed_template import VARIABLES, role_of


def test_the_package_has_no_lint_finding(package: Package, snapstart_package: Package) -> None:
    lint = sam_python().parent / "cfn-lint"
    paths = [str(each.path) for each in (package, snapstart_package)]
    command = [str(lint), "--regions", "us-east-1", "eu-central-1", "--", *paths]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_every_parameter_is_used_in_the_package(package: Package, snapstart_package: Package) -> None:
    for template in (package.template, snapstart_package.template):
        declared = template["Parameters"]
        rest = json.dumps({key: value for key, value in template.items() if key not in ("Parameters", "Metadata")})
        used = set(re.findall(r'"Ref": "(\w+)"', rest)) | set(re.findall(r"\$\{(\w+)\}", rest))
        assert set(declared) - used == set()
        assert all(declared[name]["NoEcho"] is True for name in ("DatabaseUrl", "NeonApiKey") if name in declared)


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
def test_a_function_has_its_runtime_variables_role_layer_and_log_group(package: Package, name: str) -> None:
    function = package.of_type("AWS::Lambda::Function")[name]
    assert function["Runtime"] == "python3.13"
    assert function["Timeout"] < 30
    assert function["MemorySize"] == {"Ref": "MemorySize"}
    size = {"Fn::If": ["GivenPoolSize", {"Ref": "DbPoolSize"}, {"Ref": "AWS::NoValue"}]}
    assert function.get("ReservedConcurrentExecutions") == (size if "DATABASE_URL" in VARIABLES[name] else None)
    assert function["Architectures"] == [host_architecture()]
    variables = function["Environment"]["Variables"]
    assert set(variables) == VARIABLES[name]
    assert variables["POWERTOOLS_LOG_LEVEL"] == {"Ref": "LogLevel"}
    assert variables.get("DATABASE_URL") == ({"Ref": "DatabaseUrl"} if "DATABASE_URL" in VARIABLES[name] else None)
    assert function["Role"]["Fn::GetAtt"] == [role_of(name), "Arn"]
    [layer] = function["Layers"]
    assert layer["Ref"] in package.of_type("AWS::Lambda::LayerVersion")
    groups = package.of_type("AWS::Logs::LogGroup")
    assert groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"] == {"Ref": "LogRetentionDays"}


def test_no_two_functions_share_a_log_group(package: Package) -> None:
    functions = package.of_type("AWS::Lambda::Function")
    assert len({each["LoggingConfig"]["LogGroup"]["Ref"] for each in functions.values()}) == len(functions)
    assert set(functions) == set(FUNCTIONS)


def test_the_gateway_throttles_and_logs_each_request_as_json(package: Package) -> None:
    [stage] = package.of_type("AWS::ApiGatewayV2::Stage").values()
    assert stage["DefaultRouteSettings"] == {
        "ThrottlingRateLimit": {"Ref": "ThrottlingRate"},
        "ThrottlingBurstLimit": {"Ref": "ThrottlingBurst"},
    }
    # The gateway knows a route by this name. Settings for a route that does not exist fail the deployment.
    assert set(stage["RouteSettings"]) == {"GET /health", "HEAD /health"}
    assert stage["AccessLogSettings"]["DestinationArn"] == {"Fn::GetAtt": ["AccessLogGroup", "Arn"]}
    line = json.loads(stage["AccessLogSettings"]["Format"])
    assert {"request_id", "route", "status", "latency_ms", "error", "caller"} <= set(line)
    # The path and the query may hold texts of users, so the log has only the route.
    assert not {"$context.path", "$context.httpMethod"} & set(line.values())


def test_the_schedule_calls_the_stats_function(package: Package) -> None:
    [schedule] = package.of_type("AWS::Scheduler::Schedule").values()
    assert schedule["ScheduleExpression"] == {"Ref": "StatsSchedule"}
    assert schedule["Target"]["Arn"] == {"Fn::GetAtt": ["StatsFunction", "Arn"]}
    assert schedule["Target"]["RoleArn"] == {"Fn::GetAtt": ["SchedulerRole", "Arn"]}


def test_without_snapstart_the_api_calls_the_code_that_was_deployed_last(package: Package) -> None:
    # A published version keeps its variables, so that a new password would have no effect.
    assert package.of_type("AWS::Lambda::Version") == {}
    assert package.of_type("AWS::Lambda::Alias") == {}


def test_with_snapstart_the_api_calls_a_version_whose_description_names_no_secret(
    snapstart_package: Package,
) -> None:
    # test_sam_versions.py shows which changes publish a new version.
    versions = snapstart_package.of_type("AWS::Lambda::Version")
    aliases = snapstart_package.of_type("AWS::Lambda::Alias")
    functions = snapstart_package.of_type("AWS::Lambda::Function")
    [layer] = snapstart_package.of_type("AWS::Lambda::LayerVersion").values()
    assert len(versions) == len(aliases) == len(functions) == len(FUNCTIONS)
    for name, version in versions.items():
        described = json.dumps([version["Description"], layer["Description"]])
        assert not [secret for secret in ("DatabaseUrl", "NeonApiKey") if secret in described]
        assert snapstart_package.resources[name]["DeletionPolicy"] == "Delete"
    assert all(each["SnapStart"] == {"ApplyOn": "PublishedVersions"} for each in functions.values())
    [api] = snapstart_package.of_type("AWS::ApiGatewayV2::Api").values()
    for operations in api["Body"]["paths"].values():
        for operation in operations.values():
            assert "Aliaslive" in operation["x-amazon-apigateway-integration"]["uri"]["Fn::Sub"]


def test_the_outputs_name_the_url_each_function_and_each_log_group(package: Package) -> None:
    outputs = {name: each["Value"] for name, each in package.template["Outputs"].items()}
    assert all(each["Description"] for each in package.template["Outputs"].values())
    assert "ApiUrl" in outputs
    assert [name for name in FUNCTIONS if outputs[f"{name}Name"] != {"Ref": name}] == []
    groups = {value["Ref"] for value in outputs.values() if value.get("Ref", "").endswith("LogGroup")}
    assert groups == set(package.of_type("AWS::Logs::LogGroup"))
