"""Servers and databases for every kind of test.

A server starts when the first test needs it and stops when the test run ends. `database` runs a test three times, each
time with a migrated, empty database on another kind of server. `embedded_database` uses the embedded server only.
`-k embedded` (or tls, pooled) picks one kind.
"""

import os
from collections.abc import Iterator

import pytest

from tests.support.bundle import Bundle, deployed
from tests.support.servers.authority import Authority, make_authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.databases import Database, Template, make_template
from tests.support.servers.pgbouncer import PgBouncer, start_pgbouncer
from tests.support.servers.postgres import Postgres, start_embedded, start_tls
from tests.support.servers.process import remove_folder, server_folder

KINDS = ("embedded", "tls", "pooled")


def pytest_configure() -> None:
    """Remove libpq's variables, so that a developer's PGHOST or PGOPTIONS does not change a test's connections."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """Return a CA for this test run. Every user of the machine can read its certificate."""
    folder = server_folder()
    folder.chmod(0o755)
    yield make_authority(folder)
    remove_folder(folder)


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[Postgres]:
    """Start PostgreSQL 18 from PyPI on a unix socket."""
    server = start_embedded()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tls_server(authority: Authority) -> Iterator[Postgres]:
    """Start the distribution's PostgreSQL (15 to 18) with TLS and SCRAM only."""
    skip_without(debian_postgres)
    server = start_tls(authority)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pooler(tls_server: Postgres, authority: Authority) -> Iterator[PgBouncer]:
    """Start PgBouncer in transaction mode in front of `tls_server`."""
    skip_without(debian_pgbouncer)
    server = start_pgbouncer(tls_server, authority)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def embedded_template(embedded_server: Postgres) -> Template:
    """Return the migrated template database of `embedded_server`."""
    return make_template(embedded_server)


@pytest.fixture(scope="session")
def tls_template(tls_server: Postgres) -> Template:
    """Return the migrated template database of `tls_server`."""
    return make_template(tls_server)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """Return a migrated, empty database on each kind of server.

    `parametrize("database", [...], indirect=True)` picks kinds.
    """
    kind: str = request.param
    if kind == "embedded":
        template, through = request.getfixturevalue("embedded_template"), None
    elif kind == "tls":
        template, through = request.getfixturevalue("tls_template"), None
    else:
        pooler: PgBouncer = request.getfixturevalue("pooler")
        template, through = request.getfixturevalue("tls_template"), pooler.address
    with template.clone(kind, through) as cloned:
        yield cloned


@pytest.fixture
def embedded_database(embedded_template: Template) -> Iterator[Database]:
    """Return a migrated, empty database on the embedded server, for tests that depend on no kind of server."""
    with embedded_template.clone("embedded") as cloned:
        yield cloned


@pytest.fixture
def bundle(database: Database) -> Iterator[Bundle]:
    """Return the four functions on `database`, as tenant `local`, in an execution environment of their own."""
    with deployed({"DATABASE_URL": database.app_url}) as functions:
        yield functions
