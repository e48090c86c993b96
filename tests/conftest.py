"""Servers and databases for every kind of test.

A server starts when the first test needs it, and stops at the end of the run. `database` runs a test twice, with a
migrated, empty database on each of two kinds of server: `embedded`, and `pooled`, which is PgBouncer before the
distribution's server. The kind `tls` is that server alone, for tests that need another role or connection than the
pooler gives. `embedded_database` is one on the embedded server. `-k embedded` (or tls, pooled) selects a kind.
"""

import os
from collections.abc import Iterator

import pytest

from tests.support.bundle import Bundle, deployed
from tests.support.neon.api import NeonApi
from tests.support.servers.authority import Authority, make_authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.databases import Database, Template, make_template
from tests.support.servers.pgbouncer import PgBouncer, start_pgbouncer
from tests.support.servers.postgres import WITHOUT_JIT, Postgres, start_embedded, start_tls
from tests.support.servers.process import remove_folder, server_folder

KINDS = ("embedded", "pooled")


def pytest_configure() -> None:
    """Remove the variables of libpq, so that a developer's PGHOST or PGOPTIONS cannot change a connection."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


# The files that take longest, longest first. If one of them began last, all other workers would wait for it.
LONGEST = (
    "test_every_fault.py",
    "test_soak.py",
    "test_migrations.py",
    "test_local_commands.py",
    "test_statistics_exact.py",
    "test_sam_build.py",
    "test_logins.py",
    "test_moving_interactions.py",
    "test_connection_silence.py",
    "test_neon_stand_in.py",
    "test_rotation.py",
    "test_unknown_outcomes.py",
    "test_leaked_settings.py",
    "test_read_session.py",
    "test_settings_of_the_server.py",
    "test_takeover.py",
    "test_real_conversations.py",
    "test_sam_package.py",
    "test_ambiguous_commit.py",
    "test_connection_addresses.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files. The others keep their order."""
    rank = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(LONGEST)))


@pytest.fixture(scope="session")
def authority() -> Iterator[Authority]:
    """A certificate authority for this run. Every user of the machine can read its certificate."""
    folder = server_folder()
    folder.chmod(0o755)
    yield make_authority(folder)
    remove_folder(folder)


@pytest.fixture(scope="session")
def embedded_server() -> Iterator[Postgres]:
    """PostgreSQL 18 from PyPI, on a unix socket."""
    server = start_embedded()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tls_server(authority: Authority) -> Iterator[Postgres]:
    """The distribution's PostgreSQL (15 to 18) with TLS and SCRAM only."""
    skip_without(debian_postgres)
    server = start_tls(authority, WITHOUT_JIT)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def pooler(tls_server: Postgres, authority: Authority) -> Iterator[PgBouncer]:
    """PgBouncer in transaction mode in front of `tls_server`."""
    skip_without(debian_pgbouncer)
    server = start_pgbouncer(tls_server, authority)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def embedded_template(embedded_server: Postgres) -> Template:
    """The migrated template database of `embedded_server`."""
    return make_template(embedded_server)


@pytest.fixture(scope="session")
def tls_template(tls_server: Postgres) -> Template:
    """The migrated template database of `tls_server`."""
    return make_template(tls_server)


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database on each kind of server. `parametrize("database", …, indirect=True)` selects kinds."""
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
    """A migrated, empty database on the embedded server, for tests that need no other kind of server."""
    with embedded_template.clone("embedded") as cloned:
        yield cloned


@pytest.fixture
def api() -> Iterator[NeonApi]:
    """Neon's API. It reports the endpoint as idle."""
    with NeonApi(lambda: "idle") as server:
        yield server


@pytest.fixture
def bundle(database: Database) -> Iterator[Bundle]:
    """The functions on `database`, as tenant `local`, in an execution environment of their own."""
    with deployed({"DATABASE_URL": database.app_url}) as functions:
        yield functions
