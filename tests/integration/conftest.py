"""Clusters for the migration tests: nothing is migrated there yet, and each test finds and leaves them empty."""

from collections.abc import Iterator

import pytest

from tests.integration.migrations import empty
from tests.servers.binaries import debian_postgres, skip_without
from tests.servers.postgres import Postgres, start_embedded, start_tls


@pytest.fixture(scope="session", params=["distribution", "embedded16", "embedded18"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """The PostgreSQL versions that are migrated: the distribution's (15 on Debian 12), 16 and 18."""
    if request.param == "distribution":
        skip_without(debian_postgres)
        server = start_tls(request.getfixturevalue("authority"))
    else:
        server = start_embedded(int(request.param.removeprefix("embedded")))
    yield server
    server.stop()


@pytest.fixture
def empty_cluster(cluster: Postgres) -> Iterator[Postgres]:
    """A cluster without our databases and, as roles are shared by all databases of a cluster, without our roles."""
    empty(cluster)
    yield cluster
    empty(cluster)
