"""The order in which the suite runs its files."""

from local.settings import ROOT
from tests.conftest import LONGEST


def test_each_of_the_longest_files_exists() -> None:
    assert [name for name in LONGEST if not list((ROOT / "tests").glob(f"*/{name}"))] == []
