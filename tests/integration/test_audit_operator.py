"""Entries of the audit trail for what an operator's commands change, under the tenant `*` or the tenant they change."""

from pathlib import Path

import pytest

from ops.errors import MigrationError
from ops.migrate import migrate, plan
from ops.sql_files import read_sql
from tests.integration.audited import entries
from tests.integration.migrations import FILES, TABLE, add
from tests.integration.recounting import change, recounted
from tests.support.servers.databases import Database
from tests.support.servers.postgres import MIGRATOR

OUTSIDE = """-- outside a transaction
set role robot_brain_owner;
create index concurrently if not exists more_idx on robot_brain.more (tenant_id);
"""

embedded = pytest.mark.parametrize("database", ["embedded"], indirect=True)


def applied(database: Database) -> list[tuple[str, object, object]]:
    """Return the version, the new data and the actor of each entry of a migration."""
    found = entries(database, "*")
    assert {(entry["table_name"], entry["action"], entry["request_id"]) for entry in found} <= {
        ("files", "UPDATE", None)
    }
    assert all(entry["old_data"] is None for entry in found)
    return [(entry["record_id"], entry["new_data"], entry["user_id"]) for entry in found]


@embedded
def test_the_first_migration_leaves_one_entry_of_the_transaction_that_made_the_functions(database: Database) -> None:
    with database.admin() as admin:
        version = admin.execute("select robot_brain.schema_version()").fetchone()
    assert version is not None
    # What runs outside a transaction, and all before it, was committed before a function could append an entry.
    before = max(number for number, file in enumerate(read_sql().migrations, 1) if file.runs_outside)
    migrations = [name for name in FILES[before:] if name.startswith("migrations/")]
    assert migrations != []
    assert applied(database) == [
        (str(version[0]), {"applied": len(FILES) - before, "migrations": migrations}, MIGRATOR)
    ]


@embedded
def test_a_migration_with_nothing_to_apply_leaves_no_entry(database: Database) -> None:
    before = applied(database)
    assert migrate(database.direct_url) == []
    assert plan(database.direct_url) == []
    assert applied(database) == before


@embedded
def test_a_migration_leaves_one_entry_with_the_names_of_its_migrations(database: Database, sql: Path) -> None:
    before = applied(database)
    name = add(sql, "migrations/9001_more", TABLE.format("more"))
    function = sql / "functions/robot_brain/schema_version.sql"
    function.write_text(function.read_text() + "\n")
    assert plan(database.direct_url, sql) == [name, "functions/robot_brain/schema_version"]
    assert applied(database) == before
    assert migrate(database.direct_url, sql) == [name, "functions/robot_brain/schema_version"]
    (entry,) = applied(database)[len(before) :]
    assert entry[1:] == ({"applied": 2, "migrations": [name]}, MIGRATOR)


@embedded
def test_a_migration_that_fails_leaves_no_entry(database: Database, sql: Path) -> None:
    before = applied(database)
    add(sql, "migrations/9001_more", TABLE.format("more"))
    add(sql, "migrations/9002_wrong", "select 1 / 0;\n")
    with pytest.raises(MigrationError):
        migrate(database.direct_url, sql)
    assert applied(database) == before


@embedded
def test_a_migration_outside_a_transaction_leaves_an_entry_of_its_own(database: Database, sql: Path) -> None:
    before = applied(database)
    first = add(sql, "migrations/9001_more", TABLE.format("more"))
    outside = add(sql, "migrations/9002_index", OUTSIDE)
    last = add(sql, "migrations/9003_another", TABLE.format("another"))
    assert migrate(database.direct_url, sql) == [first, outside, last]
    assert [entry[1] for entry in applied(database)[len(before) :]] == [
        {"applied": 1, "migrations": [name]} for name in (first, outside, last)
    ]


@embedded
def test_a_migration_outside_a_transaction_that_fails_leaves_no_entry(database: Database, sql: Path) -> None:
    before = applied(database)
    add(sql, "migrations/9001_wrong", "-- outside a transaction\nselect 1;\nselect 1 / 0;\n")
    with pytest.raises(MigrationError):
        migrate(database.direct_url, sql)
    assert applied(database) == before


@embedded
def test_a_recount_that_corrects_leaves_one_entry_of_the_tenant_with_the_differences(talked: Database) -> None:
    change(talked, "update robot_brain.tenant_stats set messages = 4, sessions = 7")
    change(talked, "update robot_brain.personality_stats set messages = 4 where robot_personality = 'waiter'")
    assert len(recounted(talked, dry_run=True)) == 3
    assert entries(talked) == []
    assert len(recounted(talked)) == 3
    assert entries(talked) == [
        {
            "table_name": "tenant_stats",
            "record_id": "local",
            "action": "UPDATE",
            "old_data": None,
            "new_data": {"corrected": 3, "sessions": -5, "messages": 1, "interactions": 0},
            "user_id": MIGRATOR,
            "request_id": None,
        }
    ]


@embedded
def test_a_recount_that_finds_nothing_leaves_no_entry(talked: Database) -> None:
    assert recounted(talked) == []
    assert entries(talked) == []


@embedded
def test_a_recount_whose_correction_is_rolled_back_leaves_no_entry(talked: Database) -> None:
    change(talked, "update robot_brain.tenant_stats set messages = 4")
    with talked.admin() as admin:
        admin.execute("create function public.refuse() returns trigger language plpgsql as $$ begin raise 'no'; end $$")
        admin.execute(
            "create trigger refuse before delete on robot_brain.personality_stats"
            " for each statement execute function public.refuse()"
        )
    with pytest.raises(MigrationError):
        recounted(talked)
    assert entries(talked) == []
