"""The types that openapi-typescript makes of docs/openapi.json, and the example of the AI SDK, by tsc and node."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.clients.examples import EXAMPLES
from tests.clients.lossy_relay import LossyRelay

EXAMPLE = EXAMPLES / "ai-sdk"
HERE = Path(__file__).parent
CHECKS = re.findall(r"^  async (\w+)\(\)", (HERE / "chat.ts").read_text(), re.MULTILINE)
_PATIENCE_SECONDS = 240.0


def ran(command: list[str], folder: Path, **variables: str) -> str:
    """Run a command that has to succeed, and return its output."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False,
        env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example with our checks, and with types made of the present document."""
    if os.environ.get("WITHOUT_NPM"):
        pytest.skip("npm could not install the packages of the example: no registry can be reached")
    packages = EXAMPLE / "node_modules"
    if not packages.is_dir():
        pytest.skip("no packages of the AI SDK here: run npm install in examples/ai-sdk")
    folder = tmp_path_factory.mktemp("typescript")
    for source in (*EXAMPLE.glob("*.ts"), *EXAMPLE.glob("*.json"), *HERE.glob("*.ts")):
        if source.name != "api.d.ts":
            shutil.copy(source, folder)
    (folder / "node_modules").symlink_to(packages)
    document = EXAMPLES.parent / "docs" / "openapi.json"
    ran([str(packages / ".bin" / "openapi-typescript"), str(document), "-o", "api.d.ts"], folder)
    return folder


@pytest.fixture(scope="module")
def built(project: Path) -> Path:
    """The programs as tsc compiled them. It has to find no error, and each expected one."""
    ran([str(project / "node_modules" / ".bin" / "tsc")], project)
    return project / "built"


def test_the_types_fit_the_api(api: str, built: Path, session_id: str) -> None:
    ran(["node", str(built / "types.js"), api, session_id], built)


def test_a_wrong_line_does_not_compile(project: Path, built: Path) -> None:
    source = (project / "types.ts").read_text()
    wrong = source.replace("const wrong: string", "const wrong: number")
    assert wrong != source
    (project / "wrong.ts").write_text(wrong)
    tsc = [str(project / "node_modules" / ".bin" / "tsc"), "--noEmit"]
    done = subprocess.run(tsc, cwd=project, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
    (project / "wrong.ts").unlink()
    assert done.returncode != 0
    assert "Unused '@ts-expect-error' directive" in done.stdout


@pytest.mark.parametrize("check", [check for check in CHECKS if check != "a_hundred_exchanges"])
def test_a_chat_of_the_ai_sdk(relay: LossyRelay, api: str, built: Path, session_id: str, check: str) -> None:
    ran(["node", str(built / "chat.js"), check, relay.url, session_id], built, API=relay.url, LOSSLESS=api)


def test_of_100_exchanges_with_lost_answers_each_is_stored_once(losing_url: str, built: Path, session_id: str) -> None:
    ran(["node", str(built / "chat.js"), "a_hundred_exchanges", losing_url, session_id], built)
