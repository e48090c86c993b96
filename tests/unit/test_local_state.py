"""The state folder: one process holds it at a time, also after crashes, and others can read which process."""

import subprocess
import sys
from pathlib import Path

import pytest

from local.settings import ROOT
from local.state import LOG_LIMIT, Running, State, StateInUseError

HOLDER = """
import sys, time
from pathlib import Path
from local.state import Running, State
state = State(Path(sys.argv[1]))
with state.lock():
    if sys.argv[2] == "announce":
        state.announce(Running(4711, "postgresql://app@/db"))
    print("held", flush=True)
    time.sleep(3600)
"""


def hold(folder: Path, how: str) -> "subprocess.Popen[str]":
    """Start a process that holds `folder`, and wait until it does. It announces itself if `how` is `announce`."""
    command = [sys.executable, "-c", HOLDER, str(folder), how]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_error_of_a_second_holder_names_the_first_and_says_what_to_do(tmp_path: Path) -> None:
    process = hold(tmp_path, "announce")
    try:
        state = State(tmp_path)
        with pytest.raises(StateInUseError, match=r"process 4711 uses .*STATE=<folder>"), state.lock():
            pass
        assert state.running() == Running(4711, "postgresql://app@/db")
    finally:
        process.kill()
        process.communicate()


def test_a_holder_that_has_not_announced_itself_is_still_starting(tmp_path: Path) -> None:
    process = hold(tmp_path, "silently")
    try:
        with pytest.raises(StateInUseError, match="still starting"):
            State(tmp_path).running()
    finally:
        process.kill()
        process.communicate()


def test_after_a_killed_holder_the_folder_can_be_held_at_once(tmp_path: Path) -> None:
    process = hold(tmp_path, "announce")
    process.kill()
    process.communicate()
    state = State(tmp_path)
    assert state.running() is None
    with state.lock():
        assert not (tmp_path / "running.json").exists()
        state.announce(Running(1, None))
        assert (tmp_path / "running.json").exists()
    assert not (tmp_path / "running.json").exists()
    with state.lock():
        pass


def test_a_log_is_appended_to_and_is_emptied_once_it_is_over_its_limit(tmp_path: Path) -> None:
    state = State(tmp_path)
    path = tmp_path / "logs" / "F.log"
    for _ in range(2):
        with state.open_log("F") as log:
            log.write(b"line\n")
    assert path.read_bytes() == b"line\nline\n"
    path.write_bytes(b"x" * (LOG_LIMIT + 1))
    with state.open_log("F") as log:
        log.write(b"line\n")
    assert path.read_bytes() == b"line\n"


def test_git_ignores_the_state_folder(tmp_path: Path) -> None:
    State(tmp_path / ".local")
    assert (tmp_path / ".local" / ".gitignore").read_text() == "*\n"
