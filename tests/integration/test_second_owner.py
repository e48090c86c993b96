"""Two databases of one cluster belong to two roles. The second one needs rights to roles that the first one made."""

import re
import secrets

import psycopg
import pytest

from ops.app_password import rotate
from ops.errors import MigrationError
from ops.migrate import migrate, plan
from ops.retire import retire
from tests.integration.migrations import FILES
from tests.support.bundle import deployed, turn
from tests.support.servers.databases import create_database
from tests.support.servers.postgres import Postgres

# The message of `make migrate`, of which an operator needs two parts: the role, and the statement.
ADVICE = re.compile(r"Run this as (\S+), in any database of the cluster: (grant .*?;)\nThen run `make migrate` again\.")
ATTRIBUTES = {
    "sql": "createdb createrole",
    "console": "createdb createrole bypassrls replication in role neon_superuser",
}


@pytest.fixture(params=["sql, then console", "console, then sql"])
def owners(request: pytest.FixtureRequest, empty_cluster: Postgres) -> tuple[str, str]:
    """The URLs of two owners' databases: a role made in SQL, or one as Neon's console makes."""
    urls = []
    with empty_cluster.admin() as admin:
        admin.execute("create role neon_superuser nologin createdb createrole bypassrls replication")
        for name, kind in zip(("first", "second"), request.param.split(", then "), strict=True):
            admin.execute(f"create role {name} login password '{name}' nosuperuser {ATTRIBUTES[kind]}".encode())
            database = f"test_{secrets.token_hex(6)}"
            create_database(admin, database)
            admin.execute(f"alter database {database} owner to {name}".encode())
            urls.append(empty_cluster.address.url(name, name, database))
    return urls[0], urls[1]


def _follow(cluster: Postgres, advice: str, first_url: str) -> None:
    """Run the statement of an error as the role that the error names."""
    found = ADVICE.search(advice)
    assert found, advice
    assert found[1] == "first"
    with psycopg.connect(first_url, autocommit=True) as connection:
        connection.execute(found[2].encode())


def test_the_statement_of_the_error_lets_the_second_owner_migrate_and_rotate_the_password(
    empty_cluster: Postgres, owners: tuple[str, str]
) -> None:
    first, second = owners
    assert migrate(first) == FILES
    if empty_cluster.version >= 16:
        with pytest.raises(MigrationError) as error:
            migrate(second)
        _follow(empty_cluster, str(error.value), first)
    assert migrate(second) == FILES
    # Neither of them corrects what the other one left.
    for url in (first, second, first):
        assert plan(url) == migrate(url) == []
    for owner, other, role in ((second, first, "robot_brain_app_a"), (first, second, "robot_brain_app_b")):
        made, _, url = rotate(owner)
        assert made == role
        with deployed({"DATABASE_URL": url}) as bundle:
            assert bundle.write("s", turn()).status == 201
            assert bundle.refresh()["counted"] == 1
        with empty_cluster.admin() as admin:
            admin.execute(f"alter role {role} set statement_timeout = '1h'".encode())
            admin.execute(f"alter role {role} set work_mem = '1MB'".encode())
        assert migrate(other) == []
        assert plan(owner) == []
        with empty_cluster.admin() as admin:
            row = admin.execute(
                "select setconfig::text from pg_db_role_setting s join pg_roles r on r.oid = s.setrole"
                " where r.rolname = %s",
                [role],
            ).fetchone()
        assert row is not None
        assert "statement_timeout=10s" in row[0]
        assert "work_mem" not in row[0]
    said: list[str] = []
    retire(second, "old", said.append, force=True, idle_seconds=0, call_seconds=0)
    assert said[-2] == "robot_brain_app_a cannot log in any more."
    assert rotate(second)[0] == "robot_brain_app_a"
