"""`sam deploy --guided` with the real SAM: what it asks, what the document says of it, and what its answers leave.

moto has the stack of SAM's bucket. The run ends when SAM asks CloudFormation for a change set, which moto cannot make.
"""

import json
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from local.settings import ROOT
from ops.build import SAMCONFIG
from tests.e2e.guided_deploy import Guided, deploy_guided
from tests.e2e.sam_bundle import SamBundle, find_sam, sam_environment, sam_python
from tests.support.aws import REGION, moto_server
from tests.support.deployed_template import SECRET_ARN, built_template

SIGNED = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
ANSWERS = {
    "AWS Region": REGION,
    "Parameter DatabaseUrl": "postgresql://u:p@h/d",
    "Parameter NeonApiKey": "none",
    "Parameter TenantId": "acme",
}
TOKENS = {
    "AWS Region": REGION,
    "Parameter DatabaseSecretArn": SECRET_ARN,
    "Parameter JwtIssuer": "https://id.example.com/",
    "Parameter JwtAudience": "robot-brain",
}
# What `sam deploy` calls with the built template and the answers of samconfig.toml.
MERGE = """
import json, sys
from samcli.commands.deploy.deploy_context import DeployContext
json.dump(DeployContext.merge_parameters(*json.load(sys.stdin)), sys.stdout)
"""
MANAGED = {
    "Resources": {"SamCliSourceBucket": {"Type": "AWS::S3::Bucket"}},
    "Outputs": {"SourceBucket": {"Value": {"Ref": "SamCliSourceBucket"}}},
}


def exported() -> dict[str, str]:
    """Return the variables that a reader has set in step 3 of the document. SAM takes its region from them."""
    step = (ROOT / "docs" / "deploy.md").read_text().split("\n## 3. ")[1].split("\n## ")[0]
    [line] = re.findall(r"(?m)^export (.+)$", step)
    return dict(each.split("=") for each in line.split())


def git(folder: Path, *arguments: str) -> str:
    """Run git in a folder, without the settings of this machine. Return its output."""
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """Give the variables of an AWS account that has the stack of SAM's bucket, with the document's region."""
    with moto_server() as url:
        client = boto3.client(
            "cloudformation",
            endpoint_url=url,
            region_name=REGION,
            aws_access_key_id="testing",
            aws_secret_access_key="testing",
        )
        client.create_stack(
            StackName="aws-sam-cli-managed-default",
            TemplateBody=json.dumps(MANAGED),
            Tags=[{"Key": "ManagedStackSource", "Value": "AwsSamCli"}],
        )
        client.close()
        yield SIGNED | {"AWS_ENDPOINT_URL": url} | exported()


def guided(
    bundle: SamBundle, folder: Path, answers: dict[str, str], account: dict[str, str], *options: str
) -> tuple[Path, Guided]:
    """Deploy a copy of a bundle, which git tracks as the project is tracked. Return its folder and the questions."""
    shutil.copytree(bundle.folder, folder)
    shutil.copy(ROOT / ".gitignore", folder)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "all")
    return folder, deploy_guided(SamBundle(folder), answers, account, *options)


@pytest.fixture(scope="module")
def runs(
    sam_bundle: SamBundle,
    arm_bundle: SamBundle,
    tmp_path_factory: pytest.TempPathFactory,
    account: dict[str, str],
) -> dict[str, tuple[Path, Guided]]:
    """Return a deployment for signatures, and one for tokens with SnapStart."""
    folder = tmp_path_factory.mktemp("guided")
    return {
        "signatures": guided(sam_bundle, folder / "iam", ANSWERS, account),
        "tokens": guided(arm_bundle, folder / "jwt", TOKENS, account),
    }


def asked(run: tuple[Path, Guided]) -> list[str]:
    """Return what a run asked, with the bare names of parameters."""
    return [question.text.removeprefix("Parameter ") for question in run[1].questions]


def documented() -> list[str]:
    """Return the questions of the document's table in order."""
    text = (ROOT / "docs" / "deploy.md").read_text()
    table = text.split("| question | answer |\n| --- | --- |\n")[1].split("\n\n")[0]
    # A choice of the build, such as AUTH=jwt, says when a question comes.
    names = [name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.split("|")[1])]
    return [name for name in names if "=" not in name]


def saved(folder: Path) -> dict[str, Any]:
    """Return the settings of `sam deploy` that a run kept."""
    kept: dict[str, Any] = tomllib.loads((folder / "samconfig.toml").read_text())["default"]["deploy"]["parameters"]
    return kept


def test_the_document_has_exactly_the_questions_that_sam_asks_in_their_order(
    runs: dict[str, tuple[Path, Guided]],
) -> None:
    names = documented()
    for run in runs.values():
        assert [name for name in names if name in asked(run)] == asked(run), run[1].printed
    assert set(names) == set(asked(runs["signatures"])) | set(asked(runs["tokens"]))


@pytest.mark.parametrize("build", ["signatures", "tokens"])
def test_each_parameter_is_asked_once_and_no_choice_of_the_build_is_asked(
    runs: dict[str, tuple[Path, Guided]], build: str
) -> None:
    choices = {"signatures": ("off", "iam"), "tokens": ("on", "jwt")}
    template = built_template("x86_64", *choices[build])
    parameters = [question.text for question in runs[build][1].questions if question.text.startswith("Parameter ")]
    assert parameters == [f"Parameter {name}" for name in template["Parameters"]]
    assert {"Auth", "Architecture", "SnapStart"} & set(asked(runs[build])) == set()


@pytest.mark.parametrize("build", ["signatures", "tokens"])
def test_after_the_questions_git_sees_no_change_and_the_answers_are_kept(
    runs: dict[str, tuple[Path, Guided]], build: str
) -> None:
    folder, run = runs[build]
    assert "Initiating deployment" in run.printed, run.printed
    assert git(folder, "status", "--porcelain") == ""
    kept = saved(folder)
    assert (kept["region"], kept["confirm_changeset"], kept["capabilities"]) == (REGION, True, "CAPABILITY_IAM")
    wanted = {"signatures": 'TenantId="acme"', "tokens": 'JwtIssuer="https://id.example.com/"'}
    assert wanted[build] in kept["parameter_overrides"]
    # SAM keeps no answer to a question whose answer it hides.
    assert "postgresql" not in (folder / "samconfig.toml").read_text()


def test_the_region_that_the_document_exports_is_the_one_that_sam_offers(runs: dict[str, tuple[Path, Guided]]) -> None:
    for _, run in runs.values():
        assert [each.default for each in run.questions if each.text == "AWS Region"] == [exported()["AWS_REGION"]]


def test_an_environment_of_answers_for_a_second_stack_offers_what_the_document_says(
    sam_bundle: SamBundle, tmp_path: Path, account: dict[str, str]
) -> None:
    second = {"Stack Name": "robot-brain-tokens", "Confirm changes before deploy": "y"}
    folder, run = guided(sam_bundle, tmp_path / "second", ANSWERS | second, account, "--config-env", "tokens")
    offered = {each.text: each.default for each in run.questions}
    assert offered["Stack Name"] == "sam-app"
    assert offered["Confirm changes before deploy"] == "y/N"
    assert offered["SAM configuration environment"] == "tokens"
    kept = tomllib.loads((folder / "samconfig.toml").read_text())
    assert kept["tokens"]["deploy"]["parameters"]["stack_name"] == "robot-brain-tokens"
    assert kept["default"]["global"]["parameters"]["stack_name"] == "robot-brain"


def test_the_command_for_a_pipeline_asks_nothing_and_begins_the_deployment(
    sam_bundle: SamBundle, tmp_path: Path, account: dict[str, str]
) -> None:
    section = (ROOT / "docs" / "deploy.md").read_text().split("\n## From a pipeline\n")[1].split("\n## ")[0]
    command = section.split("```sh\n")[1].split("```")[0].split("\n", 1)[1]
    folder = tmp_path / "pipeline"
    shutil.copytree(sam_bundle.folder, folder)
    (folder / "samconfig.toml").write_text(SAMCONFIG)
    done = subprocess.run(
        ["bash", "-euc", command.replace(".venv-sam/bin/sam", str(find_sam()))],
        cwd=folder,
        env=sam_environment() | account | {"DATABASE_SECRET_ARN": SECRET_ARN},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Initiating deployment" in done.stdout, done.stdout + done.stderr
    assert re.search(r"Stack name +: robot-brain\n", done.stdout)
    assert re.search(r"Confirm changeset +: False\n", done.stdout)
    assert SECRET_ARN in done.stdout


def test_the_next_build_keeps_the_answers(runs: dict[str, tuple[Path, Guided]]) -> None:
    folder, _ = runs["signatures"]
    before = (folder / "samconfig.toml").read_text()
    # The command writes the file before it calls SAM, which this time prints its help.
    done = SamBundle(folder).run(["python3", "-m", "ops", "build", "--help"])
    assert done.returncode == 0, done.stderr
    assert (folder / "samconfig.toml").read_text() == before


def test_sam_sends_no_answer_for_a_parameter_that_the_template_no_longer_has() -> None:
    """samconfig.toml of an earlier release has answers for Auth, Architecture and SnapStart."""
    old = {"Auth": "iam", "Architecture": "x86_64", "SnapStart": "off", "TenantId": "acme"}
    done = subprocess.run(
        [str(sam_python()), "-c", MERGE],
        input=json.dumps([built_template(auth="jwt"), old]),
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    sent = {each["ParameterKey"]: each.get("ParameterValue") for each in json.loads(done.stdout)}
    assert {name for name, value in sent.items() if value is not None} == {"TenantId"}
    assert set(sent) == set(built_template(auth="jwt")["Parameters"])
