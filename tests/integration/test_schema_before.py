"""An upgrade from the schema version before this one, and this layer on that schema."""

import difflib
from collections.abc import Callable
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from ops.errors import MigrationError
from ops.logins import APP
from ops.migrate import migrate
from tests.integration.catalogue import catalogue
from tests.integration.earlier_commits import before_this_schema, checked_out
from tests.integration.migrations import FILES, recorded
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.postgres import Postgres

PASSWORD = "app"  # of a server that ends with the test
WRITE = """
select body from robot_brain_api.write_message(
  p_tenant_id => 'local', p_session_id => %s, p_as_user => %s, p_schema_version => 4,
  p_messages => '[{"robot_personality": "p", "user_message": "old", "robot_response": "", "metadata": {}}]')
"""
USER: LiteralString = "insert into robot_brain.users (tenant_id) values ('local') returning tenant_id, id"
PROFILE: LiteralString = (
    f"with u as ({USER}) insert into robot_brain.user_profiles (tenant_id, user_id) select * from u"
)


@pytest.fixture(scope="module")
def sql_before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder sql/ of the schema version before this one."""
    return checked_out(before_this_schema(), tmp_path_factory.mktemp("before"), "sql") / "sql"


@pytest.fixture
def app_url(empty_cluster: Postgres, admin: psycopg.Connection, direct_url: str, sql_before: Path) -> str:
    """The functions' URL of a database with the schema before this one."""
    migrate(direct_url, sql_before)
    admin.execute(f"alter role {APP} login password '{PASSWORD}'".encode())
    return empty_cluster.address.url(APP, PASSWORD, admin.info.dbname)


def test_an_upgraded_schema_equals_one_made_from_zero_and_keeps_sessions(
    empty_cluster: Postgres,
    admin: psycopg.Connection,
    direct_url: str,
    app_url: str,
    make_database: Callable[[], str],
) -> None:
    with psycopg.connect(app_url, autocommit=True) as app:
        for session_id, user_id in (("of ann", "ann"), ("of bob", "bob"), ("of no user", None)):
            app.execute(WRITE, [session_id, user_id])

    assert migrate(direct_url)

    other = make_database()
    migrate(empty_cluster.direct_url(other))
    with empty_cluster.admin(other) as looking:
        # The role of the functions can log in only after the upgrade of this test.
        from_zero = catalogue(looking)
    assert recorded(admin) == FILES
    assert list(difflib.unified_diff(from_zero, catalogue(admin), lineterm="", n=0)) == []
    assert migrate(direct_url) == []
    with deployed({"DATABASE_URL": app_url}) as functions:
        assert functions.user("GET", "ann").status == 404
        assert functions.user("PUT", "ann", {"email": "a@b"}).status == 201
        exported = functions.export("ann").json
        assert [message["user_message"] for message in exported["turns"]] == ["old"]
        assert functions.count_user("ann").json == {"sessions": 1, "messages": 1, "interactions": 0}
        assert [functions.user("DELETE", user_id).status for user_id in ("ann", "bob")] == [204, 204]
        assert [session["id"] for session in functions.sessions().json["sessions"]] == ["of no user"]


@pytest.mark.parametrize("cluster", ["distribution"], indirect=True)
@pytest.mark.parametrize("statement", [USER, PROFILE], ids=["a user", "a profile"])
def test_an_upgrade_is_refused_if_the_old_tables_of_users_have_rows_and_changes_nothing(
    admin: psycopg.Connection, direct_url: str, app_url: str, statement: LiteralString
) -> None:
    assert app_url
    admin.execute(statement)
    before = catalogue(admin)

    with pytest.raises(MigrationError, match=r"migrations/0005_users: .*has rows"):
        migrate(direct_url)

    assert catalogue(admin) == before
    assert admin.execute("select count(*) from robot_brain.users").fetchone() == (1,)
    admin.execute("delete from robot_brain.users")
    assert migrate(direct_url)
    assert recorded(admin) == FILES


@pytest.mark.parametrize("cluster", ["distribution"], indirect=True)
def test_the_schema_before_refuses_this_layer_with_503(app_url: str) -> None:
    requests: dict[str, Callable[[Bundle], int]] = {
        "a write": lambda bundle: bundle.write("s", turn()).status,
        "a read": lambda bundle: bundle.read("s").status,
        "a patch": lambda bundle: bundle.patch("s", {}).status,
        "an erasure": lambda bundle: bundle.erase("s").status,
        "a creation": lambda bundle: bundle.create_user({}).status,
        "a replacement": lambda bundle: bundle.user("PUT", "ann", {}).status,
        "a user": lambda bundle: bundle.user("GET", "ann").status,
        "the users": lambda bundle: bundle.users().status,
        "an export": lambda bundle: bundle.export("ann").status,
        "a dry run": lambda bundle: bundle.count_user("ann").status,
        "an erasure of a user": lambda bundle: bundle.user("DELETE", "ann").status,
        "the health of the database": lambda bundle: bundle.database_health().status,
    }
    with deployed({"DATABASE_URL": app_url}) as functions:
        assert {name: send(functions) for name, send in requests.items()} == dict.fromkeys(requests, 503)
        assert functions.health().status == 200
        assert functions.database_health().json["reasons"] == ["schema"]
