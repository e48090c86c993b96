"""Clusters for the tests of migrations, a database for those of a recount, and a secret for those of rotations."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from local.settings import ROOT
from ops.sql_files import SQL
from tests.integration.migrations import empty
from tests.integration.recounting import INTERACTION
from tests.integration.rotated_secret import Rotated, rotated_login
from tests.support.aws import moto_server
from tests.support.bundle import Bundle, turn
from tests.support.servers.binaries import debian_postgres, skip_without
from tests.support.servers.databases import Database, create_database
from tests.support.servers.postgres import WITHOUT_JIT, Postgres, start_embedded, start_tls


@pytest.fixture(scope="session", params=["distribution", "embedded18"])
def cluster(request: pytest.FixtureRequest) -> Iterator[Postgres]:
    """The PostgreSQL versions that are migrated: the distribution's (15 on Debian 12) and 18; also 16 by a mark."""
    if request.param == "distribution":
        skip_without(debian_postgres)
        server = start_tls(request.getfixturevalue("authority"), WITHOUT_JIT)
    else:
        server = start_embedded(int(request.param.removeprefix("embedded")))
    yield server
    server.stop()


@pytest.fixture
def empty_cluster(cluster: Postgres) -> Iterator[Postgres]:
    """A cluster without our databases and roles. All databases of a cluster share its roles."""
    empty(cluster)
    yield cluster
    empty(cluster)


@pytest.fixture
def make_database(empty_cluster: Postgres) -> Callable[[], str]:
    """A function that makes an empty database of the migrating role in this cluster and returns its name."""

    def make() -> str:
        name = f"test_{secrets.token_hex(6)}"
        with empty_cluster.admin() as admin:
            create_database(admin, name)
        return name

    return make


@pytest.fixture
def admin(empty_cluster: Postgres, make_database: Callable[[], str]) -> Iterator[psycopg.Connection]:
    """A superuser's connection to an empty database that is not migrated yet."""
    with empty_cluster.admin(make_database()) as connection:
        yield connection


@pytest.fixture
def direct_url(empty_cluster: Postgres, admin: psycopg.Connection) -> str:
    """The migrating role's URL of the database that `admin` is connected to."""
    return empty_cluster.direct_url(admin.info.dbname)


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    """A copy of sql/ that a test may change, beside a copy of the command that applies it."""
    shutil.copytree(ROOT / "ops", tmp_path / "ops")
    return Path(shutil.copytree(SQL, tmp_path / "sql"))


@pytest.fixture
def talked(bundle: Bundle, database: Database) -> Database:
    """A database with two sessions, five turns, one of them without an answer, and an interaction, all counted."""
    bundle.write("long", {"messages": [turn(n) for n in range(3)]})
    bundle.write("short", turn(robot_personality="waiter", robot_response="x" * 10, interaction=INTERACTION))
    bundle.write("short", turn(robot_personality="waiter", robot_response=""))
    bundle.refresh()
    return database


@pytest.fixture
def moto(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of Secrets Manager as moto simulates it."""
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", raising=False)
    with moto_server() as url:
        yield url


@pytest.fixture
def rotated(database: Database, moto: str) -> Iterator[Rotated]:
    """A login whose password a test changes, with a secret of its own."""
    with rotated_login(database, moto) as made:
        yield made
