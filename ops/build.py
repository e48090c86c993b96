"""Build the bundle with SAM for one architecture, with SnapStart or without.

    ARCHITECTURE=arm64 SNAPSTART=on python -m ops build

A bundle fits only the choices that it was built for. The layer's wheels belong to one architecture, and SnapStart needs
published versions. So template.yaml allows only the defaults: x86_64 without SnapStart. For other choices this command
builds from a copy of the template that allows only those. CloudFormation then refuses to deploy with any others.

Further arguments go to `sam build`. The result is in .aws-sam/build, in which `sam deploy` and `sam local` look for it.
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
    """Return the text of `template` for these choices; with the defaults the text is unchanged.

    Raises BuildError if a choice is unknown, or if the template lacks the text to replace.
    """
    if architecture not in ARCHITECTURES:
        raise BuildError(f"ARCHITECTURE={architecture} is unknown: use one of {', '.join(ARCHITECTURES)}")
    if snapstart not in SNAPSTARTS:
        raise BuildError(f"SNAPSTART={snapstart} is unknown: use one of {', '.join(SNAPSTARTS)}")
    if architecture != "x86_64":
        template = _allow_only(template, "Architecture", "x86_64", architecture)
    if snapstart == "on":
        template = _allow_only(template, "SnapStart", '"off"', '"on"')
        template, marks = re.subn(r"(?m)^( *)#snapstart ", r"\1", template)
        if not marks:
            raise BuildError("template.yaml must have lines that begin with #snapstart: restore them")
    return template


def _allow_only(template: str, parameter: str, old: str, new: str) -> str:
    """Replace `old`, a parameter's default and only allowed value, by `new`."""
    before = rf"^  {parameter}:\n(?:    .*\n)*?    "
    pattern = rf"({before})Default: {re.escape(old)}\n    AllowedValues: \[{re.escape(old)}\]$"
    replacement = rf"\g<1>Default: {new}\n    AllowedValues: [{new}]"
    template, found = re.subn(pattern, replacement, template, flags=re.MULTILINE)
    if found != 1:
        raise BuildError(f"template.yaml must hold {parameter} with {old} as its default and only allowed value")
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


def build(architecture: str, snapstart: str, arguments: list[str]) -> int:
    """Run `sam build` and return its exit status. A changed copy of the template goes to .aws-sam/template.yaml."""
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
    """Build for ARCHITECTURE (default x86_64) and SNAPSTART (default off), and return the status of `sam build`.

    Raises BuildError if the bundle cannot be built with these settings.
    """
    return build(os.environ.get("ARCHITECTURE") or "x86_64", os.environ.get("SNAPSTART") or "off", list(arguments))
