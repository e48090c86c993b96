"""`make migrate` corrects the roles that own the objects, and its plan names what is wrong with our roles."""

from typing import LiteralString

import psycopg
import pytest

from ops.errors import MigrationError
from ops.migrate import main, migrate, plan
from ops.roles import AUDIT, OWNER, STATS
from tests.integration.migrations import migrating
from tests.support.servers.postgres import Postgres
from tests.support.waiting import outputs_of

# The migrating role may take these away, on every version.
MAY: tuple[LiteralString, ...] = ("login", "createrole", "createdb", "noinherit")
# Only a superuser may take these away on every version.
MAY_NOT: tuple[LiteralString, ...] = ("superuser", "bypassrls", "replication")

pytestmark = pytest.mark.parametrize("cluster", ["distribution", "embedded18"], indirect=True)


def roles_of(admin: psycopg.Connection) -> list[tuple[object, ...]]:
    return admin.execute(
        "select rolname, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, rolcanlogin,"
        " rolpassword from pg_authid where rolname like 'robot_brain_%' order by 1"
    ).fetchall()


@pytest.mark.parametrize("role", [OWNER, STATS, AUDIT])
def test_an_attribute_of_an_owner_of_our_objects_is_in_the_plan_corrected_and_counted(
    admin: psycopg.Connection, direct_url: str, role: str
) -> None:
    migrate(direct_url)
    before = roles_of(admin)
    for attribute in MAY:
        admin.execute(f"alter role {role} {attribute}".encode())
    planned = plan(direct_url)
    assert len(planned) == len(MAY)
    assert all(f'alter role "{role}" ' in statement for statement in planned)
    with migrating(direct_url) as process:
        out, _ = outputs_of(process)
    assert out == f"Applied 0 files. Rights corrected: {len(MAY)}.\n"
    assert roles_of(admin) == before
    assert plan(direct_url) == []


def test_what_only_a_superuser_may_take_from_an_owner_is_listed_with_its_statements(
    admin: psycopg.Connection, empty_cluster: Postgres, direct_url: str
) -> None:
    migrate(direct_url)
    before = roles_of(admin)
    for role, attribute in zip((OWNER, STATS, AUDIT), MAY_NOT, strict=True):
        admin.execute(f"alter role {role} {attribute}".encode())
    admin.execute(f"alter role {OWNER} createdb".encode())
    with pytest.raises(MigrationError, match="Run these statements as a superuser") as raised:
        migrate(direct_url)
    statements = [line.partition(";  -- ")[0] for line in str(raised.value).splitlines()[1:]]
    assert statements == plan(direct_url)
    assert f'alter role "{STATS}" nobypassrls' in statements
    # On version 15 a role with CREATEROLE may not even change another attribute of a superuser.
    for statement in statements:
        admin.execute(statement.encode())
    assert migrate(direct_url) == []
    assert roles_of(admin) == before


def test_a_superuser_also_takes_a_password_from_an_owner(
    admin: psycopg.Connection, empty_cluster: Postgres, direct_url: str
) -> None:
    migrate(direct_url)
    before = roles_of(admin)
    admin.execute(f"alter role {OWNER} login password 'a-password-of-a-test'".encode())
    migrate(direct_url)
    assert roles_of(admin) == before
    admin.execute(f"alter role {STATS} password 'a-password-of-a-test'".encode())
    migrate(empty_cluster.admin_url(admin.info.dbname))
    assert roles_of(admin) == before


def test_a_foreign_member_of_an_owner_is_named_and_keeps_its_membership(
    admin: psycopg.Connection, direct_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    migrate(direct_url)
    with caplog.at_level("WARNING", "robot_brain.migrate"):
        migrate(direct_url)
    assert caplog.messages == []
    admin.execute("create role stranger login")
    admin.execute(f"grant {OWNER} to stranger".encode())
    for work in (plan, migrate):
        caplog.clear()
        with caplog.at_level("WARNING", "robot_brain.migrate"):
            assert work(direct_url) == []
        [message] = caplog.messages
        assert f"revoke {OWNER} from stranger" in message
    row = admin.execute("select pg_has_role('stranger', %s, 'member')", [OWNER]).fetchone()
    assert row == (True,)


@pytest.mark.parametrize(
    "breaking",
    [
        "alter role robot_brain_app_a createdb",
        "alter role robot_brain_app_a set search_path = 'a/b'",
        "grant robot_brain_stats to robot_brain_app_b",
    ],
)
def test_what_is_wrong_with_a_login_is_in_the_plan_and_in_the_last_line_of_the_migration(
    direct_url: str,
    breaking: LiteralString,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    migrate(direct_url)
    # Only the role that granted a membership may revoke it.
    with psycopg.connect(direct_url, autocommit=True) as owner:
        owner.execute(breaking)
    monkeypatch.setenv("DIRECT_DATABASE_URL", direct_url)
    assert main(["--plan"]) == 0
    planned = capsys.readouterr().out.splitlines()
    assert planned
    assert all(line.startswith("would run ") for line in planned)
    assert main([]) == 0
    assert capsys.readouterr().out == f"Applied 0 files. Rights corrected: {len(planned)}.\n"
    assert plan(direct_url) == []


def test_a_login_that_is_a_superuser_is_in_the_plan(admin: psycopg.Connection, direct_url: str) -> None:
    migrate(direct_url)
    admin.execute("alter role robot_brain_app_a superuser bypassrls")
    admin.execute("alter role robot_brain_app_b replication")
    wanted = [
        'alter role "robot_brain_app_a" nosuperuser',
        'alter role "robot_brain_app_a" nobypassrls',
        'alter role "robot_brain_app_b" noreplication',
    ]
    assert plan(direct_url) == wanted
    with pytest.raises(MigrationError) as raised:
        migrate(direct_url)
    # A superuser runs all of them at once.
    assert [statement for statement in wanted if statement not in str(raised.value)] == []
