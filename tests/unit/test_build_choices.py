"""A plain `make build` takes the defaults. It warns if the build before had other choices, which a stack may have."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from local.settings import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of what the command needs, and a program `sam` that only ends, with the status in the file `status`."""
    folder = tmp_path / "project"
    shutil.copytree(ROOT / "ops", folder / "ops", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "template.yaml", folder)
    (folder / "status").write_text("0")
    sam = tmp_path / "bin" / "sam"
    sam.parent.mkdir()
    sam.write_text('#!/bin/sh\nexit "$(cat status)"\n')
    sam.chmod(0o755)
    return folder


def build(project: Path, **choices: str) -> str:
    """Run the command in the project. Return what it says."""
    path = f"{project.parent / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        [sys.executable, "-m", "ops", "build"],
        cwd=project,
        env={"PATH": path, **choices},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == int((project / "status").read_text()), done.stderr
    return done.stderr


@pytest.mark.parametrize(
    ("before", "again"),
    [
        ({"ARCHITECTURE": "arm64"}, "make build ARCHITECTURE=arm64"),
        ({"SNAPSTART": "on"}, "make build SNAPSTART=on"),
        ({"AUTH": "jwt"}, "make build AUTH=jwt"),
        (
            {"AUTH": "jwt", "ARCHITECTURE": "arm64", "SNAPSTART": "on"},
            "make build ARCHITECTURE=arm64 SNAPSTART=on AUTH=jwt",
        ),
    ],
    ids=str,
)
def test_a_plain_build_after_one_with_other_choices_warns_and_says_how_to_repeat_them(
    project: Path, before: dict[str, str], again: str
) -> None:
    assert len(build(project, **before).splitlines()) == 1
    line, warning = build(project).splitlines()
    assert line == "Building for x86_64, without SnapStart, AUTH=iam."
    assert warning.endswith(f"run: {again}")


def test_a_build_repeats_in_its_advice_the_choices_that_were_given_now(project: Path) -> None:
    build(project, ARCHITECTURE="arm64", AUTH="jwt")
    assert (
        build(project, SNAPSTART="on")
        .splitlines()[1]
        .endswith("run: make build ARCHITECTURE=arm64 SNAPSTART=on AUTH=jwt")
    )


@pytest.mark.parametrize("now", [{"ARCHITECTURE": "arm64"}, {"ARCHITECTURE": "x86_64"}], ids=str)
def test_a_build_whose_choice_is_written_does_not_warn(project: Path, now: dict[str, str]) -> None:
    build(project, ARCHITECTURE="arm64")
    assert len(build(project, **now).splitlines()) == 1


def test_a_build_that_failed_is_not_the_build_before(project: Path) -> None:
    (project / "status").write_text("1")
    build(project, ARCHITECTURE="arm64")
    (project / "status").write_text("0")
    assert len(build(project).splitlines()) == 1


def test_a_file_of_the_last_build_that_no_command_wrote_is_ignored(project: Path) -> None:
    build(project)
    [kept] = (project / ".aws-sam").glob("*.json")
    for text in ("", "[]", '{"ARCHITECTURE": 1}', '{"OTHER": "x"}'):
        kept.write_text(text)
        assert len(build(project).splitlines()) == 1
