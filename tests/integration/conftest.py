"""Clusters for the migration tests, where nothing is migrated yet, and a database for the tests of a recount."""

from collections.abc import Iterator

import pytest

from tests.bundle import Bundle, turn
from tests.integration.migrations import empty
from tests.integration.recounting import INTERACTION
from tests.servers.binaries import debian_postgres, skip_without
from tests.servers.databases import Database
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


@pytest.fixture
def talked(bundle: Bundle, database: Database) -> Database:
    """Two sessions with five turns and an interaction, all counted."""
    bundle.write("long", {"messages": [turn(n) for n in range(3)]})
    bundle.write("short", turn(robot_personality="waiter", robot_response="x" * 4, interaction=INTERACTION))
    bundle.write("short", turn(robot_personality="waiter", robot_response="x" * 6))
    bundle.refresh()
    return database
