"""The operator's commands: `python -m ops` lists them, and each fails with a message that says what to do."""

import re
import subprocess
import sys

import pytest

from local.settings import ROOT
from ops.__main__ import COMMANDS, main


def test_without_a_command_the_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(COMMANDS)


def test_an_unknown_command_is_named_before_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrat"]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Unknown command 'migrat'. The commands are:\nmigrate ")


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "build"])
def test_a_command_without_a_database_names_the_missing_variable(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DIRECT_DATABASE_URL", raising=False)
    assert main([command]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("Set DIRECT_DATABASE_URL ")


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_backup_and_a_restore_need_the_name_of_a_file(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DIRECT_DATABASE_URL", "postgresql://nowhere.invalid/db")
    for arguments in ([], ["--file", " "]):
        assert main([command, *arguments]) == 2
        assert capsys.readouterr().err == f"Name the file of the backup: make ops DO={command} FILE=brain.dump\n"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "build"])
def test_a_command_explains_itself_with_help(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "ops", command, "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: python -m ops {command}")


def test_make_has_at_most_twenty_targets_and_explains_each() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    targets = [line for line in lines if re.match(r"[a-z-]+:", line)]
    assert len(targets) <= 20
    assert [line for line in targets if "  ## " not in line] == []
    phony = next(line for line in lines if line.startswith(".PHONY:"))
    assert phony.split()[1:] == [line.partition(":")[0] for line in targets]
