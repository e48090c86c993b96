"""A copy of what `make run` needs, for a test that changes it, or that closes its folder to users."""

import shutil
from pathlib import Path

from local.settings import ROOT

PARTS = ("events", "functions", "layers", "local", "ops", "sql")


def copy_checkout(folder: Path) -> Path:
    """Copy the parts of this checkout that run into `folder`, which must not exist. Return the folder."""
    folder.mkdir()
    for part in PARTS:
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "template.yaml", folder)
    return folder
