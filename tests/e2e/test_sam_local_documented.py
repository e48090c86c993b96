"""The documented lines of `sam local` run as they stand, beside a `make run`, with its database.

With SAM_LOCAL=required no test is skipped. The workflow that has Docker sets it.
"""

import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.settings import ROOT
from tests.e2e.docker_bridge import Bridge, request, wait_for_port
from tests.e2e.documented_commands import DOCKER, blocks
from tests.e2e.local_stack import TURN, Stack, call, running
from tests.e2e.sam_bundle import SamBundle, find_sam, sam_environment
from tests.support.servers.process import free_port
from tests.support.waiting import PATIENCE_SECONDS

# The same as --skip-pull-image, for a machine without AWS's registry.
NO_PULL = {"SAM_SKIP_PULL_IMAGE": "true"}


@dataclass(frozen=True)
class Beside:
    """A folder as a reader's: with the bundle, the SAM CLI, and the state of a `make run` in `.local`."""

    bundle: SamBundle
    stack: Stack

    def shell(self, line: str, **ports: int) -> list[str]:
        """Return the command that runs a line of a document, with other ports."""
        for shown, port in {"3000": self.stack.url.rpartition(":")[2], **ports}.items():
            line = line.replace(f" {shown} ", f" {port} ").replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
        return ["bash", "-euo", "pipefail", "-c", line]


@pytest.fixture
def beside(bridge: Bridge, sam_bundle: SamBundle, folder: Path) -> Iterator[Beside]:
    """Give the bundle in a folder that has a running stack."""
    copy = folder / "project"
    shutil.copytree(sam_bundle.folder, copy)
    # As root, the server's user must enter it. Otherwise the data would stay in /var/lib.
    copy.chmod(0o755)
    shutil.copytree(ROOT / "events", copy / "events")
    (copy / ".venv-sam" / "bin").mkdir(parents=True)
    (copy / ".venv-sam" / "bin" / "sam").symlink_to(find_sam())
    with running(copy / ".local") as stack:
        yield Beside(SamBundle(copy), stack)


def test_the_documented_lines_of_sam_local_use_the_database_of_make_run(beside: Beside, tmp_path: Path) -> None:
    lines = [block.text for block in blocks(ROOT / "docs" / "quickstart.md") if block.above.startswith(DOCKER)]
    invoke, start, requests = lines
    done = beside.bundle.run(beside.shell(invoke), NO_PULL)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["statusCode"] == 201, done.stderr
    [turn] = call(f"{beside.stack.url}/sessions/demo")["messages"]
    assert (
        turn["user_message"]
        == json.loads(json.loads((ROOT / "events/write_message.json").read_text())["body"])["user_message"]
    )

    port, log = free_port(), tmp_path / "sam.log"
    with log.open("wb") as output:
        api = subprocess.Popen(
            beside.shell(f"exec {start}", **{"3005": port}),
            cwd=beside.bundle.folder,
            env=sam_environment() | NO_PULL,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        wait_for_port(port, api, log)
        call(f"{beside.stack.url}/sessions/first/messages", TURN)
        done = beside.bundle.run(beside.shell(requests, **{"3005": port}))
        assert "201 CREATED" in done.stdout.upper(), done.stdout + done.stderr + log.read_text()
        status, page = request("GET", f"http://127.0.0.1:{port}/sessions/first")
        assert [each["user_message"] for each in page["messages"]] == [TURN["user_message"], "And in Rome?"], status
        assert page == call(f"{beside.stack.url}/sessions/first")

        beside.stack.process.send_signal(signal.SIGINT)
        assert beside.stack.process.wait(PATIENCE_SECONDS) == 0
        status, problem = request("GET", f"http://127.0.0.1:{port}/sessions/first")
        assert (status, problem["status"]) == (503, 503), log.read_text()
        with running(beside.stack.state):
            status, again = request("GET", f"http://127.0.0.1:{port}/sessions/first")
            assert (status, again) == (200, page), log.read_text()
    finally:
        api.send_signal(signal.SIGINT)
        api.wait(60)
    done = beside.bundle.run(beside.shell(invoke))
    assert done.returncode != 0
    assert ".local/sam-env.json" in done.stderr
