"""`sam validate` translates the template as a deployment does. `sam validate --lint` does not translate it.

`make check` runs the tests that accept a template.
"""

import subprocess
from itertools import product
from pathlib import Path

import pytest

from ops.build import ARCHITECTURES, AUTHS, SAMCONFIG, SNAPSTARTS, template_for
from tests.e2e.sam_bundle import find_sam, sam_environment, sam_python
from tests.support.deployed_template import SOURCE
from tests.support.servers.binaries import skip_without

BUILDS = [(auth, snapstart) for auth in AUTHS for snapstart in SNAPSTARTS]
# For each case: the build, a line of its template, the broken line instead of it, and a part of SAM's error.
BROKEN = {
    "two functions with one route": (
        "iam",
        "Method: GET, Path: /stats}",
        'Method: GET, Path: "/sessions/{session_id}"}',
        "API method 'get' defined multiple times",
    ),
    "an authorizer that is switched off": (
        "iam",
        "EnableIamAuthorizer: true",
        "EnableIamAuthorizer: false",
        "'AWS_IAM' was not defined in 'Authorizers'",
    ),
    "an authorizer that has no name": (
        "jwt",
        "DefaultAuthorizer: Jwt",
        "DefaultAuthorizer: !If [FixedTenant, AWS_IAM, Jwt]",
        "Property 'Auth.DefaultAuthorizer' should be a string",
    ),
}


def validate(folder: Path, template: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run `sam validate` on the text `template`, with the project's settings and without AWS credentials."""
    skip_without(find_sam)
    (folder / "samconfig.toml").write_text(SAMCONFIG)
    (folder / "template.yaml").write_text(template)
    return subprocess.run(
        [str(find_sam()), "validate", *arguments],
        cwd=folder,
        env=sam_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("build", BUILDS, ids="-".join)
def test_sam_validate_accepts_the_template_of_each_build_without_credentials(
    tmp_path: Path, build: tuple[str, str]
) -> None:
    auth, snapstart = build
    done = validate(tmp_path, template_for(SOURCE, "x86_64", snapstart, auth))
    assert done.returncode == 0, done.stderr
    # If samconfig.toml added --lint, SAM would not translate the template.
    assert "according to basic SAM Validation" in done.stdout


@pytest.mark.parametrize("auth", AUTHS)
def test_sam_validate_with_lint_accepts_the_template_of_each_authorization(tmp_path: Path, auth: str) -> None:
    done = validate(tmp_path, template_for(SOURCE, "x86_64", "off", auth), "--lint")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "is a valid SAM Template" in done.stdout


def test_no_build_has_a_lint_finding(tmp_path: Path) -> None:
    skip_without(sam_python)
    paths = []
    for choices in product(ARCHITECTURES, SNAPSTARTS, AUTHS):
        paths.append(tmp_path / f"{'-'.join(choices)}.yaml")
        paths[-1].write_text(template_for(SOURCE, *choices))
    lint = sam_python().parent / "cfn-lint"
    command = [str(lint), "--regions", "us-east-1", "eu-central-1", "--", *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert len(paths) == 8
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


@pytest.mark.parametrize("name", BROKEN)
def test_sam_validate_refuses_a_broken_template_in_which_lint_finds_nothing(tmp_path: Path, name: str) -> None:
    auth, line, other, refusal = BROKEN[name]
    template = template_for(SOURCE, "x86_64", "off", auth)
    assert template.count(line) == 1
    broken = template.replace(line, other)
    assert validate(tmp_path, broken, "--lint").returncode == 0
    done = validate(tmp_path, broken)
    assert done.returncode != 0, done.stdout
    assert refusal in done.stderr
