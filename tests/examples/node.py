"""Node.js and the package of docs/examples/package.json, which pip cannot install."""

import json
import shutil
import subprocess
from pathlib import Path

from local.settings import ROOT
from tests.support.servers.binaries import MissingBinaryError

EXAMPLES = ROOT / "docs" / "examples"
OLDEST = 20


def node() -> Path:
    """Return the program `node`. Raises MissingBinaryError if it, or the package in its pinned version, is missing."""
    found = shutil.which("node")
    if found is None:
        raise MissingBinaryError(f"no Node.js here: install version {OLDEST} or later")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST:
        raise MissingBinaryError(f"Node.js {version} is too old: install version {OLDEST} or later")
    wanted: dict[str, str] = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]
    for name, pinned in wanted.items():
        package = EXAMPLES / "node_modules" / name / "package.json"
        if not package.exists() or json.loads(package.read_text())["version"] != pinned:
            raise MissingBinaryError(f"no {name} {pinned} here: run npm install in docs/examples")
    return Path(found)
