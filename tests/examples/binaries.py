"""Programs that the examples need and pip cannot install: Node.js with a package, and a browser with its driver."""

import json
import shutil
import subprocess
from pathlib import Path

from local.settings import ROOT
from tests.support.servers.binaries import MissingBinaryError

EXAMPLES = ROOT / "examples"
OLDEST_NODE = 20


def node() -> Path:
    """Return the program `node`. Raises MissingBinaryError without it, or without a package of package.json."""
    found = shutil.which("node")
    if found is None:
        raise MissingBinaryError(f"no Node.js here: install version {OLDEST_NODE} or later")
    version = subprocess.run([found, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").partition(".")[0]) < OLDEST_NODE:
        raise MissingBinaryError(f"Node.js {version} is too old: install version {OLDEST_NODE} or later")
    wanted: dict[str, str] = json.loads((EXAMPLES / "package.json").read_text())["dependencies"]
    for name, pinned in wanted.items():
        package = EXAMPLES / "node_modules" / name / "package.json"
        if not package.exists() or json.loads(package.read_text())["version"] != pinned:
            raise MissingBinaryError(f"no {name} {pinned} here: run npm install in examples")
    return Path(found)


def browser_and_driver() -> tuple[Path, Path]:
    """Return the paths of Chromium (or Chrome) and of its driver. Raises MissingBinaryError without one of them."""
    names = ("chromium", "google-chrome", "chromium-browser")
    browser = next((found for found in map(shutil.which, names) if found), None)
    driver = shutil.which("chromedriver")
    if browser is None or driver is None:
        raise MissingBinaryError("no Chromium with its driver here: apt-get install chromium chromium-driver")
    return Path(browser), Path(driver)
