"""The tests of the client. Those of a framework run in an environment of their own: `make test-clients`.

`python -m tests.clients` starts an API for each of them and sets ROBOT_BRAIN_URL.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Iterator

import pytest

from tests.clients.lossy_relay import LossyRelay, lossy_relay

# The folders of tests that need packages of their own. The longest run begins first.
ENVIRONMENTS = ("schemathesis", "openai_agents", "llama_index", "typescript", "langchain", "pydantic_ai")
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


@pytest.fixture(params=["http", "database"])
def losing_url(request: pytest.FixtureRequest, api: str) -> Iterator[str]:
    """The address of an API of which each second answer to a change is lost, or whose database loses answers.

    The database loses answers now and then, after their COMMIT. `python -m tests.clients` counts them.
    """
    if request.param == "http":
        with lossy_relay(api, every=2) as relay:
            yield relay.url
        assert relay.lost > 0
        return
    if "ROBOT_BRAIN_LOSING_URL" not in os.environ:
        pytest.skip("no PostgreSQL with PgBouncer here: install postgresql and pgbouncer")
    yield os.environ["ROBOT_BRAIN_LOSING_URL"]
