"""`sam validate` translates the template as a deployment does. `sam validate --lint` does not translate it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from local.settings import ROOT
from tests.e2e.sam_bundle import find_sam, sam_environment
from tests.support.servers.binaries import skip_without

# For each case: a line of template.yaml, the broken line instead of it, and a part of SAM's error.
BROKEN = {
    "two functions with one route": (
        "Method: GET, Path: /stats}",
        'Method: GET, Path: "/sessions/{session_id}"}',
        "API method 'get' defined multiple times",
    ),
    "an authorizer that is switched off": (
        "EnableIamAuthorizer: true",
        "EnableIamAuthorizer: false",
        "'AWS_IAM' was not defined in 'Authorizers'",
    ),
}


def validate(folder: Path, template: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `sam validate` on the text `template`, with the project's settings and without AWS credentials."""
    skip_without(find_sam)
    shutil.copy(ROOT / "samconfig.toml", folder)
    (folder / "template.yaml").write_text(template)
    return subprocess.run(
        [str(find_sam()), "validate", *arguments],
        cwd=folder,
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_sam_validate_accepts_the_template_without_credentials(tmp_path: Path) -> None:
    done = validate(tmp_path, (ROOT / "template.yaml").read_text())
    assert done.returncode == 0, done.stderr
    # If samconfig.toml added --lint, SAM would not translate the template.
    assert "according to basic SAM Validation" in done.stdout


@pytest.mark.parametrize("name", BROKEN)
def test_sam_validate_refuses_a_broken_template_in_which_lint_finds_nothing(tmp_path: Path, name: str) -> None:
    line, other, refusal = BROKEN[name]
    template = (ROOT / "template.yaml").read_text()
    assert template.count(line) == 1
    broken = template.replace(line, other)
    assert validate(tmp_path, broken, "--lint").returncode == 0
    done = validate(tmp_path, broken)
    assert done.returncode != 0, done.stdout
    assert refusal in done.stderr
