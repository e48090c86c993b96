"""`make run` as root: PostgreSQL runs as a user of its own, and no folder is opened for it."""

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.server_user import PACKAGE, PROGRAMS, SHARED
from tests.e2e.local_stack import TURN, call, command_of, environment, processes_of, running_of
from tests.support.checkouts import copy_checkout
from tests.support.waiting import outputs_of

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root starts PostgreSQL as another user")


@pytest.fixture
def closed() -> Iterator[Path]:
    """Give a folder that only root can enter. At the end remove what the test put into SHARED."""
    before = set(SHARED.glob("*"))
    with tempfile.TemporaryDirectory(prefix="rb-closed-") as name:
        yield Path(name)
    for made in set(SHARED.glob("*")) - before:
        shutil.rmtree(made)


def modes(*folders: Path) -> dict[Path, str]:
    """Return the modes of the folders, and of all above them."""
    return {
        each: stat.filemode(each.stat().st_mode) for folder in folders for each in (folder, *folder.resolve().parents)
    }


def copy_of_programs(folder: Path) -> Path:
    """Copy the package of the server's programs into `folder`, as an environment below it has them."""
    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    packages = Path(spec.origin).parent.parent
    other = PROGRAMS[16]
    for part in [PACKAGE, f"{PACKAGE}.libs", *(each.name for each in packages.glob(f"{PACKAGE}-*.dist-info"))]:
        if (packages / part).exists():
            shutil.copytree(packages / part, folder / part, ignore=shutil.ignore_patterns(other, "__pycache__"))
    return folder


def test_in_a_folder_that_only_root_can_enter_the_stack_runs_and_opens_no_folder(closed: Path) -> None:
    checkout = copy_checkout(closed / "checkout")
    packages = copy_of_programs(closed / "packages")
    programs = packages / PACKAGE / PROGRAMS[18] / "bin"
    state = checkout / ".local"
    state.mkdir()
    before = modes(state, programs)
    with running_of(checkout, state, PYTHONPATH=str(packages)) as stack:
        assert modes(state, programs) == before
        printed = stack.output.read_text()
        data = (state / "postgres").resolve()
        assert f"its user pgserver cannot enter {closed}. So the data is in {data}" in printed
        assert data.is_relative_to(SHARED)
        assert call(f"{stack.url}/sessions/demo/messages", TURN)["message_count"] == 1
    with running_of(checkout, state, PYTHONPATH=str(packages)) as stack:
        assert call(f"{stack.url}/sessions/demo")["session"]["message_count"] == 1
    assert modes(state, programs) == before
    assert processes_of(data) == []


def test_after_the_state_folder_was_deleted_the_database_is_empty_and_the_data_is_kept(closed: Path) -> None:
    checkout = copy_checkout(closed / "checkout")
    state = checkout / ".local"
    with running_of(checkout, state) as stack:
        call(f"{stack.url}/sessions/demo/messages", TURN)
        data = (state / "postgres").resolve()
    shutil.rmtree(state)
    with running_of(checkout, state) as stack:
        assert call(f"{stack.url}/sessions")["sessions"] == []
    kept = list(data.parent.glob("postgres.left-*"))
    assert [(each / "PG_VERSION").read_text() for each in kept] == ["18\n"]


def test_data_whose_folder_was_closed_later_is_refused_with_what_to_type(closed: Path) -> None:
    checkout = copy_checkout(closed / "checkout")
    state = checkout / ".local"
    closed.chmod(0o755)
    with running_of(checkout, state):
        pass
    closed.chmod(0o700)
    refused = command_of(checkout, "local.serve", state)
    _, errors = outputs_of(refused)
    assert refused.returncode == 1
    assert f"Type: chmod o+x {closed}" in errors
    assert "Traceback" not in errors
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


# A program that runs `make run` on a machine whose place for the data cannot be made.
_WITHOUT_A_PLACE = """
import os, pathlib, sys
import local.data_folder, local.serve, local.server_user

local.data_folder.SHARED = local.server_user.SHARED = pathlib.Path("/dev/null/robot-brain")
sys.exit(local.serve.main([], os.environ))
"""


def test_without_another_place_for_the_data_the_start_is_refused_with_what_to_type(closed: Path) -> None:
    checkout = copy_checkout(closed / "checkout")
    refused = subprocess.run(
        [sys.executable, "-c", _WITHOUT_A_PLACE],
        cwd=checkout,
        env=environment(checkout / ".local"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert f"its user pgserver cannot enter {closed}, and /dev/null/robot-brain cannot be used" in refused.stderr
    assert f"Run this as another user than root, or type: chmod o+x {closed}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700
