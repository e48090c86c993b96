"""`sam validate` translates the template as a deployment does; `--lint` looks at it without translating."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.sam_bundle import PROJECT, find_sam, sam_environment
from tests.support.servers.binaries import skip_without

# Each breaks one line of template.yaml, with the words of SAM's refusal.
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
    """Run `sam validate` on the text `template`, with the project's settings and without credentials of AWS."""
    skip_without(find_sam)
    shutil.copy(PROJECT / "samconfig.toml", folder)
    (folder / "template.yaml").write_text(template)
    return subprocess.run(
        [str(find_sam()), "validate", *arguments],
        cwd=folder,
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_template_is_valid_without_credentials(tmp_path: Path) -> None:
    done = validate(tmp_path, (PROJECT / "template.yaml").read_text())
    assert done.returncode == 0, done.stderr
    # Settings that add --lint by themselves would leave out the translation.
    assert "according to basic SAM Validation" in done.stdout


@pytest.mark.parametrize("name", BROKEN)
def test_a_template_that_no_deployment_takes_is_refused_though_its_lint_finds_nothing(
    tmp_path: Path, name: str
) -> None:
    line, other, refusal = BROKEN[name]
    template = (PROJECT / "template.yaml").read_text()
    assert template.count(line) == 1
    broken = template.replace(line, other)
    assert validate(tmp_path, broken, "--lint").returncode == 0
    done = validate(tmp_path, broken)
    assert done.returncode != 0, done.stdout
    assert refusal in done.stderr
