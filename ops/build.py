"""Build the bundle with SAM for one architecture, with SnapStart or without, for signatures or for tokens.

    ARCHITECTURE=arm64 SNAPSTART=on AUTH=jwt python -m ops build

A bundle fits only the choices that it was built for. The layer's wheels belong to one architecture, and SnapStart needs
published versions. SAM refuses a condition that chooses the authorizer. So no parameter makes these choices, and a
deployment asks for none of them. template.yaml is for the defaults: x86_64, without SnapStart, AWS signatures. For
other choices this command builds from a copy of the template that is made for those.

The copy has the lines of template.yaml that begin with a mark: "#snapstart " with SnapStart, "#jwt " with tokens. It
does not have the lines that end with " #no-snapstart" or " #iam", and the lines below them that are indented deeper.

A plain build takes the defaults. It warns if the last build in this folder had other choices.

The answers of `sam deploy --guided` are kept in samconfig.toml. The first build writes the file with the project's own
settings.

Further arguments go to `sam build`. The result is in .aws-sam/build, in which `sam deploy` and `sam local` look for it.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ops.errors import BuildError

PROJECT = Path(__file__).resolve().parent.parent
ARCHITECTURES = ("x86_64", "arm64")
SNAPSTARTS = ("off", "on")
AUTHS = ("iam", "jwt")
DEFAULTS = {"ARCHITECTURE": ARCHITECTURES[0], "SNAPSTART": SNAPSTARTS[0], "AUTH": AUTHS[0]}
# The choices of the last build. Git ignores its folder.
LAST = PROJECT / ".aws-sam" / "choices.json"
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


def changed_since(last: Mapping[str, str], given: Mapping[str, str]) -> str:
    """Return a line of warning if the `last` build had a choice that is not `given` now and is no default, or ""."""
    lost = [name for name, value in last.items() if name not in given and value != DEFAULTS[name]]
    if not lost:
        return ""
    was = " ".join(f"{name}={last[name]}" for name in lost)
    again = " ".join(
        f"{name}={value}" for name, value in {**last, **given}.items() if name in given or value != DEFAULTS[name]
    )
    return f"The last build here had {was}, and this one does not. If the stack has it, run: make build {again}"


def read_last() -> dict[str, str]:
    """Return the choices of the last build in the order of DEFAULTS, or {} before the first build."""
    try:
        kept = json.loads(LAST.read_text())
        return {name: kept[name] for name in DEFAULTS if isinstance(kept[name], str)}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def build(choices: Mapping[str, str], arguments: Sequence[str], warning: str) -> int:
    """Print `warning`, run `sam build` and return its exit status.

    A changed copy of the template goes to .aws-sam/template.yaml. Write samconfig.toml if it does not exist.
    """
    architecture, snapstart, auth = (choices[name] for name in DEFAULTS)
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
    if warning:
        print(warning, file=sys.stderr)
    command = [find_sam(), "build", "--template-file", str(template), "--base-dir", str(PROJECT)]
    environment = {**os.environ, "ARCHITECTURE": architecture, "SAM_CLI_TELEMETRY": "0"}
    return subprocess.run([*command, *arguments], cwd=PROJECT, env=environment, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Build for ARCHITECTURE (default x86_64), SNAPSTART (default off) and AUTH (default iam).

    Returns the status of `sam build`. Raises BuildError if the bundle cannot be built with these settings.
    """
    given = {name: os.environ[name] for name in DEFAULTS if os.environ.get(name)}
    choices = DEFAULTS | given
    warning = changed_since(read_last(), given)
    status = build(choices, arguments, warning)
    if status == 0:
        LAST.parent.mkdir(exist_ok=True)
        LAST.write_text(json.dumps(choices))
    return status
