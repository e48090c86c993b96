"""Build the bundle with SAM for one architecture, with SnapStart or without, for signatures or for tokens.

    ARCHITECTURE=arm64 SNAPSTART=on AUTH=jwt python -m ops build

A bundle fits only the choices that it was built for. The layer's wheels belong to one architecture, and SnapStart needs
published versions. SAM refuses a condition that chooses the authorizer. So no parameter makes these choices, and a
deployment asks for none of them. template.yaml is for the defaults: x86_64, without SnapStart, AWS signatures. For
other choices this command builds from a copy of the template that is made for those.

The copy has the lines of template.yaml that begin with a mark: "#snapstart " with SnapStart, "#jwt " with tokens. It
does not have the lines that end with " #no-snapstart" or " #iam", and the lines below them that are indented deeper.

The answers of `sam deploy --guided` are kept in samconfig.toml. The first build writes the file with the project's own
settings.

Further arguments go to `sam build`. The result is in .aws-sam/build, in which `sam deploy` and `sam local` look for it.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ops.errors import BuildError

PROJECT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("x86_64", "arm64")
SNAPSTARTS = ("off", "on")
AUTHS = ("iam", "jwt")
SAMCONFIG = """\
# What `sam` assumes here if a command does not say otherwise. `make build` wrote it, and does not change it again.
# `sam deploy --guided` adds your answers. Git ignores this file, because the answers are yours.
version = 0.1

[default.global.parameters]
stack_name = "robot-brain"

[default.deploy.parameters]
capabilities = "CAPABILITY_IAM"
confirm_changeset = true
resolve_s3 = true
"""
ARCHITECTURE_LINES = 2  # of the functions and of the layer


def template_for(template: str, architecture: str, snapstart: str, auth: str) -> str:
    """Return the text of `template` for these choices; with the defaults the text is unchanged.

    Raises BuildError if a choice is unknown, or if the template lacks the text to replace.
    """
    if architecture not in ARCHITECTURES:
        raise BuildError(f"ARCHITECTURE={architecture} is unknown: use one of {', '.join(ARCHITECTURES)}")
    if snapstart not in SNAPSTARTS:
        raise BuildError(f"SNAPSTART={snapstart} is unknown: use one of {', '.join(SNAPSTARTS)}")
    if auth not in AUTHS:
        raise BuildError(f"AUTH={auth} is unknown: use one of {', '.join(AUTHS)}")
    if architecture != "x86_64":
        template, found = re.subn(r"(?m)(Architectures: )\[x86_64\]$", rf"\g<1>[{architecture}]", template)
        if found != ARCHITECTURE_LINES:
            raise BuildError("template.yaml must have Architectures: [x86_64] for the functions and for the layer")
    if snapstart == "on":
        template = _take_marked(_leave_out(template, "#no-snapstart"), "#snapstart")
    if auth == "jwt":
        template = _take_marked(_leave_out(template, "#iam"), "#jwt")
    return template


def _take_marked(template: str, mark: str) -> str:
    """Remove `mark` from each line that begins with it, so that the line takes effect."""
    template, found = re.subn(rf"(?m)^( *){mark} ", r"\1", template)
    if not found:
        raise BuildError(f"template.yaml must have lines that begin with {mark}: restore them")
    return template


def _leave_out(template: str, mark: str) -> str:
    """Remove each line that ends with `mark`, and the lines below it that are indented deeper."""
    template, found = re.subn(rf"(?m)^( *)\S.* {mark}\n(?:\1 +\S.*\n)*", "", template)
    if not found:
        raise BuildError(f"template.yaml must have lines that end with {mark}: restore them")
    return template


def find_sam() -> str:
    """Return the path of the SAM CLI: the project's own if installed, otherwise the one on PATH.

    Raises BuildError if neither exists.
    """
    own = PROJECT / ".venv-sam" / "bin" / "sam"
    sam = str(own) if own.exists() else shutil.which("sam")
    if sam is None:
        raise BuildError("the SAM CLI is neither in .venv-sam nor on PATH: run make build")
    return sam


def built_for(architecture: str, snapstart: str, auth: str, config: str) -> str:
    """Return a line that says what a build is for.

    It has a warning if the answers in `config`, the text of samconfig.toml, are of a stack for tokens and the build is
    not. CloudFormation would not refuse this deployment, and each caller with a token would then be refused.
    """
    with_snapstart = "with" if snapstart == "on" else "without"
    line = f"Building for {architecture}, {with_snapstart} SnapStart, AUTH={auth}."
    if auth == "iam" and re.search(r"\bJwtIssuer=", config):
        line += (
            "\nsamconfig.toml has answers for tokens. If you deploy this build, callers with tokens are refused."
            " To keep tokens run make build AUTH=jwt."
        )
    return line


def build(architecture: str, snapstart: str, auth: str, arguments: list[str]) -> int:
    """Run `sam build` and return its exit status. A changed copy of the template goes to .aws-sam/template.yaml.

    Write samconfig.toml if it does not exist.
    """
    if " " in str(PROJECT):
        raise BuildError(f"make cannot build in a path with a space: {PROJECT}. Clone the project elsewhere.")
    source = (PROJECT / "template.yaml").read_text()
    generated = template_for(source, architecture, snapstart, auth)
    template = PROJECT / "template.yaml"
    if generated != source:
        template = PROJECT / ".aws-sam" / "template.yaml"
        template.parent.mkdir(exist_ok=True)
        template.write_text(generated)
    config = PROJECT / "samconfig.toml"
    with contextlib.suppress(FileExistsError), config.open("x") as new:
        new.write(SAMCONFIG)
    print(built_for(architecture, snapstart, auth, config.read_text()), file=sys.stderr)
    command = [find_sam(), "build", "--template-file", str(template), "--base-dir", str(PROJECT)]
    environment = {**os.environ, "ARCHITECTURE": architecture, "SAM_CLI_TELEMETRY": "0"}
    return subprocess.run([*command, *arguments], cwd=PROJECT, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Build for ARCHITECTURE (default x86_64), SNAPSTART (default off) and AUTH (default iam).

    Returns the status of `sam build`. Raises BuildError if the bundle cannot be built with these settings.
    """
    chosen = os.environ.get
    return build(
        chosen("ARCHITECTURE") or "x86_64", chosen("SNAPSTART") or "off", chosen("AUTH") or "iam", list(arguments)
    )
