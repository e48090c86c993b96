"""The bundles that SAM builds, once per run, and folders that the user of a server can enter."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.docker_bridge import Bridge, find_bridge
from tests.e2e.local_stack import open_folder
from tests.e2e.sam_bundle import SamBundle, build_bundle, find_sam, host_architecture, python313
from tests.e2e.sam_package import Package, make_package
from tests.support.aws import moto_server
from tests.support.servers.binaries import MissingBinaryError, debian_postgres, skip_without


@pytest.fixture(scope="session")
def sam_bundle(tmp_path_factory: pytest.TempPathFactory) -> SamBundle:
    """Return the bundle for this machine's processor and signed callers, without SnapStart. It can run here."""
    return _build(tmp_path_factory, "sam-bundle", host_architecture(), "off", "iam")


@pytest.fixture(scope="session")
def arm_bundle(tmp_path_factory: pytest.TempPathFactory) -> SamBundle:
    """Return the bundle for arm64 and callers with tokens, with SnapStart: the other choice of each."""
    return _build(tmp_path_factory, "arm-bundle", "arm64", "on", "jwt")


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Give the URL of moto's S3."""
    with moto_server() as url:
        yield url


@pytest.fixture(scope="session")
def package(sam_bundle: SamBundle, s3: str) -> Package:
    """Return the package of `sam_bundle`, which is built as `make build` builds by default."""
    return make_package(sam_bundle, s3)


@pytest.fixture(scope="session")
def snapstart_package(arm_bundle: SamBundle, s3: str) -> Package:
    """Return the package of `arm_bundle`, which has SnapStart and takes tokens."""
    return make_package(arm_bundle, s3)


@pytest.fixture(scope="session")
def bridge() -> Bridge:
    """Return Docker's bridge. Skip if Docker, AWS's image, SAM or PostgreSQL is missing."""
    try:
        find_sam()
        debian_postgres()
        return find_bridge()
    except MissingBinaryError as missing:
        if os.environ.get("SAM_LOCAL") == "required":
            raise
        pytest.skip(str(missing))


@pytest.fixture
def folder() -> Iterator[Path]:
    """Give an empty folder that every user of this machine can enter.

    It is not tmp_path: if root runs the tests, the server runs as another user, and pytest closes the parent of
    tmp_path to other users.
    """
    with open_folder() as made:
        yield made


def _build(factory: pytest.TempPathFactory, name: str, architecture: str, snapstart: str, auth: str) -> SamBundle:
    """Return a copy of a bundle, which is built once for all processes of the run."""
    skip_without(find_sam)
    try:
        python313()
    except MissingBinaryError as missing:
        # Skip also in CI: Debian 12 has no package of Python 3.13. The workflows install it.
        pytest.skip(str(missing))
    own = factory.mktemp(name)
    # Each process of a parallel run has a folder of its own in the run's.
    shared = own.parents[1] if "PYTEST_XDIST_WORKER" in os.environ else own.parent
    built, complete = shared / f"built-{name}", shared / f"built-{name}.done"
    with (shared / f"built-{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            shutil.rmtree(built, ignore_errors=True)
            built.mkdir()
            build_bundle(built, architecture, snapstart, auth)
            complete.touch()
    shutil.copytree(built, own, symlinks=True, dirs_exist_ok=True)
    return SamBundle(own)
