"""A restore brings back a backup: rows, rights and figures, in each database and cluster, by each kind of role."""

import contextlib
import difflib
from collections.abc import Iterator

import pytest

from ops.errors import MigrationError
from ops.migrate import migrate
from ops.rights import Corrections
from tests.integration.backups import (
    KINDS,
    OWNERS,
    TURN,
    Source,
    app_of,
    assert_broken_nowhere,
    changes_of,
    figures,
    filled,
    kinds_of_roles,
    new_database,
    objects_of,
    restored,
    rows_of,
    share_roles,
    url_of,
)
from tests.integration.migrations import empty
from tests.support.bundle import deployed, turn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_postgres, skip_without
from tests.support.servers.databases import Template
from tests.support.servers.postgres import Postgres, start_embedded, start_tls

# The audit trail has an entry of the restore at its end.
TRAIL = "robot_brain.audit_logs"
DROP = "drop schema robot_brain, robot_brain_api, robot_brain_migrations cascade"


@pytest.fixture(scope="module", params=["distribution", "embedded18"])
def template(request: pytest.FixtureRequest) -> Iterator[Template]:
    """The server that is backed up, with its kinds of roles."""
    if request.param == "distribution":
        skip_without(debian_postgres)
    made: Template = request.getfixturevalue("tls_template" if request.param == "distribution" else "embedded_template")
    with kinds_of_roles(made.postgres):
        share_roles(made.postgres)
        yield made


@pytest.fixture(scope="module")
def source(template: Template, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Source]:
    """A database with rows, and its backups."""
    with filled(template, template.postgres.kind, tmp_path_factory.mktemp("backups")) as made:
        yield made


@pytest.fixture(scope="module")
def clusters(template: Template, authority: Authority) -> Iterator[dict[str, Postgres]]:
    """Other clusters without our roles: one of the same version, and one of PostgreSQL 18."""
    with contextlib.ExitStack() as stack:
        found = {"other cluster": start_tls(authority) if template.postgres.kind == "tls" else start_embedded()}
        stack.callback(found["other cluster"].stop)
        if template.postgres.kind == "tls":
            found["newer cluster"] = start_embedded()
            stack.callback(found["newer cluster"].stop)
        yield found


def assert_whole(template: Template, source: Source, postgres: Postgres, kind: str, name: str) -> None:
    """Assert that the database equals the source, and that the functions go on."""
    rows = rows_of(postgres, name)
    assert list(rows) == list(source.rows)
    added = rows[TRAIL][len(source.rows[TRAIL]) :]
    assert [table for table in rows if rows[table] != source.rows[table]] == [TRAIL]
    assert rows[TRAIL][: -len(added)] == source.rows[TRAIL]
    assert len(added) == 1
    assert "restored" in added[0]

    corrections = Corrections()
    assert migrate(url_of(postgres, kind, name), corrections=corrections) == []
    assert corrections.done == []
    # Another version of PostgreSQL spells some definitions in another way.
    if postgres.version == source.postgres.version:
        found = objects_of(postgres, name)
        assert "\n".join(difflib.unified_diff(source.objects, found, lineterm="", n=0)) == ""

    database = app_of(template, postgres, name)
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        assert figures(bundle) == source.figures
    assert changes_of(database) == {
        "write": (201, 4),
        "replay": (201, "true"),
        "refresh": True,
        "read": (200, [1, 2, 3, 4]),
        "text": TURN["user_message"],
        "older": [1, 1],
        "erase": 204,
        "erased": 404,
        "stats": 200,
    }
    assert_broken_nowhere(url_of(postgres, kind, name))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["replaced", "dropped"])
def test_a_restore_brings_a_database_back_as_it_was(template: Template, source: Source, kind: str, how: str) -> None:
    postgres = source.postgres
    with new_database(postgres, OWNERS[kind], source.database.name) as name:
        database = app_of(template, postgres, name)
        if how == "dropped":
            with postgres.admin(name) as admin:
                admin.execute(DROP)
        else:
            with postgres.admin() as admin:
                admin.execute(f"grant connect on database {name} to robot_brain_app".encode())
            with deployed({"DATABASE_URL": database.app_url}) as bundle:
                assert bundle.write("later", turn()).status == 201
                assert bundle.erase("long").status == 204

        restored(postgres, kind, name, source.archive(kind), replace=how == "replaced")

        assert_whole(template, source, postgres, kind, name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_fills_another_database(template: Template, source: Source, kind: str) -> None:
    with new_database(source.postgres, OWNERS[kind]) as name:
        restored(source.postgres, kind, name, source.archive(kind))
        assert_whole(template, source, source.postgres, kind, name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("template", "where"),
    [("distribution", "other cluster"), ("distribution", "newer cluster"), ("embedded18", "other cluster")],
    indirect=["template"],
)
def test_a_restore_fills_another_cluster_that_lacks_our_roles(
    template: Template, source: Source, clusters: dict[str, Postgres], kind: str, where: str
) -> None:
    cluster = clusters[where]
    empty(cluster)
    with kinds_of_roles(cluster), new_database(cluster, OWNERS[kind]) as name:
        restored(cluster, kind, name, source.archive(kind))
        assert_whole(template, source, cluster, kind, name)


@pytest.mark.parametrize("template", ["embedded18"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_an_older_postgresql_is_refused(source: Source, tls_server: Postgres, kind: str) -> None:
    if tls_server.version >= source.postgres.version:
        pytest.skip("no older PostgreSQL is here")
    with contextlib.ExitStack() as stack:
        stack.enter_context(kinds_of_roles(tls_server))
        name = stack.enter_context(new_database(tls_server, OWNERS[kind]))
        with pytest.raises(MigrationError, match=rf"was made of PostgreSQL 18, and {name} on \S+ has PostgreSQL \d+\."):
            restored(tls_server, kind, name, source.archive(kind))
        assert rows_of(tls_server, name) == {}
