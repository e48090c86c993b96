"""Rights in the database that somebody changed, and that `make migrate` corrects."""

import psycopg
import pytest

from ops.errors import MigrationError
from ops.migrate import migrate, plan
from ops.rights import Corrections, expected_rights, read_rights
from tests.support.marks import over_tls, without_pooler
from tests.support.servers.databases import Database

# A statement that breaks a right, and a part of the correction that `make migrate` names.
BROKEN = {
    "row-level security": (
        "alter table robot_brain.sessions disable row level security",
        "alter table robot_brain.sessions enable row level security",
    ),
    "forced row-level security": (
        "alter table robot_brain.users no force row level security",
        "alter table robot_brain.users force row level security",
    ),
    "forced row-level security of a month": (
        "do $$ begin execute (select 'alter table ' || min(inhrelid::regclass::text) || ' no force row level security'"
        " from pg_inherits where inhparent = 'robot_brain.conversations'::regclass"
        " and inhrelid <> 'robot_brain.conversations_default'::regclass); end $$",
        "force row level security",
    ),
    "the owner of a schema": (
        "alter schema robot_brain_api owner to postgres",
        "alter schema robot_brain_api owner to",
    ),
    "the owner of a table": ("alter table robot_brain.tenant_stats owner to postgres", "robot_brain_stats"),
    "the owner of the trail": ("alter table robot_brain.audit_logs owner to robot_brain_owner", "robot_brain_audit"),
    "the owner of the view": (
        "alter materialized view robot_brain.session_stats owner to robot_brain_owner",
        "alter materialized view robot_brain.session_stats owner to robot_brain_stats",
    ),
    "the owner of a function": (
        "alter function robot_brain_api.write_message owner to postgres",
        "alter function robot_brain_api.write_message owner to robot_brain_owner",
    ),
    "a policy that is missing": (
        "drop policy tenant on robot_brain.sessions",
        "create policy tenant on robot_brain.sessions as permissive for all to robot_brain_owner using",
    ),
    "a policy that is wider": (
        "alter policy tenant on robot_brain.conversations using (true)",
        "drop policy tenant on robot_brain.conversations",
    ),
    "another policy for everybody": (
        "create policy mine on robot_brain.users using (true)",
        "drop policy mine on robot_brain.users",
    ),
    "a right to a table": (
        "grant select on robot_brain.conversations to robot_brain_app",
        "revoke select on table robot_brain.conversations from robot_brain_app",
    ),
    "a right to a table that is missing": (
        "revoke select on robot_brain.conversations from robot_brain_stats",
        "grant select on table robot_brain.conversations to robot_brain_stats",
    ),
    "a right to a column": (
        "grant update (user_message) on robot_brain.conversations to public",
        "revoke update (user_message) on table robot_brain.conversations from public",
    ),
    "a right of the trail's owner": (
        "grant delete, truncate on robot_brain.audit_logs to robot_brain_audit",
        "revoke truncate on table robot_brain.audit_logs from robot_brain_audit",
    ),
    "a right to the schema": (
        "grant create, usage on schema robot_brain to robot_brain_app_a",
        "revoke create on schema robot_brain from robot_brain_app_a",
    ),
    "a function that everybody may call": (
        "grant execute on function robot_brain.append_audit to public",
        "revoke execute on function robot_brain.append_audit from public",
    ),
    "a function that the login may not call": (
        "revoke execute on function robot_brain_api.write_message from robot_brain_app",
        "grant execute on function robot_brain_api.write_message to robot_brain_app",
    ),
    "default privileges": (
        "alter default privileges for role robot_brain_stats grant execute on functions to public",
        "alter default privileges for role robot_brain_stats revoke execute on functions from public",
    ),
    "temporary tables": (
        "do $$ begin execute format('grant temporary on database %I to public', current_database()); end $$",
        "revoke temporary on database",
    ),
    "no temporary tables for the statistics": (
        "do $$ begin execute format('revoke temporary on database %I from robot_brain_stats', current_database());"
        " end $$",
        "grant temporary on database",
    ),
}


@without_pooler
def test_a_new_database_has_exactly_the_rights_of_the_file(database: Database) -> None:
    with database.admin() as admin:
        found = read_rights(admin)
    # If a migration or a function changes a right, change sql/rights.sql, too. Otherwise `make migrate` undoes it.
    assert found == expected_rights(found)


# One kind of server, because the first test shows that all of them have the same statements.
@over_tls
@pytest.mark.parametrize("name", BROKEN)
def test_a_right_that_somebody_changed_is_corrected_and_named(database: Database, name: str) -> None:
    breaking, named = BROKEN[name]
    with database.admin() as admin:
        before = read_rights(admin), temporary(admin)
        admin.execute(breaking.encode())
        assert (read_rights(admin), temporary(admin)) != before

        planned = plan(database.direct_url)
        assert any(named in statement for statement in planned)
        corrections = Corrections()
        # A superuser, because the migrating role may not take an object from another superuser.
        assert migrate(database.postgres.admin_url(database.name), corrections=corrections) == []

        assert (read_rights(admin), temporary(admin)) == before
        entry = admin.execute(
            "select new_data ->> 'corrected' from robot_brain.audit_logs where tenant_id = '*' order by id desc limit 1"
        ).fetchone()
    assert entry == (str(len(corrections.done)),)
    assert any(named in statement for statement in corrections.done)
    assert plan(database.direct_url) == []


def temporary(admin: psycopg.Connection) -> list[tuple[str, bool]]:
    """Return which of our roles may make temporary tables, or may connect."""
    return admin.execute(
        "select rolname, has_database_privilege(oid, current_database(), right_)"
        " from pg_roles, (values ('temporary'), ('connect')) r (right_) where"
        " rolname like 'robot_brain_%' order by 1, right_"
    ).fetchall()


@over_tls
def test_the_migrating_role_corrects_what_it_may_and_names_the_statements_that_only_others_may_run(
    database: Database,
) -> None:
    with database.admin() as admin:
        before = read_rights(admin)
        admin.execute("alter table robot_brain.erasures owner to postgres")
        admin.execute("grant select on robot_brain.conversations to robot_brain_app")
        with pytest.raises(MigrationError) as raised:
            migrate(database.direct_url)
        statements = [line.partition(";  -- ")[0] for line in str(raised.value).splitlines()[1:]]
        assert "alter table robot_brain.erasures owner to robot_brain_owner" in statements
        assert "revoke select on table robot_brain.conversations from robot_brain_app" not in statements
        assert read_rights(admin) != before

        for statement in statements:
            admin.execute(statement.encode())
        assert read_rights(admin) == before
    assert migrate(database.direct_url) == []


@over_tls
def test_a_right_of_another_role_stays(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("drop role if exists robot_brain_test_analyst")
        admin.execute("create role robot_brain_test_analyst")
        try:
            admin.execute("grant select on robot_brain.tenant_stats to robot_brain_test_analyst")
            admin.execute("create policy analyst on robot_brain.tenant_stats to robot_brain_test_analyst using (true)")
            before = read_rights(admin)
            corrections = Corrections()
            assert migrate(database.direct_url, corrections=corrections) == []
            assert read_rights(admin) == before
            assert corrections.done == []
        finally:
            admin.execute("drop owned by robot_brain_test_analyst")
            admin.execute("drop role robot_brain_test_analyst")


@over_tls
def test_a_table_of_somebody_else_in_our_schema_stays_as_it_is(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("create table robot_brain.mine (note text)")
        admin.execute("grant select on robot_brain.mine to public")
        assert migrate(database.direct_url) == []
        assert "grant select on table robot_brain.mine to public" in read_rights(admin)


@over_tls
def test_an_empty_view_is_filled(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("refresh materialized view robot_brain.session_stats with no data")
        corrections = Corrections()
        assert migrate(database.direct_url, corrections=corrections) == []
        assert admin.execute("select robot_brain.view_is_empty()").fetchone() == (False,)
    assert len(corrections.done) == 1


@over_tls
def test_a_table_in_use_is_named_and_corrected_by_the_next_migration(database: Database) -> None:
    with database.admin() as admin, database.admin() as holder:
        admin.execute("alter table robot_brain.sessions no force row level security")
        holder.execute("begin")
        holder.execute("select from robot_brain.sessions")
        with pytest.raises(MigrationError, match=r"sessions force row level security;  -- canceling"):
            migrate(database.direct_url)
        holder.execute("rollback")
        corrections = Corrections()
        migrate(database.direct_url, corrections=corrections)
    assert corrections.done == ["alter table robot_brain.sessions force row level security"]
