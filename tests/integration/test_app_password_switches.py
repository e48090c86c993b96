"""`make app-password` refuses switches that do not go together, before it changes anything."""

import os
import subprocess

import pytest

from local.settings import ROOT
from ops.app_password import main, rotate
from ops.errors import MigrationError, OperatorError
from ops.retire import retire
from tests.integration.logins_state import ENVIRONMENT

NOWHERE = "postgresql://owner@127.0.0.1:1/none"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:robot-brain-AbCdEf"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--force"], "FORCE=1 alone"),
        (["--retire", " "], "RETIRE= is empty"),
        (["--retire", ""], "RETIRE= is empty"),
        (["--secret", ""], "SECRET= is empty"),
        (["--retire", "old", "--secret", ARN], "one after the other"),
        (["--retire", "Old"], "RETIRE= is old, new or one of robot_brain_app"),
        (["--secret", "robot-brain/database"], "SECRET= must be the ARN"),
    ],
)
def test_a_switch_that_is_wrong_alone_or_with_another_is_refused_without_a_connection(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIRECT_DATABASE_URL", NOWHERE)
    with pytest.raises(OperatorError, match=said) as caught:
        main(arguments)
    assert caught.value.exit_status == 2


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (["RETIRE="], "RETIRE= is empty"),
        (["RETIRE= "], "RETIRE= is empty"),
        (["FORCE=1"], "FORCE=1 alone"),
        (["retire=old"], "in capitals"),
        (["SECRET=x"], "SECRET= must be the ARN"),
        ([], "cannot connect"),
        (["FORCE=0"], "cannot connect"),
    ],
)
def test_make_passes_a_wrong_switch_on_to_the_command_which_refuses_it(variables: list[str], said: str) -> None:
    done = subprocess.run(
        ["make", "app-password", "--old-file=.venv/run", "--old-file=.venv-sam/done", *variables],
        cwd=ROOT,
        env=ENVIRONMENT | {"DIRECT_DATABASE_URL": NOWHERE, "HOME": os.environ.get("HOME", "/")},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert done.stdout == ""


def test_a_name_in_place_of_an_arn_does_not_install_the_packages_for_aws() -> None:
    done = subprocess.run(
        ["make", "-n", "app-password", "SECRET=robot-brain/database", "--what-if=.venv/run"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
    )
    assert ".venv-sam" not in done.stdout


def test_neons_pooler_is_refused_before_anything_is_changed() -> None:
    pooled = "postgresql://owner:o@ep-quiet-sun-a1b2c3d4-pooler.eu-central-1.aws.neon.tech/brain"
    for work in (rotate, lambda url: retire(url, "old", lambda _: None)):
        with pytest.raises(MigrationError, match="leads to Neon's pooler"):
            work(pooled)
