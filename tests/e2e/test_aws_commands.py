"""The `aws …` commands of the documents are accepted by AWS's own models, and do on moto what the document says."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.settings import ROOT
from tests.e2e.documented_commands import Block, blocks
from tests.support.aws import REGION, moto_server

DOCUMENTS = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
COMMANDS = [
    block
    for document in DOCUMENTS
    for block in blocks(document)
    if block.kind == "sh" and re.search("^aws ", block.text, re.MULTILINE)
]
URL = "postgresql://robot_brain_app_a:secret@host/neondb"
SIGNED = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": REGION}
TRUST = {"Version": "2012-10-17", "Statement": []}
ALLOW = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"}],
}


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Give the variables of a reader whose `aws` calls moto."""
    folder = tmp_path_factory.mktemp("aws")
    program = folder / "aws"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.e2e.aws_cli "$@"\n')
    program.chmod(0o755)
    with moto_server() as url:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        path = f"{folder}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        yield kept | SIGNED | {"PATH": path, "AWS_ENDPOINT_URL": url}


def run(text: str, account: dict[str, str], typed: str = "", folder: Path = ROOT) -> str:
    """Run a command of a document in `folder`, with what the reader types. Return what it prints."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        cwd=folder,
        env=account,
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def the(document: str, beginning: str) -> Block:
    """Return the one block of a document that has a command which begins so."""
    [found] = [
        each for each in COMMANDS if each.document == ROOT / "docs" / document and f"\n{beginning}" in f"\n{each.text}"
    ]
    return found


def client(service: str, account: dict[str, str]) -> Any:
    """Return a client of a service of the account."""
    return boto3.client(
        service,
        endpoint_url=account["AWS_ENDPOINT_URL"],
        region_name=REGION,
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )


def test_the_command_for_the_secret_prints_its_arn_and_the_last_step_deletes_the_secret(
    account: dict[str, str], tmp_path: Path
) -> None:
    block = the("deploy.md", "aws secretsmanager create-secret").text
    printed = run(block, account, typed=f"{URL}\n", folder=tmp_path)
    secret = client("secretsmanager", account).get_secret_value(SecretId=printed)
    assert (secret["Name"], secret["SecretString"]) == ("robot-brain/database", URL)
    assert list(tmp_path.iterdir()) == []
    run(the("deploy.md", "aws secretsmanager delete-secret").text, account)
    assert "DeletedDate" in client("secretsmanager", account).describe_secret(SecretId=printed)


def test_the_command_for_the_budget_makes_one_with_an_e_mail_and_the_last_step_deletes_it(
    account: dict[str, str],
) -> None:
    run(the("deploy.md", "aws budgets create-budget").text, account)
    [budget] = client("budgets", account).describe_budgets(AccountId="123456789012")["Budgets"]
    assert (budget["BudgetName"], budget["TimeUnit"], budget["BudgetType"]) == ("robot-brain", "MONTHLY", "COST")
    [notification] = client("budgets", account).describe_notifications_for_budget(
        AccountId="123456789012", BudgetName="robot-brain"
    )["Notifications"]
    assert (notification["Threshold"], notification["ThresholdType"]) == (80, "PERCENTAGE")
    run(the("deploy.md", "aws budgets delete-budget").text, account)
    assert client("budgets", account).describe_budgets(AccountId="123456789012")["Budgets"] == []


def test_the_command_for_a_callers_role_attaches_the_policy(account: dict[str, str]) -> None:
    iam = client("iam", account)
    iam.create_role(RoleName="backend", AssumeRolePolicyDocument=json.dumps(TRUST))
    arn = iam.create_policy(PolicyName="callers", PolicyDocument=json.dumps(ALLOW))["Policy"]["Arn"]
    text = the("deploy.md", "aws iam attach-role-policy").text
    run(text.replace("--role-name …", "--role-name backend").replace("--policy-arn …", f"--policy-arn {arn}"), account)
    [attached] = iam.list_attached_role_policies(RoleName="backend")["AttachedPolicies"]
    assert attached["PolicyArn"] == arn


def test_the_command_for_a_request_finds_the_line_of_the_request(account: dict[str, str]) -> None:
    logs = client("logs", account)
    logs.create_log_group(logGroupName="/aws/lambda/robot-brain/write-message")
    logs.create_log_stream(logGroupName="/aws/lambda/robot-brain/write-message", logStreamName="one")
    text = the("operate.md", "aws logs filter-log-events").text
    text = text.replace("--log-group-name …", "--log-group-name /aws/lambda/robot-brain/write-message")
    # moto has no patterns of JSON, so only the command's form is shown.
    assert json.loads(run(text, account))["events"] == []


def test_the_command_for_the_alarm_of_a_metric_makes_it(account: dict[str, str]) -> None:
    run(the("operate.md", "aws cloudwatch put-metric-alarm").text.replace("Value=… ", "Value=write "), account)
    [alarm] = client("cloudwatch", account).describe_alarms()["MetricAlarms"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("RobotBrain", "PatternConnectionFailures")
    assert {each["Name"] for each in alarm["Dimensions"]} == {"function_name", "service"}


@pytest.mark.parametrize("command", COMMANDS, ids=str)
def test_a_test_of_this_file_runs_the_command(command: Block) -> None:
    own = Path(__file__).read_text()
    [line] = [line for line in command.text.splitlines() if line.startswith("aws ")]
    beginning = " ".join(line.split()[:3])
    assert f'the("{command.document.name}", "{beginning}")' in own, f"{command}: no test runs {beginning}"
