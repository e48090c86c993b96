"""What SAM makes of the project, built once a run; and folders that servers can reach."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.sam_bundle import SamBundle, build_bundle, find_sam, host_architecture, python313
from tests.support.servers.binaries import MissingBinaryError, skip_without


@pytest.fixture(scope="session")
def sam_bundle(tmp_path_factory: pytest.TempPathFactory) -> SamBundle:
    """The bundle built for this machine's own processor, without SnapStart: the one that can be run here."""
    return _build(tmp_path_factory.mktemp("sam-bundle"), host_architecture(), "off")


@pytest.fixture(scope="session")
def arm_bundle(tmp_path_factory: pytest.TempPathFactory) -> SamBundle:
    """The bundle built for arm64 and with SnapStart."""
    return _build(tmp_path_factory.mktemp("arm-bundle"), "arm64", "on")


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder, which is not tmp_path: as root the server runs as another user, and each further run of pytest
    shuts the parent of its folders to all others again."""
    with tempfile.TemporaryDirectory(prefix="rb-") as name:
        yield Path(name)


def _build(folder: Path, architecture: str, snapstart: str) -> SamBundle:
    skip_without(find_sam)
    try:
        python313()
    except MissingBinaryError as missing:
        # Also in CI: no package of Debian 12 brings it. The workflows install it.
        pytest.skip(str(missing))
    return build_bundle(folder, architecture, snapstart)
