"""Build the bundle with SAM for one architecture, with SnapStart or without.

What is built decides what may be deployed: the wheels in the layer belong to one architecture, and SnapStart
needs published versions. So template.yaml holds the defaults, x86_64 and no SnapStart, as the only values
allowed, and any other choice is built from a copy of it that allows that choice alone. CloudFormation then
refuses to deploy another.

    ARCHITECTURE=arm64 SNAPSTART=on python -m ops build

Further arguments go to `sam build`. The result is in .aws-sam/build, where `sam deploy` and `sam local` look
for it.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ops.errors import BuildError

PROJECT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("x86_64", "arm64")
SNAPSTARTS = ("off", "on")


def template_for(template: str, architecture: str, snapstart: str) -> str:
    """Return the text of `template` for another architecture or with SnapStart.

    The defaults give the text unchanged. Raise BuildError where the template does not hold what is to be
    replaced.
    """
    if architecture not in ARCHITECTURES:
        raise BuildError(f"ARCHITECTURE={architecture} is none of {', '.join(ARCHITECTURES)}")
    if snapstart not in SNAPSTARTS:
        raise BuildError(f"SNAPSTART={snapstart} is none of {', '.join(SNAPSTARTS)}")
    if architecture != "x86_64":
        template = _allow_only(template, "Architecture", "x86_64", architecture)
    if snapstart == "on":
        template = _allow_only(template, "SnapStart", '"off"', '"on"')
        template, marks = re.subn(r"(?m)^( *)#snapstart ", r"\1", template)
        if not marks:
            raise BuildError("template.yaml holds no line that begins with #snapstart")
    return template


def _allow_only(template: str, parameter: str, old: str, new: str) -> str:
    """Make `new` the default and the only value allowed of a parameter that so far has `old` as both."""
    before = rf"^  {parameter}:\n(?:    .*\n)*?    "
    pattern = rf"({before})Default: {re.escape(old)}\n    AllowedValues: \[{re.escape(old)}\]$"
    replacement = rf"\g<1>Default: {new}\n    AllowedValues: [{new}]"
    template, found = re.subn(pattern, replacement, template, flags=re.MULTILINE)
    if found != 1:
        raise BuildError(f"template.yaml must hold {parameter} with {old} as default and only allowed value")
    return template


def find_sam() -> str:
    """Return the path of the SAM CLI: the project's own, else the one on PATH. Raise BuildError if there is none."""
    own = PROJECT / ".venv-sam" / "bin" / "sam"
    sam = str(own) if own.exists() else shutil.which("sam")
    if sam is None:
        raise BuildError("the SAM CLI is neither in .venv-sam nor on PATH: run make build")
    return sam


def build(architecture: str, snapstart: str, arguments: list[str]) -> int:
    """Run `sam build` and return its exit code. The generated template, if any, is .aws-sam/template.yaml."""
    if " " in str(PROJECT):
        raise BuildError(f"make cannot build in a path with a space: {PROJECT}. Clone the project elsewhere.")
    source = (PROJECT / "template.yaml").read_text()
    generated = template_for(source, architecture, snapstart)
    template = PROJECT / "template.yaml"
    if generated != source:
        template = PROJECT / ".aws-sam" / "template.yaml"
        template.parent.mkdir(exist_ok=True)
        template.write_text(generated)
    command = [find_sam(), "build", "--template-file", str(template), "--base-dir", str(PROJECT)]
    environment = {**os.environ, "ARCHITECTURE": architecture, "SAM_CLI_TELEMETRY": "0"}
    return subprocess.run([*command, *arguments], cwd=PROJECT, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Build what ARCHITECTURE (default x86_64) and SNAPSTART (default off) say. Raises BuildError if that fails."""
    return build(os.environ.get("ARCHITECTURE") or "x86_64", os.environ.get("SNAPSTART") or "off", list(arguments))
