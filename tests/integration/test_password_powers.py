"""What a stolen password of the functions can do, each line of the list in SECURITY.md, and what helps.

What it cannot do is in test_privileges.py, what its locks stop in test_held_by_a_login.py, and what it leaves behind in
a pooler in test_leaked_settings.py.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg import sql

from local.settings import ROOT
from ops.migrate import migrate
from tests.integration.logins import LOGINS, login
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.binaries import debian_postgres
from tests.support.servers.databases import Database, Template
from tests.support.servers.postgres import MIGRATOR
from tests.support.waiting import wait_until


# 16 has the memberships of 18, and a login there can do the same.
@pytest.fixture(params=["tls_template", "embedded_template"], ids=["distribution", "18"])
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A migrated, empty database on two versions: the distribution's (15 on Debian 12) and 18."""
    template: Template = request.getfixturevalue(request.param)
    with template.clone("direct") as cloned:
        yield cloned


@pytest.fixture(params=LOGINS)
def role(request: pytest.FixtureRequest) -> str:
    """A role whose password was stolen."""
    name: str = request.param
    return name


@pytest.fixture
def thief(database: Database, role: str) -> Iterator[psycopg.Connection]:
    """A connection of the person who stole the password of `role`."""
    with login(database, role) as connection:
        yield connection
        connection.close()


def value(connection: psycopg.Connection, question: LiteralString, *parameters: object) -> Any:
    row = connection.execute(question, parameters).fetchone()
    assert row is not None
    return row[0]


def test_it_can_change_its_own_settings_until_make_migrate_resets_them(
    thief: psycopg.Connection, database: Database, role: str
) -> None:
    thief.execute("alter role current_user set statement_timeout = 0")
    thief.execute("alter role current_user set default_transaction_read_only = on")
    with login_again(database, role) as next_one:
        assert value(next_one, "select current_setting('statement_timeout')") == "0"
    migrate(database.direct_url)
    with login_again(database, role) as next_one:
        assert value(next_one, "select current_setting('statement_timeout')") == "10s"
        assert value(next_one, "select current_setting('default_transaction_read_only')") == "off"


def test_it_can_change_its_own_password_which_an_operator_can_set_again(
    thief: psycopg.Connection, database: Database, role: str
) -> None:
    read = "select rolpassword from pg_authid where rolname = %s"
    with database.admin() as admin, psycopg.connect(database.direct_url, autocommit=True) as operator:
        before = value(admin, read, role)
        thief.execute("alter role current_user password 'taken'")
        assert value(admin, read, role) != before
        operator.execute(
            sql.SQL("alter role {} password {}").format(sql.Identifier(role), sql.Literal(before or "other"))
        )
        if before is None:
            admin.execute(sql.SQL("alter role {} password null").format(sql.Identifier(role)))
        assert value(admin, read, role) == before


def test_it_can_end_connections_of_its_own_role_and_of_the_role_that_it_is_a_member_of(
    thief: psycopg.Connection, database: Database, role: str
) -> None:
    allowed = {role, "robot_brain_app"}
    for other in LOGINS:
        with login_again(database, other) as victim:
            pid = victim.info.backend_pid
            if other in allowed:
                assert value(thief, "select pg_terminate_backend(%s, 5000)", pid) is True
            else:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    thief.execute("select pg_terminate_backend(%s)", [pid])
    with psycopg.connect(database.direct_url) as operator, pytest.raises(psycopg.errors.InsufficientPrivilege):
        thief.execute("select pg_cancel_backend(%s)", [operator.info.backend_pid])


def test_it_can_take_all_locks_there_is_room_for_until_its_connection_ends(
    thief: psycopg.Connection, bundle_of: Bundle, database: Database
) -> None:
    """The room is for all locks of the server. So no role can connect meanwhile, to end the connection."""
    assert bundle_of.write("s", turn()).status == 201
    try:
        with pytest.raises(psycopg.errors.OutOfMemory):
            thief.execute("select count(pg_advisory_lock(n)) from generate_series(1, 1000000) n")
        with pytest.raises(psycopg.OperationalError, match="out of shared memory"):
            psycopg.connect(database.direct_url)
        assert bundle_of.write("s", turn()).status == 503
    finally:
        thief.close()
        wait_until(lambda: connects(database))
    assert bundle_of.write("s", turn()).status == 201


def connects(database: Database) -> bool:
    """Return whether the operator can connect and take a few locks."""
    try:
        with psycopg.connect(database.direct_url) as operator:
            operator.execute("select count(*) from pg_stat_activity")
    except psycopg.OperationalError:
        return False
    return True


def test_it_can_lift_the_limits_of_its_own_session(thief: psycopg.Connection) -> None:
    for setting in ("statement_timeout = 0", "lock_timeout = 0", "idle_in_transaction_session_timeout = 0"):
        thief.execute(f"set {setting}".encode())
    thief.execute("set work_mem = '1GB'")
    thief.execute("set temp_buffers = '1GB'")
    assert value(thief, "select count(*) from generate_series(1, 100000) n order by 1") == 100_000
    thief.execute("select pg_sleep(0.01)")


def test_it_can_fill_the_disk_by_large_objects_and_by_the_log_of_changes(thief: psycopg.Connection) -> None:
    made = value(thief, "select lo_create(0)")
    thief.execute("select lo_put(%s, 0, %s)", [made, b"x" * 10_000])
    thief.execute("select pg_logical_emit_message(false, 'mine', repeat('x', 10000))")


def test_it_can_listen_and_notify(thief: psycopg.Connection) -> None:
    thief.execute("listen mine")
    thief.execute("notify mine, 'text'")
    assert [notice.payload for notice in thief.notifies(timeout=5, stop_after=1)] == ["text"]


def test_it_can_write_values_of_its_own_calls_to_the_servers_log(thief: psycopg.Connection) -> None:
    # In a session that a pooler hands on, the values of the next request that fails.
    thief.execute("set log_parameter_max_length_on_error = -1")
    for setting in ("log_statement = 'all'", "log_min_duration_statement = 0"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            thief.execute(f"set {setting}".encode())


def test_it_can_read_the_catalogue_with_names_counts_sizes_and_sources(
    thief: psycopg.Connection, bundle_of: Bundle, database: Database
) -> None:
    bundle_of.write("s", {"messages": [turn(n) for n in range(5)]})
    with database.admin() as admin:
        admin.execute("analyze robot_brain.sessions")
    assert value(thief, "select reltuples from pg_class where oid = 'pg_class'::regclass") is not None
    found = thief.execute(
        """
        select c.reltuples, pg_total_relation_size(c.oid) > 0,
          (select count(*) from pg_attribute a where a.attrelid = c.oid and a.attname = 'user_metadata')
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'robot_brain' and c.relname = 'sessions'
        """
    ).fetchone()
    assert found == (1, True, 1)
    assert value(thief, "select count(*) from pg_stat_user_tables where schemaname = 'robot_brain'") > 10
    assert "robot_brain.conversations" in value(
        thief, "select prosrc from pg_proc where proname = 'read_session'"
    ) or value(thief, "select count(*) from pg_proc where prosrc like '%%robot_brain.conversations%%'")


def test_it_can_see_that_others_are_connected_and_not_what_they_run(
    thief: psycopg.Connection, database: Database
) -> None:
    with psycopg.connect(database.direct_url) as operator:
        operator.execute("select 'secret'")
        row = thief.execute(
            "select usename, query, client_addr, state from pg_stat_activity where pid = %s",
            [operator.info.backend_pid],
        ).fetchone()
    assert row == (MIGRATOR, "<insufficient privilege>", None, None)


def test_it_can_connect_to_other_databases_that_let_everyone_in(thief: psycopg.Connection) -> None:
    for name in ("postgres", "template1"):
        allowed = value(thief, "select has_database_privilege(current_user, %s, 'connect, temporary')", name)
        assert allowed is True
        assert value(thief, "select has_database_privilege(current_user, %s, 'create')", name) is False


def test_it_can_call_the_functions_for_every_tenant(thief: psycopg.Connection, bundle_of: Bundle) -> None:
    bundle_of.write("s", turn())
    write = "select robot_brain_api.write_message(p_tenant_id => 'other', p_session_id => 's', p_messages => %s)"
    thief.execute(write, [json.dumps([{**turn(), "metadata": {}}])])
    for tenant in ("local", "other"):
        page = value(
            thief,
            "select body::json from robot_brain_api.read_session(p_tenant_id => %s, p_session_id => 's', p_limit => 5)",
            tenant,
        )
        assert len(page["messages"]) == 1


def test_it_can_forge_who_acted_and_cannot_leave_the_audit_trail_without_an_entry(
    thief: psycopg.Connection, bundle_of: Bundle
) -> None:
    assert bundle_of.user("PUT", "kim", {"email": "kim@example.com"}).status == 201
    export = "select robot_brain_api.export_user(p_tenant_id => 'local', p_user_id => 'kim', p_actor => 'innocent')"
    thief.execute(export)
    entries = bundle_of.audit(record="kim").json["entries"]
    assert {(entry["action"], entry["user_id"]) for entry in entries} >= {("EXPORT", "innocent")}
    for table in ("audit_logs", "audit_heads"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            thief.execute(sql.SQL("delete from {}").format(sql.Identifier("robot_brain", table)))


def test_it_can_make_large_objects_that_an_operator_finds_and_removes(
    thief: psycopg.Connection, database: Database, role: str
) -> None:
    made = [value(thief, "select lo_create(0)") for _ in range(2)]
    with psycopg.connect(database.direct_url, autocommit=True) as operator:
        assert operator.execute(removal().encode()).rowcount == len(made)
        assert operator.execute(removal().encode()).rowcount == 0


def test_a_large_object_that_the_operator_may_not_read_breaks_a_dump_until_it_is_removed(
    tls_template: Template, role: str
) -> None:
    with tls_template.clone("tls") as database, database.admin() as admin, login(database, role) as thief:
        # The role of Neon's console has this right, and pg_dump needs it.
        admin.execute(sql.SQL("alter role {} bypassrls").format(sql.Identifier(MIGRATOR)))
        try:
            made = value(thief, "select lo_create(0)")
            assert dumped(database) == 0, "the operator is a member of the login, and reads what it owns"
            thief.execute(sql.SQL("revoke all on large object {} from current_user").format(sql.Literal(made)))
            assert dumped(database) == 1
            assert dumped(database, "--no-blobs") == 0
            with psycopg.connect(database.direct_url, autocommit=True) as operator:
                operator.execute(removal().encode())
            assert dumped(database) == 0
        finally:
            admin.execute(sql.SQL("alter role {} nobypassrls").format(sql.Identifier(MIGRATOR)))


@pytest.fixture
def bundle_of(database: Database) -> Iterator[Bundle]:
    """The functions on `database`."""
    with deployed({"DATABASE_URL": database.app_url}) as functions:
        yield functions


@contextmanager
def login_again(database: Database, role: str) -> Iterator[psycopg.Connection]:
    """Open one more connection of `role`, which the test may end."""
    with database.admin() as admin:
        password = "again" if database.postgres.superuser_password else None
        kept = value(admin, "select rolpassword from pg_authid where rolname = %s", role)
        could = value(admin, "select rolcanlogin from pg_roles where rolname = %s", role)
        name = sql.Identifier(role)
        admin.execute(sql.SQL("alter role {} login password {}").format(name, password))
        url = database.postgres.address.url(role, password or "", database.name)
        try:
            with closing(psycopg.connect(url, autocommit=True)) as connection:
                yield connection
        finally:
            right = sql.SQL("login" if could else "nologin")
            admin.execute(sql.SQL("alter role {} {} password {}").format(name, right, kept))


def removal() -> str:
    """Return the statement of SECURITY.md that removes the large objects of the logins."""
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    return text.partition("```sql\n")[2].partition("```")[0]


def dumped(database: Database, *options: str) -> int:
    """Return the status of a dump by the role that owns the database."""
    program: Path = debian_postgres()[0] / "pg_dump"
    done = subprocess.run(
        [program, *options, "--dbname", database.direct_url], capture_output=True, text=True, check=False
    )
    return done.returncode
