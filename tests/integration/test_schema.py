"""The schema that the migrations make: owners, row-level security, tenants and months."""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

import psycopg
import pytest

from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

OWNERS = {"robot_brain_owner", "robot_brain_stats", "robot_brain_audit", "robot_brain_search"}
# Roles that log in, or that may once a password is set. They own nothing.
LOGINS = {"robot_brain_app", "robot_brain_app_a", "robot_brain_app_b", "robot_brain_migrator"}
ORIGIN = {
    "sessions": {"id", "user_metadata", "created_at", "last_active", "message_count"},
    "conversations": {
        "id", "robot_personality", "user_message", "robot_response", "session_id", "metadata", "created_at",
    },
    "robot_interactions": {"id", "robot_id", "interaction_type", "duration_ms", "success", "metadata", "created_at"},
    "users": {"id", "email", "password_hash", "created_at", "updated_at"},
    "user_profiles": {"id", "user_id", "first_name", "last_name", "avatar_url", "created_at", "updated_at"},
    "audit_logs": {"table_name", "record_id", "action", "old_data", "new_data", "user_id", "created_at"},
    "session_stats": {"session_id", "message_count", "last_message", "avg_response_length"},
}  # fmt: skip
MONTHS_AHEAD = 24
TURN = """[{
  "robot_personality": "r", "user_message": "u", "robot_response": "v", "metadata": {},
  "interaction": {"robot_id": "r", "interaction_type": "x", "duration_ms": 1, "success": true}
}]"""

# The newest PostgreSQL and that of the distribution. A pooler does not change the catalog.
pytestmark = without_pooler


@pytest.fixture
def admin(database: Database) -> Iterator[psycopg.Connection]:
    with database.admin() as connection:
        yield connection


def test_the_tables_of_the_original_schema_exist_with_their_columns(admin: psycopg.Connection) -> None:
    for table, columns in ORIGIN.items():
        found = admin.execute(
            "select attname from pg_attribute where attrelid = to_regclass(%s) and attnum > 0 and not attisdropped",
            [f"robot_brain.{table}"],
        ).fetchall()
        assert columns <= {name for (name,) in found}, table


def test_every_table_partition_and_view_has_a_tenant(admin: psycopg.Connection) -> None:
    without = admin.execute(
        """
        select c.relname from pg_class c
        where c.relnamespace in ('robot_brain'::regnamespace, 'robot_brain_api'::regnamespace)
          and c.relkind in ('r', 'p', 'm', 'v')
          and not exists (
            select from pg_attribute a
            where a.attrelid = c.oid and a.attname = 'tenant_id' and (a.attnotnull or c.relkind in ('m', 'v'))
          )
        """
    ).fetchall()
    assert without == []


def test_row_level_security_is_enabled_and_forced_on_every_table_and_partition(admin: psycopg.Connection) -> None:
    tables = admin.execute(
        """
        select c.relname, c.relrowsecurity, c.relforcerowsecurity from pg_class c
        where c.relkind in ('r', 'p')
          and c.relnamespace in ('robot_brain'::regnamespace, 'robot_brain_api'::regnamespace)
        """
    ).fetchall()
    assert len(tables) >= len(ORIGIN) + 2 * MONTHS_AHEAD
    assert [name for name, enabled, forced in tables if not (enabled and forced)] == []


def test_every_object_belongs_to_one_of_four_roles_that_cannot_log_in(admin: psycopg.Connection) -> None:
    owners = admin.execute(
        """
        with ours as (select oid from pg_namespace where nspname in ('robot_brain', 'robot_brain_api'))
        select nspowner::regrole::text from pg_namespace join ours using (oid)
        union select relowner::regrole::text from pg_class join ours on ours.oid = relnamespace
        union select proowner::regrole::text from pg_proc join ours on ours.oid = pronamespace
        union select typowner::regrole::text from pg_type join ours on ours.oid = typnamespace
        """
    ).fetchall()
    assert {name for (name,) in owners} == OWNERS


def test_the_owning_roles_can_neither_log_in_nor_bypass_anything(admin: psycopg.Connection) -> None:
    roles = admin.execute(
        """
        select rolname, rolcanlogin or rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication
        from pg_roles where starts_with(rolname, 'robot_brain_') and rolname <> all (%s)
        """,
        [list(LOGINS)],
    ).fetchall()
    assert dict(roles) == dict.fromkeys(OWNERS, False)


def test_the_roles_of_the_functions_have_no_more_than_the_login_and_are_members_of_one_that_holds_the_rights(
    admin: psycopg.Connection,
) -> None:
    more = admin.execute(
        """
        select rolname from pg_roles where rolname like 'robot\\_brain\\_app%'
          and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication or not rolinherit)
        """
    ).fetchall()
    assert more == []
    members = admin.execute(
        """
        select r.rolname, m.rolname from pg_auth_members a
        join pg_roles r on r.oid = a.roleid join pg_roles m on m.oid = a.member
        where m.rolname like 'robot\\_brain\\_%' and m.rolname <> 'robot_brain_migrator'
        """
    ).fetchall()
    assert set(members) == {("robot_brain_app", "robot_brain_app_a"), ("robot_brain_app", "robot_brain_app_b")}


def test_each_entry_of_the_audit_trail_has_its_request_and_its_place_in_the_chain(admin: psycopg.Connection) -> None:
    columns = admin.execute(
        """
        select attname, format_type(atttypid, atttypmod), attnotnull from pg_attribute
        where attrelid = 'robot_brain.audit_logs'::regclass and attnum > 0 and not attisdropped
        """
    ).fetchall()
    assert {name: (type_name, is_required) for name, type_name, is_required in columns} == {
        "tenant_id": ("character varying(128)", True),
        "id": ("bigint", True),
        "table_name": ("character varying(50)", True),
        "record_id": ("character varying(255)", True),
        "action": ("character varying(10)", True),
        "old_data": ("jsonb", False),
        "new_data": ("jsonb", False),
        "user_id": ("character varying(1024)", False),
        "request_id": ("character varying(100)", False),
        "created_at": ("timestamp with time zone", True),
        "n": ("bigint", False),
        "hash": ("bytea", False),
        "chained_at": ("timestamp with time zone", False),
    }
    owners = admin.execute(
        "select distinct relowner::regrole::text from pg_class where relname like 'audit\\_%' and relkind in ('r', 'S')"
    ).fetchall()
    assert owners == [("robot_brain_audit",)]


def test_the_base_needs_no_extension_and_leaves_the_public_schema_empty(admin: psycopg.Connection) -> None:
    assert admin.execute("select extname from pg_extension").fetchall() == [("plpgsql",)]
    for catalog, column in (("pg_class", "relnamespace"), ("pg_proc", "pronamespace"), ("pg_type", "typnamespace")):
        question = f"select count(*) from {catalog} where {column} = 'public'::regnamespace"
        assert admin.execute(question).fetchone() == (0,), catalog


@pytest.mark.parametrize("table", ["conversations", "robot_interactions"])
def test_the_partitions_are_this_month_24_ahead_and_a_default(admin: psycopg.Connection, table: str) -> None:
    admin.execute("set timezone = 'UTC'")
    admin.execute("set datestyle = 'ISO, YMD'")
    found = admin.execute(
        """
        select pg_get_expr(c.relpartbound, c.oid)
        from pg_inherits i join pg_class c on c.oid = i.inhrelid
        where i.inhparent = %s::regclass
        """,
        [f"robot_brain.{table}"],
    ).fetchall()
    now = datetime.now(UTC)
    first = now.year * 12 + now.month - 1
    bounds = [
        f"{month // 12:04}-{month % 12 + 1:02}-01 00:00:00+00" for month in range(first, first + MONTHS_AHEAD + 2)
    ]
    expected = {f"FOR VALUES FROM ('{begin}') TO ('{end}')" for begin, end in pairwise(bounds)}
    assert {bound for (bound,) in found} == expected | {"DEFAULT"}
    assert len(found) == MONTHS_AHEAD + 2


@pytest.mark.parametrize("table", ["conversations", "robot_interactions"])
def test_the_owner_sees_only_the_rows_of_its_tenant_and_none_in_a_partition(
    database: Database, admin: psycopg.Connection, table: str
) -> None:
    with psycopg.connect(database.app_url, autocommit=True) as app:
        for tenant in ("a", "b"):
            app.execute(
                "select robot_brain_api.write_message(%s, 's', %s, null, null, null, null, false)", [tenant, TURN]
            )
    partitions = admin.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", [f"robot_brain.{table}"]
    ).fetchall()
    assert len(partitions) == MONTHS_AHEAD + 2
    tenants = "select array_agg(distinct tenant_id order by tenant_id) from robot_brain."

    assert admin.execute(f"{tenants}{table}".encode()).fetchone() == (["a", "b"],)
    with admin.transaction():
        admin.execute("set local role robot_brain_owner")
        assert admin.execute(f"{tenants}{table}".encode()).fetchone() == (None,)
        admin.execute("select set_config('robot_brain.tenant_id', 'a', true)")
        for readable in (table, "sessions"):
            assert admin.execute(f"{tenants}{readable}".encode()).fetchone() == (["a"],)
        for (partition,) in partitions:
            assert admin.execute(f"select count(*) from {partition}".encode()).fetchone() == (0,)
    with admin.transaction():
        admin.execute("set local role robot_brain_stats")
        assert admin.execute(f"{tenants}{table}".encode()).fetchone() == (["a", "b"],)


@pytest.mark.parametrize("table", ["conversations", "robot_interactions"])
def test_a_month_that_was_made_later_has_the_rights_rules_and_keys_of_the_others(
    admin: psycopg.Connection, table: str
) -> None:
    months = [
        admin.execute(
            f"select '{table}_' || to_char(now() at time zone 'UTC' + make_interval(months => %s), 'YYYY_MM')", [ahead]
        ).fetchone()
        for ahead in (0, 30)
    ]
    with admin.transaction():
        admin.execute("set local role robot_brain_owner")
        admin.execute("select robot_brain.make_month((now() + interval '30 months')::date, %s)", [table])
    found = [
        admin.execute(
            """
            select c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity, c.relreplident,
              (select count(*) from pg_policy where polrelid = c.oid),
              (
                select array_agg(replace(pg_get_indexdef(indexrelid), c.relname, '') || coalesce(
                  obj_description(indexrelid), ''))
                from pg_index where indrelid = c.oid
              ),
              (select array_agg(conname || pg_get_constraintdef(oid) order by conname) from pg_constraint
                where conrelid = c.oid and contype = 'c')
            from pg_class c where c.relname = %s
            """,
            month,
        ).fetchone()
        for month in months
    ]
    assert found[0] is not None
    assert found[0] == found[1]
    assert found[0][5] == 0, "no policy: a partition is read through its parent"
