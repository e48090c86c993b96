"""The room on the disk that the documents name is not less than the environments here take."""

import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from tests.pins import ROOT, Pin, pins_of
from tests.support.servers.binaries import MissingBinaryError, skip_without

RUN = (ROOT / "layers/robot_brain/requirements.txt", ROOT / "local/requirements.txt")
GB = 1e9
# What is beside the packages, in bytes: an empty database, and the checkout with a part of its history.
BESIDE = 0.07 * GB


def environment(name: str) -> Path:
    """Return an environment of the checkout. Raises MissingBinaryError if it was not installed."""
    folder = ROOT / name
    if not (folder / "bin").exists():
        raise MissingBinaryError(f"{name} is not installed: make test without PYTEST= installs it")
    return folder.resolve()


def bytes_on_disk(files: list[Path]) -> int:
    return sum(each.lstat().st_blocks * 512 for each in files if each.is_file())


def figure(document: str, pattern: str) -> float:
    [found] = re.findall(pattern, (ROOT / document).read_text(encoding="utf-8"))
    return float(found) * GB


@pytest.mark.parametrize("document", ["README.md", "docs/quickstart.md"])
def test_the_room_for_make_run_is_not_less_than_its_packages_and_an_empty_database_take(document: str) -> None:
    skip_without(lambda: environment(".venv"))
    [folder] = environment(".venv").glob("lib/python3.*/site-packages")
    # A new environment has pip, too.
    names = {pin.name for path in RUN for pin in pins_of(path)} | {"pip"}
    files = [
        Path(str(each.locate_file(file)))
        for each in distributions(path=[str(folder)])
        if Pin(f"{each.name}==0", ()).name in names
        for file in each.files or []
    ]
    assert len(files) > len(names)
    assert figure(document, r"([\d.]+) GB in this folder") >= bytes_on_disk(files) + BESIDE


def test_the_room_for_make_test_is_not_less_than_its_environments_take() -> None:
    for name in (".venv", ".venv-sam"):
        skip_without(lambda name=name: environment(name))  # type: ignore[misc]
    files = [each for name in (".venv", ".venv-sam") for each in environment(name).rglob("*")]
    assert figure("docs/quickstart.md", r"([\d.]+) GB for `make test`") >= bytes_on_disk(files) + BESIDE
