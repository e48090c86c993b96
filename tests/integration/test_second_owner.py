"""Two databases of one cluster belong to two roles. The second one needs rights to roles that the first one made."""

import re
import secrets
from collections.abc import Callable

import psycopg
import pytest

from ops.app_password import rotate
from ops.errors import MigrationError
from ops.migrate import migrate, plan
from ops.retire import retire
from ops.roles import ROLES
from tests.integration.migrations import FILES
from tests.support.bundle import deployed, turn
from tests.support.servers.databases import create_database
from tests.support.servers.postgres import Postgres

# The message of `make migrate`, of which an operator needs two parts: the role, and the statement.
ADVICE = re.compile(r"Run this as (\S+), in any database of the cluster: (grant .*?;)\n")
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


def _follow(cluster: Postgres, advice: str, database: str) -> list[str]:
    """Run each statement of an error as the role that the error names. Return the names of these roles."""
    steps = ADVICE.findall(advice)
    assert "\nThen run this command again." in advice
    for role, statement in steps:
        with psycopg.connect(cluster.address.url(role, role, database), autocommit=True) as connection:
            connection.execute(statement.encode())
    return [role for role, _ in steps]


def test_the_statement_of_the_error_lets_the_second_owner_migrate_and_rotate_the_password(
    empty_cluster: Postgres, owners: tuple[str, str]
) -> None:
    first, second = owners
    assert migrate(first) == FILES
    if empty_cluster.version >= 16:
        with pytest.raises(MigrationError) as error:
            migrate(second)
        assert _follow(empty_cluster, str(error.value), "postgres") == ["first"]
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


@pytest.mark.parametrize("cluster", ["embedded16", "embedded18"], indirect=True)
def test_the_error_has_a_statement_for_each_role_if_no_role_may_grant_all_of_them(
    empty_cluster: Postgres, make_database: Callable[[], str]
) -> None:
    database = make_database()
    with empty_cluster.admin() as admin:
        for name in ("first", "second", "third"):
            admin.execute(f"create role {name} login createdb createrole".encode())
        admin.execute(f"alter database {database} owner to third".encode())
    # An earlier release made three of the roles, and a later one the others, for another owner.
    for name, roles in (("first", ROLES[:3]), ("second", ROLES[3:])):
        with psycopg.connect(empty_cluster.address.url(name, name, "postgres"), autocommit=True) as connection:
            for role in roles:
                connection.execute(f"create role {role} nologin".encode())
    url = empty_cluster.address.url("third", "third", database)
    with pytest.raises(MigrationError) as error:
        migrate(url)
    assert _follow(empty_cluster, str(error.value), "postgres") == ["first", "second"]
    assert migrate(url) == FILES
