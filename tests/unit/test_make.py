"""What the Makefile installs, and what it shows meanwhile. make only prints the commands here."""

import os
import pty
import subprocess
from collections.abc import Mapping

import pytest

from tests.pins import ROOT

# `make test` sets these for its tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTEST"))}


def printed(*arguments: str, stderr: int = subprocess.PIPE, environment: Mapping[str, str] = ENVIRONMENT) -> str:
    """Return the commands that make would run if all requirements had changed."""
    what_if = [
        f"--what-if={name}"
        for name in ("local/requirements.txt", "tests/requirements.txt", "tests/requirements-sam.txt")
    ]
    done = subprocess.run(
        ["make", "-n", *what_if, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("choice", ["tests/unit", "tests/unit/test_pins.py", "-q tests/unit tests/integration"])
def test_a_choice_of_tests_without_sam_does_not_install_sam(choice: str) -> None:
    commands = printed("test", f"PYTEST={choice}")
    assert f"-m pytest {choice}" in commands
    assert ".venv-sam" not in commands


@pytest.mark.parametrize("choice", ["", "tests", "tests/", "tests/e2e", "tests/e2e/test_sam_build.py", "-k embedded"])
def test_a_choice_that_may_have_tests_with_sam_installs_sam(choice: str) -> None:
    assert "requirements-sam.txt" in printed("test", f"PYTEST={choice}")


@pytest.mark.parametrize("target", [".venv/run", ".venv/test", ".venv-sam/done"])
def test_an_install_shows_its_progress_on_a_terminal_and_is_quiet_otherwise(target: str) -> None:
    def installs(commands: str) -> list[str]:
        return [line for line in commands.splitlines() if "-m pip" in line]

    quiet = installs(printed(target))
    assert quiet
    assert [line for line in quiet if "--quiet" not in line] == []
    terminal, other_end = pty.openpty()
    try:
        loud = installs(printed(target, stderr=other_end))
    finally:
        os.close(terminal)
        os.close(other_end)
    assert len(loud) == len(quiet)
    assert [line for line in loud if "--quiet" in line] == []


@pytest.mark.parametrize("target", [".venv/run", ".venv/test", ".venv-sam/done"])
def test_an_install_writes_nothing_to_standard_output(target: str) -> None:
    """`TOKEN=$(make -s token)` may install first."""
    commands = [line for line in printed(target).splitlines() if "-m pip" in line or "Installing" in line]
    assert [line for line in commands if not line.endswith(">&2")] == []


def test_make_has_at_most_twenty_targets_and_says_what_each_one_does() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    [phony] = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith(".PHONY:")]
    targets = phony.split()[1:]
    assert len(targets) <= 20
    assert [each for each in targets if f"\n  {each} " not in f"\n{done.stdout}"] == []
