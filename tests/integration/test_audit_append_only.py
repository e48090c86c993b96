"""None of our roles can change, remove or make up an entry of the audit trail.

robot_brain_audit owns the tables, so it could alter them or grant itself what it lacks. So could the migrating role,
which may become it. robot_brain_owner owns the schema, so it could drop a table. With kept heads
`make ops DO=audit-verify` finds all of this.
"""

import psycopg
import pytest

from tests.integration.audited import chained, fill
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database
from tests.support.servers.postgres import MIGRATOR

pytestmark = without_pooler
OWNER = "robot_brain_audit"
MADE_UP = (
    "insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, created_at)"
    " values ('local', 'users', 'x', 'ERASE', now())"
)
CHANGES = {
    "update": "update robot_brain.audit_logs set user_id = 'eve'",
    "update of the time": "update robot_brain.audit_logs set created_at = now()",
    "update of nothing": "update robot_brain.audit_logs set action = action where false",
    "delete": "delete from robot_brain.audit_logs",
    "delete by using": "delete from robot_brain.audit_logs using robot_brain.audit_heads",
    "truncate": "truncate robot_brain.audit_logs",
    "truncate of the heads": "truncate robot_brain.audit_heads",
    "delete of the heads": "delete from robot_brain.audit_heads",
    "merge": "merge into robot_brain.audit_logs l using (values (1)) v on true when matched then delete",
}
# What the owner of a table may always do, and no other of our roles.
OF_THE_OWNER = {
    "insert": MADE_UP,
    "insert with a place": MADE_UP.replace("created_at)", "created_at, n, hash, chained_at)").replace(
        "now())", "now(), 1, 'x', now())"
    ),
    "update of the chain": "update robot_brain.audit_logs set n = null, hash = null, chained_at = null",
    "insert of a head": "insert into robot_brain.audit_heads values ('local', 1, 'x')",
    "update of a head": "update robot_brain.audit_heads set n = 0",
    "lock": "lock table robot_brain.audit_logs in access exclusive mode",
    "copy": "copy robot_brain.audit_logs from program 'true'",
    "sequence": "select setval('robot_brain.audit_logs_id_seq', 1)",
    "alter": "alter table robot_brain.audit_logs alter user_id type text",
    "no row level security": "alter table robot_brain.audit_logs disable row level security",
    "no forced row level security": "alter table robot_brain.audit_logs no force row level security",
    "policy": "create policy all_rows on robot_brain.audit_logs using (true)",
    "trigger": "create trigger t before insert on robot_brain.audit_logs"
        " execute function pg_catalog.suppress_redundant_updates_trigger()",
    "rule": "create rule r as on insert to robot_brain.audit_logs do instead nothing",
    "index": "create index on robot_brain.audit_logs (user_id)",
    "grant": "grant delete on robot_brain.audit_logs to current_user; delete from robot_brain.audit_logs",
    "owner": "alter table robot_brain.audit_logs owner to robot_brain_owner",
    "function that appends": "create or replace function robot_brain.append_audit(text, text, text, text, jsonb, jsonb,"
        " text, text) returns void language sql return null",
}  # fmt: skip
# PostgreSQL also allows them to the owner of the schema.
DROPS = {
    "entries": "drop table robot_brain.audit_logs cascade",
    "heads": "drop table robot_brain.audit_heads",
    "function that appends": "drop function robot_brain.append_audit",
}


def roles(database: Database) -> list[str]:
    """Return all our roles, except the one that migrates."""
    with database.admin() as admin:
        found = admin.execute(
            "select rolname from pg_roles where starts_with(rolname, 'robot_brain_') order by 1"
        ).fetchall()
    return [role for (role,) in found if role != MIGRATOR]


def rows(database: Database) -> list[tuple[object, ...]]:
    """Return both tables."""
    with database.admin() as admin:
        return [
            *admin.execute("select l::text from robot_brain.audit_logs l order by tenant_id, id").fetchall(),
            *admin.execute("select h::text from robot_brain.audit_heads h order by tenant_id").fetchall(),
        ]


def allowed(database: Database, role: str, changes: dict[str, str]) -> list[str]:
    """Try changes as a role, in a tenant. Return those that were not refused for want of a right."""
    done = []
    with database.admin() as admin:
        for name, statement in changes.items():
            with admin.transaction(force_rollback=True):
                admin.execute(f"set local role {role}".encode())
                admin.execute("select set_config('robot_brain.tenant_id', 'local', true)")
                try:
                    admin.execute(statement.encode())
                except psycopg.errors.InsufficientPrivilege:
                    continue
                except psycopg.Error as error:
                    done.append(f"{name}: {error}")
                else:
                    done.append(name)
    return done


@pytest.fixture
def trail(database: Database) -> Database:
    fill(database, ["local", "other"], 3)
    chained(database)
    fill(database, ["local", "other"], 3)
    return database


def test_none_of_our_roles_can_change_or_remove_an_entry(trail: Database) -> None:
    tried = roles(trail)
    assert {OWNER, "robot_brain_owner", "robot_brain_stats", "robot_brain_app"} < set(tried)
    before = rows(trail)
    assert {role: found for role in tried if (found := allowed(trail, role, CHANGES))} == {}
    assert rows(trail) == before


def test_none_of_our_roles_but_the_owner_can_make_up_entries_or_change_the_tables(trail: Database) -> None:
    before = rows(trail)
    others = [role for role in roles(trail) if role != OWNER]
    assert {role: found for role in others if (found := allowed(trail, role, OF_THE_OWNER))} == {}
    assert rows(trail) == before


def test_none_of_our_roles_but_the_two_owners_can_drop_the_trail(trail: Database) -> None:
    dropping = {role for role in roles(trail) if allowed(trail, role, DROPS)}
    assert dropping == {OWNER, "robot_brain_owner"}


def test_only_the_roles_that_change_something_can_append_and_only_the_functions_owner_can_read(trail: Database) -> None:
    append = "select robot_brain.append_audit('local', 'users', 'x', 'ERASE', null, null, null, null)"
    may = {
        role: allowed(trail, role, {"append": append, "read": "select from robot_brain.audit_logs",
                                    "read heads": "select from robot_brain.audit_heads"})
        for role in roles(trail)
    }  # fmt: skip
    assert {role: found for role, found in may.items() if found} == {
        OWNER: ["append", "read", "read heads"],
        "robot_brain_owner": ["append", "read"],
        "robot_brain_stats": ["append"],
    }


def test_the_functions_owner_reads_only_the_entries_of_its_tenant(trail: Database) -> None:
    with trail.admin() as admin, admin.transaction():
        admin.execute("set local role robot_brain_owner")
        tenants = "select array_agg(distinct tenant_id) from robot_brain.audit_logs"
        assert admin.execute(tenants).fetchone() == (None,)
        admin.execute("select set_config('robot_brain.tenant_id', 'local', true)")
        assert admin.execute(tenants).fetchone() == (["local"],)


def test_none_of_our_roles_can_become_the_owner_of_the_trail(trail: Database) -> None:
    with trail.admin() as admin:
        members = admin.execute(
            "select member::regrole::text from pg_auth_members where roleid = 'robot_brain_audit'::regrole"
        ).fetchall()
    assert {member for (member,) in members} == {MIGRATOR}
