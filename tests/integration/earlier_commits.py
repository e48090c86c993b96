"""Folders of earlier commits of this checkout, from git."""

import subprocess
from pathlib import Path

import pytest

from local.settings import ROOT

_VERSION = "sql/functions/robot_brain/schema_version.sql"


def checked_out(commit: str, folder: Path, *paths: str) -> Path:
    """Write folders of a commit into `folder`, and return it. Skip the test if this checkout lacks the commit."""
    archive = folder / "commit.tar"
    with archive.open("wb") as output:
        made = _git("archive", commit, *paths, output=output.fileno())
    if made.returncode:
        pytest.skip(f"this checkout lacks {commit}: {made.stderr.strip()}")
    subprocess.run(["tar", "-xf", archive, "-C", folder], check=True)
    return folder


def before_this_schema() -> str:
    """Return the last commit with the schema version before this one. Skip the test if this checkout lacks it."""
    found = _git("log", "-1", "--format=%P", "--", _VERSION)
    if found.returncode or not found.stdout.strip():
        pytest.skip(f"this checkout lacks the commit before this schema: {found.stderr.strip()}")
    return found.stdout.split()[0]


def before_the_first(path: str) -> str:
    """Return the last commit without the file `path`. Skip the test if this checkout lacks it."""
    found = _git("log", "--diff-filter=A", "--format=%P", "--", path)
    if found.returncode or not found.stdout.split():
        pytest.skip(f"this checkout lacks the commit before {path}: {found.stderr.strip()}")
    return found.stdout.split()[-1]


def _git(*arguments: str, output: int = subprocess.PIPE) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, stdout=output, stderr=subprocess.PIPE, text=True, check=False
        )
    except FileNotFoundError:
        pytest.skip("git is not installed")
