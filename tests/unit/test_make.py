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


def outcome(*arguments: str, **variables: str) -> tuple[int, str, str]:
    """Return the exit status, the commands that make would run, and what it says about an error."""
    done = subprocess.run(
        ["make", "-n", "--old-file=.venv/run", "--old-file=.venv-sam/done", *arguments],
        cwd=ROOT,
        env={**ENVIRONMENT, **variables},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["migrate", "plan=1"],
        ["ops", "DO=recount", "dry_run=1"],
        ["ops", "DO=restore", "FILE=brain.dump", "replace=1"],
        ["ops", "DO=backup", "file=brain.dump"],
        ["migrate", "Wait=0"],
        ["app-password", "retire=old"],
        ["ops", "do=recount"],
        ["token", "sub=ann"],
        ["test", "pytest=tests/unit"],
    ],
)
def test_a_variable_in_small_letters_is_refused_before_any_command(arguments: list[str]) -> None:
    status, commands, errors = outcome(*arguments)
    name = next(
        each.partition("=")[0]
        for each in arguments
        if each.partition("=")[0].upper() != each.partition("=")[0] and "=" in each
    )
    assert (status, commands) == (2, "")
    assert f"Write {name}= in capitals" in errors


def test_a_variable_in_small_letters_of_the_environment_is_not_refused() -> None:
    assert outcome("migrate", plan="1")[0] == 0


@pytest.mark.parametrize(
    ("command", "options", "passed"),
    [
        ("backup", ["FORCE=1"], "--force"),
        ("restore", ["FILE=a", "FORCE=1"], "--force"),
        ("restore", ["FILE=a", "REPLACE=1"], "--replace"),
        ("app-password", ["RETIRE=old", "FORCE=1"], "--force"),
        ("audit-verify", ["SAVE=a", "FORCE=1"], "--force"),
    ],
)
def test_an_option_that_destroys_counts_only_on_the_command_line(command: str, options: list[str], passed: str) -> None:
    status, commands, _ = outcome("ops", f"DO={command}", *options)
    assert (status, passed in commands) == (0, True)
    *kept, last = options
    name, _, value = last.partition("=")
    status, commands, _ = outcome("ops", f"DO={command}", *kept, **{name: value})
    assert (status, passed in commands) == (0, False)
    assert f'echo "{name}= counts only after make. Write: make ops DO={command} {name}=1" >&2' in commands


@pytest.mark.parametrize(
    ("command", "option", "passed"), [("migrate", "PLAN", "--plan"), ("recount", "DRY_RUN", "--dry-run")]
)
def test_an_option_that_changes_nothing_counts_in_the_environment_too(command: str, option: str, passed: str) -> None:
    assert passed in outcome("ops", f"DO={command}", f"{option}=1")[1]
    assert passed in outcome("ops", f"DO={command}", **{option: "1"})[1]
    assert passed not in outcome("ops", f"DO={command}", f"{option}=0")[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ops", "DO=backup", "REPLACE=1"], "backup has no REPLACE=. It has FILE= FORCE="),
        (["ops", "DO=audit-verify", "FILE=x"], "audit-verify has no FILE=. It has"),
        (["ops", "DO=recount", "PLAN=1"], "recount has no PLAN=. It has DRY_RUN="),
        (["migrate", "DRY_RUN=1"], "migrate has no DRY_RUN=. It has PLAN= WAIT="),
        (["migrate", "FORCE=1", "FILE=x"], "migrate has no FILE= FORCE=. It has"),
        (["app-password", "PLAN=1"], "app-password has no PLAN=. It has"),
        (["ops", "DO=build", "FILE=x"], "build has no FILE=."),
    ],
)
def test_an_option_that_the_command_does_not_know_is_refused_in_the_words_of_make(
    arguments: list[str], said: str
) -> None:
    status, commands, errors = outcome(*arguments)
    assert status == 2
    assert said in errors
    assert "-m ops" not in commands


def test_an_option_of_another_command_in_the_environment_is_not_passed_on() -> None:
    status, commands, _ = outcome("ops", "DO=recount", PLAN="1", FILE="x")
    assert (status, commands.split()) == (0, [".venv/bin/python", "-m", "ops", "recount"])
