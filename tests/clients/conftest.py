"""The tests of the client. Those of a framework run in an environment of their own: `make test-clients`.

`python -m tests.clients` starts one API for all of them and sets ROBOT_BRAIN_URL.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator

import pytest

from tests.clients.lossy_relay import LossyRelay, lossy_relay

# The folders of tests that need packages of their own.
ENVIRONMENTS = ("langchain", "llama_index", "openai_agents")
collect_ignore = [] if "ROBOT_BRAIN_URL" in os.environ else list(ENVIRONMENTS)


@pytest.fixture(scope="session")
def api() -> str:
    """The address of an API as `make run` starts it."""
    url = os.environ.get("ROBOT_BRAIN_URL")
    assert url, "python -m tests.clients sets ROBOT_BRAIN_URL"
    return url


@pytest.fixture
def session_id(request: pytest.FixtureRequest) -> str:
    """An id that no other test uses."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', request.node.name)[:60]}-{uuid.uuid4().hex[:8]}"


@pytest.fixture(params=[0, 2], ids=["plain", "lossy"])
def relay(request: pytest.FixtureRequest, api: str) -> Iterator[LossyRelay]:
    """The API, and the API of which each second answer to a change is lost."""
    with lossy_relay(api, request.param) as relay:
        yield relay
