"""The profile of hypothesis, and what several unit tests use.

Hypothesis has no time limit here. It prints each failing example, so that the example can be run again.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support.aws import moto_server, secrets_manager
from tests.unit.https_requests import server_contexts

settings.register_profile("robot-brain", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("robot-brain")


@pytest.fixture
def tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, ssl.SSLContext]:
    """Return the TLS context of a server for each kind of certificate."""
    return server_contexts(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def moto() -> Iterator[str]:
    """Give the URL of moto's server."""
    with moto_server() as url:
        yield url


@pytest.fixture
def secrets(moto: str) -> Any:
    """Return a client of moto's Secrets Manager, which creates secrets."""
    return secrets_manager(moto)
