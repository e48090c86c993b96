"""The bundle that `make build` builds, in a copy of the project, with the SAM CLI and Python 3.13 of this machine."""

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from local.settings import ROOT
from tests.support import deployed_template
from tests.support.servers.binaries import MissingBinaryError

FUNCTIONS = tuple(deployed_template.FUNCTIONS)
SOURCES = ("template.yaml", "functions", "layers", "ops")
BUILD_WITHIN_SECONDS = 600.0


def host_architecture() -> str:
    """Return this machine's processor as Lambda names it."""
    return "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"


def find_sam() -> Path:
    """Return the SAM CLI of the project, or else that on PATH. Raise MissingBinaryError if neither exists."""
    own = ROOT / ".venv-sam" / "bin" / "sam"
    found = own if own.exists() else shutil.which("sam")
    if found is None:
        raise MissingBinaryError("no SAM CLI here: make build installs it")
    return Path(found)


def sam_python() -> Path:
    """Return the interpreter of the SAM CLI, which has SAM's libraries. Raise MissingBinaryError if it is unknown."""
    with find_sam().open("rb") as script:
        line = script.readline().decode(errors="replace")
    interpreter = Path(line.removeprefix("#!").strip())
    if not line.startswith("#!") or not interpreter.is_file():
        raise MissingBinaryError(f"{find_sam()} is not a Python script, so its libraries cannot be used")
    return interpreter


def python313() -> Path:
    """Return the Python 3.13 that the Makefiles find. Raise MissingBinaryError if they find no Python 3.13."""
    command = ["make", "--silent", "--file", "functions/Makefile", "--eval", "print: ; @echo $(PYTHON313)", "print"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = shutil.which(done.stdout.strip()) if done.stdout.strip() else None
    if found is None:
        raise MissingBinaryError("no Python 3.13 here to compile with: uv python install 3.13")
    return Path(found)


@dataclass(frozen=True)
class SamBundle:
    """A copy of the project, with SAM's build of it in the folder `build`."""

    folder: Path

    @property
    def build(self) -> Path:
        """Return the folder of the build: a folder for the layer, one for each function, and the built template."""
        return self.folder / ".aws-sam" / "build"

    def sam(self, *arguments: str, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Run the SAM CLI in the copy. Return its output, also if it fails."""
        return self.run([str(find_sam()), *arguments], environment)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command in the copy, with the environment of the SAM CLI."""
        return subprocess.run(
            command,
            cwd=self.folder,
            env=sam_environment() | dict(environment or {}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_WITHIN_SECONDS,
            check=False,
        )


def build_bundle(folder: Path, architecture: str, snapstart: str, auth: str = "iam", project: Path = ROOT) -> SamBundle:
    """Copy the sources of the bundle to `folder`, and build them as `make build` does."""
    bundle = SamBundle(folder)
    for source in SOURCES:
        origin, copy = project / source, folder / source
        copy.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, copy, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, copy)
    choice = {"ARCHITECTURE": architecture, "SNAPSTART": snapstart, "AUTH": auth}
    done = bundle.run([sys.executable, "-m", "ops", "build"], choice)
    assert done.returncode == 0, done.stdout + done.stderr
    return bundle


def sam_environment() -> dict[str, str]:
    """Return this process's environment without SAM's telemetry and without an AWS account.

    It has no credentials, because `sam local` sends credentials to AWS before each invocation to look up their owner.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "SAM_", "DATABASE_"))}
    return kept | {
        "PATH": f"{find_sam().parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHON313": str(python313()),
        "PIP_PYTHON": sys.executable,
        "SAM_CLI_TELEMETRY": "0",
        "SAM_CLI_CHECK_UPDATES": "0",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
