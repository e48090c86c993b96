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
from tests.integration.earlier_commits import before_the_first, before_this_schema, checked_out
from tests.integration.migrations import FILES, finish, migrating, recorded
from tests.integration.user_rows import fill, step
from tests.support.bundle import Bundle, deployed, turn
from tests.support.searching import places
from tests.support.servers.postgres import Postgres

PASSWORD = "app"  # of a server that ends with the test
WRITE = """
select body from robot_brain_api.write_message(
  p_tenant_id => 'local', p_session_id => %s, p_as_user => %s, p_schema_version => 5,
  p_messages => '[{"robot_personality": "p", "user_message": "old", "robot_response": "", "metadata": {}}]')
"""
SAVE = """
select body from robot_brain_api.save_user(
  p_tenant_id => 'local', p_user_id => %s, p_email_key => %s, p_schema_version => 5,
  p_user => jsonb_build_object('email', %s::text, 'profile', jsonb_build_object('first_name', 'A')))
"""
# An entry as no release has written it.
ENTRY: LiteralString = """
insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, old_data)
values ('local', 'users', 'ann', 'DELETE', '{"kept": true}')
"""


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ops/ and sql/ of the schema version before this one."""
    return checked_out(before_this_schema(), tmp_path_factory.mktemp("before"), "ops", "sql")


@pytest.fixture
def app_url(empty_cluster: Postgres, admin: psycopg.Connection, direct_url: str, before: Path) -> str:
    """The functions' URL of a database with the schema before this one."""
    with migrating(direct_url, before) as process:
        assert finish(process)
    admin.execute(f"alter role {APP} login password '{PASSWORD}'".encode())
    return empty_cluster.address.url(APP, PASSWORD, admin.info.dbname)


def test_an_upgraded_schema_equals_one_made_from_zero_and_keeps_users_sessions_and_erasures(
    empty_cluster: Postgres,
    admin: psycopg.Connection,
    direct_url: str,
    app_url: str,
    make_database: Callable[[], str],
) -> None:
    with psycopg.connect(app_url, autocommit=True) as app:
        for session_id, user_id in (("of ann", "ann"), ("of bob", "bob"), ("of no user", None)):
            app.execute(WRITE, [session_id, user_id])
        for user_id in ("ann", "bob"):
            app.execute(SAVE, [user_id, f"{user_id}@b", f"{user_id}@b"])
        fill(admin, "carl", sessions=3, turns=4000)
        assert step(app, "bob") == "erased"
        assert step(app, "carl") == "erasing"

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
        assert functions.user("GET", "ann").json["profile"] == {"first_name": "A"}
        assert functions.user("PATCH", "ann", {"email": "a@b"}).status == 200
        assert [message["user_message"] for message in functions.export("ann").json["turns"]] == ["old"]
        assert [functions.user("GET", user_id).status for user_id in ("bob", "carl")] == [404, 404]
        assert functions.user("PUT", "carl", {}).status == 409, "an erasure that has begun goes on"
        assert functions.user("DELETE", "carl").status == 204
        assert functions.user("DELETE", "ann").status == 204
        assert [session["id"] for session in functions.sessions().json["sessions"]] == ["of no user"]
        entries = functions.audit().json["entries"]
        assert [(entry["record_id"], entry["action"]) for entry in reversed(entries)] == [
            ("ann", "INSERT"),
            ("bob", "INSERT"),
            ("bob", "ERASE"),
            ("carl", "ERASE"),
            ("ann", "UPDATE"),
            ("ann", "EXPORT"),
            ("ann", "ERASE"),
        ]
        assert functions.refresh()["audit_chained"] == 10, "three of them are of the migrations"
        assert places(functions, "old") == [("of no user", 1)]


def test_callers_of_the_schema_before_go_on_after_an_upgrade_without_an_actor(
    admin: psycopg.Connection, direct_url: str, app_url: str
) -> None:
    migrate(direct_url)
    changes = (
        "replace_turn(p_tenant_id => 'local', p_session_id => 's', p_seq => 1, p_schema_version => 5, p_turn =>"
        """ '{"user_message": "new", "robot_response": "", "metadata": {}}')""",
        "patch_session(p_tenant_id => 'local', p_session_id => 's', p_user_metadata => null, p_user_id => 'ann',"
        " p_sets_user_id => true, p_schema_version => 5)",
        "remove_turns(p_tenant_id => 'local', p_session_id => 's', p_after => 0, p_schema_version => 5)",
        "create_user(p_tenant_id => 'local', p_user_id => 'new', p_user => '{}', p_schema_version => 5)",
        "export_user(p_tenant_id => 'local', p_user_id => 'ann', p_schema_version => 5)",
        "erase_session(p_tenant_id => 'local', p_session_id => 's', p_schema_version => 5)",
        "erase_user(p_tenant_id => 'local', p_user_id => 'new', p_schema_version => 5)",
    )
    with psycopg.connect(app_url, autocommit=True) as app:
        app.execute(WRITE, ["s", None])
        app.execute(SAVE, ["ann", "ann@b", "ann@b"])
        for change in changes:
            app.execute(f"select * from robot_brain_api.{change}".encode())
    found = admin.execute(
        "select table_name, record_id, action, user_id, request_id from robot_brain.audit_logs"
        " where tenant_id = 'local' order by id"
    ).fetchall()
    assert found == [
        (table, record, action, None, None)
        for table, record, action in (
            ("users", "ann", "INSERT"),
            ("conversations", "s", "UPDATE"),
            ("sessions", "s", "UPDATE"),
            ("conversations", "s", "DELETE"),
            ("users", "new", "INSERT"),
            ("users", "ann", "EXPORT"),
            ("sessions", "s", "ERASE"),
            ("users", "new", "ERASE"),
        )
    ]


@pytest.mark.parametrize("cluster", ["distribution"], indirect=True)
def test_an_upgrade_is_refused_if_the_old_audit_trail_has_rows_and_changes_nothing(
    admin: psycopg.Connection, direct_url: str, tmp_path: Path
) -> None:
    with migrating(
        direct_url, checked_out(before_the_first("sql/migrations/0006_audit.sql"), tmp_path, "ops", "sql")
    ) as process:
        assert finish(process)
    admin.execute(ENTRY)
    before = catalogue(admin)

    with pytest.raises(MigrationError, match=r"migrations/0006_audit: .*has rows"):
        migrate(direct_url)

    assert catalogue(admin) == before
    assert admin.execute("select old_data from robot_brain.audit_logs").fetchall() == [({"kept": True},)]
    admin.execute("delete from robot_brain.audit_logs")
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
        "the audit trail": lambda bundle: bundle.audit().status,
        "an erasure of a user": lambda bundle: bundle.user("DELETE", "ann").status,
        "the health of the database": lambda bundle: bundle.database_health().status,
    }
    with deployed({"DATABASE_URL": app_url}) as functions:
        assert {name: send(functions) for name, send in requests.items()} == dict.fromkeys(requests, 503)
        assert functions.health().status == 200
        assert functions.database_health().json["reasons"] == ["schema"]
