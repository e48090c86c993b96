"""Each login of the functions can execute robot_brain_api and do nothing else."""

from collections.abc import Iterator, Sequence

import psycopg
import pytest
from psycopg import sql

from tests.integration.forbidden import FORBIDDEN
from tests.integration.logins import LOGINS, login
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database
from tests.support.servers.postgres import MIGRATOR

pytestmark = without_pooler

FUNCTIONS = [
    "chain_audit",
    "clear_keys",
    "continue_erasure",
    "count_user",
    "create_user",
    "erase_session",
    "erase_user",
    "export_user",
    "fill_search",
    "health",
    "list_sessions",
    "list_users",
    "make_month",
    "patch_session",
    "read_audit",
    "read_session",
    "read_user",
    "refresh_stats",
    "refresh_view",
    "remove_turns",
    "replace_turn",
    "save_user",
    "search",
    "stats",
    "write_message",
]
SCHEMAS = ["robot_brain", "robot_brain_api", "robot_brain_migrations"]
TIMEOUTS = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]


@pytest.fixture(params=LOGINS)
def role(request: pytest.FixtureRequest) -> str:
    """A role that has the rights of the functions and may be given a password."""
    name: str = request.param
    return name


@pytest.fixture
def app(database: Database, role: str) -> Iterator[psycopg.Connection]:
    """A connection as the functions open it, as `role`."""
    with login(database, role) as connection:
        yield connection


def refused(app: psycopg.Connection, statement: sql.SQL | sql.Composed) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute(statement)


def relations(database: Database) -> Sequence[tuple[int, str, str, str]]:
    """Return (oid, kind, schema, name) of all tables, partitions, views and sequences except those of the system."""
    with database.admin() as admin:
        found: Sequence[tuple[int, str, str, str]] = admin.execute(
            """
            select c.oid, c.relkind::text, n.nspname, c.relname
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
              and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')
            order by n.nspname, c.relname
            """
        ).fetchall()
    return found


def test_the_privileges_are_tested_as_each_role_of_the_catalogue_that_has_the_rights_of_the_functions(
    database: Database,
) -> None:
    with database.admin() as admin:
        # The role that migrates is a member through the logins, to end their connections.
        roles = admin.execute(
            """
            select r.rolname from pg_roles r
            where pg_has_role(r.oid, 'robot_brain_app', 'member') and not r.rolsuper and r.rolname <> %s
            order by 1
            """,
            [MIGRATOR],
        ).fetchall()
    assert [name for (name,) in roles] == list(LOGINS)


def test_these_privileges_are_tested_as_the_app_without_superuser_rights(app: psycopg.Connection, role: str) -> None:
    row = app.execute("select session_user, current_user, current_setting('is_superuser')").fetchone()
    assert row == (role, role, "off")


def test_the_app_cannot_touch_any_table_partition_or_view(database: Database, app: psycopg.Connection) -> None:
    tried = 0
    for _, kind, schema, name in relations(database):
        relation = sql.Identifier(schema, name)
        if kind == "S":
            refused(app, sql.SQL("select nextval({})").format(sql.Literal(f"{schema}.{name}")))
            continue
        refused(app, sql.SQL("select from {}").format(relation))
        refused(app, sql.SQL("insert into {} default values").format(relation))
        refused(app, sql.SQL("delete from {}").format(relation))
        refused(app, sql.SQL("truncate {}").format(relation))
        refused(app, sql.SQL("update {} set tenant_id = tenant_id").format(relation))
        tried += 1
    assert tried >= 26 + 8, "the loop must cover the partitions and the tables"


def test_the_catalog_grants_the_app_no_privilege_on_any_relation_or_column(database: Database, role: str) -> None:
    # In the catalog, because without USAGE on the schema a query fails whatever the rights on its tables are.
    with database.admin() as admin:
        for oid, kind, schema, name in relations(database):
            if kind == "S":
                question = "select has_sequence_privilege(%s, %s::oid, 'usage, select, update'), false"
            else:
                question = """
                    select
                      has_table_privilege(%s, %s::oid, 'select, insert, update, delete, truncate, references, trigger'),
                      has_any_column_privilege(%s, %s::oid, 'select, insert, update, references')
                """
            answer = admin.execute(question, [role, oid] * (1 if kind == "S" else 2)).fetchone()
            assert answer == (False, False), f"{schema}.{name}"


def test_the_app_may_use_only_the_schema_of_the_api(database: Database, role: str) -> None:
    with database.admin() as admin:
        for schema in [*SCHEMAS, "public"]:
            answer = admin.execute(
                "select has_schema_privilege(%s, %s, 'usage'), has_schema_privilege(%s, %s, 'create')",
                [role, schema, role, schema],
            ).fetchone()
            # Every role has USAGE on `public`, which is empty. Only the owner of the database can create objects in it.
            assert answer == (schema in ("robot_brain_api", "public"), False), schema


def test_the_app_cannot_create_change_or_run_what_is_not_its_own(
    app: psycopg.Connection, subtests: pytest.Subtests
) -> None:
    for name, statement in FORBIDDEN.items():
        with subtests.test(name):
            refused(app, sql.SQL(statement))


def test_the_app_cannot_create_an_extension(database: Database, app: psycopg.Connection) -> None:
    with database.admin() as admin:
        offered = admin.execute(
            "select name from pg_available_extensions where installed_version is null order by name"
        ).fetchall()
    assert offered
    for (name,) in offered:
        refused(app, sql.SQL("create extension {} cascade").format(sql.Identifier(name)))


def test_the_app_cannot_become_any_other_role(database: Database, app: psycopg.Connection, role: str) -> None:
    with database.admin() as admin:
        roles = [name for (name,) in admin.execute("select rolname from pg_roles where rolname <> %s", [role])]
    assert {"robot_brain_owner", "robot_brain_stats", "robot_brain_migrator", "postgres"} <= set(roles)
    for name in roles:
        # PostgreSQL 15 lets each member become the role that it is a member of. That role has no more rights.
        if not (name == "robot_brain_app" and database.postgres.version < 16):
            refused(app, sql.SQL("set role {}").format(sql.Identifier(name)))
        refused(app, sql.SQL("set session authorization {}").format(sql.Identifier(name)))


def test_the_app_is_a_member_of_robot_brain_app_alone_and_has_only_the_right_to_log_in(
    database: Database, role: str
) -> None:
    with database.admin() as admin:
        member_of = admin.execute(
            "select roleid::regrole::text from pg_auth_members where member = %s::regrole", [role]
        ).fetchall()
        attributes = admin.execute(
            """
            select rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls
            from pg_roles where rolname = %s
            """,
            [role],
        ).fetchone()
    assert member_of == [("robot_brain_app",)] * (role != "robot_brain_app")
    assert attributes == (False, False, False, False, False)


def test_the_app_may_connect_to_its_database_and_create_nothing_there(database: Database, role: str) -> None:
    with database.admin() as admin:
        for right, granted in {"connect": True, "create": False, "temporary": False}.items():
            answer = admin.execute(
                "select has_database_privilege(%s, current_database(), %s)", [role, right]
            ).fetchone()
            assert answer == (granted,), right


def test_the_app_owns_nothing(database: Database, role: str) -> None:
    with database.admin() as admin:
        owned = admin.execute(
            "select classid::regclass, objid from pg_shdepend where refobjid = %s::regrole and deptype = 'o'", [role]
        ).fetchall()
    assert owned == []


def test_the_app_may_execute_exactly_the_functions_of_the_api(database: Database, role: str) -> None:
    with database.admin() as admin:
        allowed = admin.execute(
            """
            select n.nspname || '.' || p.proname
            from pg_proc p join pg_namespace n on n.oid = p.pronamespace
            where n.nspname not in ('pg_catalog', 'information_schema')
              and has_function_privilege(%s, p.oid, 'execute')
            order by 1
            """,
            [role],
        ).fetchall()
    assert [name for (name,) in allowed] == [f"robot_brain_api.{name}" for name in FUNCTIONS]


def test_the_app_cannot_call_an_internal_function(database: Database, app: psycopg.Connection) -> None:
    with database.admin() as admin:
        internal = admin.execute(
            """
            select p.proname, p.pronargs from pg_proc p where p.pronamespace = 'robot_brain'::regnamespace
            """
        ).fetchall()
    assert internal
    for name, arguments in internal:
        nulls = sql.SQL(", ").join([sql.NULL] * arguments)
        refused(app, sql.SQL("select {}({})").format(sql.Identifier("robot_brain", name), nulls))


def test_every_sql_function_of_the_api_runs_as_a_role_without_login_and_sets_its_search_path(
    database: Database,
) -> None:
    with database.admin() as admin:
        doors = admin.execute(
            """
            select p.proname, p.prosecdef, r.rolcanlogin, r.rolsuper or r.rolbypassrls,
                   exists (select from unnest(p.proconfig) setting where setting like 'search_path=%')
            from pg_proc p join pg_roles r on r.oid = p.proowner
            where p.pronamespace = 'robot_brain_api'::regnamespace
            order by 1
            """
        ).fetchall()
    assert doors == [(name, True, False, False, True) for name in FUNCTIONS]


def test_the_timeouts_of_the_app_are_in_force(database: Database, app: psycopg.Connection) -> None:
    for name in TIMEOUTS:
        row = app.execute("select setting::int, source from pg_settings where name = %s", [name]).fetchone()
        assert row is not None
        milliseconds, source = row
        # The HTTP API gives up after 30 seconds, so no connection and no lock may be held for longer.
        assert 0 < milliseconds < 30_000, name
        assert source == "user", name


def test_the_app_sees_no_planner_statistics_of_users_texts(database: Database, app: psycopg.Connection) -> None:
    with database.admin() as admin:
        admin.execute("analyze")
    assert app.execute("select count(*) from pg_stats where schemaname like 'robot_brain%'").fetchone() == (0,)


def test_public_may_execute_no_sql_function_of_robot_brain(database: Database) -> None:
    with database.admin() as admin:
        public = admin.execute(
            """
            select p.proname from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) a
            where p.pronamespace in ('robot_brain'::regnamespace, 'robot_brain_api'::regnamespace) and a.grantee = 0
            """
        ).fetchall()
    assert public == []
