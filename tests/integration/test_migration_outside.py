"""A migration outside a transaction begins after all earlier files are committed. If it fails, it runs again."""

from pathlib import Path

import psycopg
import pytest

from ops.errors import MigrationError
from ops.migrate import migrate, plan
from tests.integration.migrations import (
    FILES,
    PROCESS_ENDED,
    TABLE,
    WAITS_FOR_MIGRATION,
    add,
    killed_at,
    migrating,
    recorded,
)
from tests.support.servers.gate import gate_in, wait_for_pid

# A killed migration leaves an index that is not valid, so the migration drops it first.
INDEX = """-- An index that no query needs.
-- outside a transaction

set lock_timeout = '5s';
set role robot_brain_owner;
drop index concurrently if exists robot_brain.sessions_version_idx;
create index concurrently sessions_version_idx on robot_brain.sessions (version);
comment on index robot_brain.sessions_version_idx is 'a; b -- no comment';
do $$
begin
  perform 1;
  commit;
end
$$;
"""
# One statement makes the schema of the records, one drops the tables of yoyo, and the third drops the index.
CREATES_INDEX = 4
QUERY = "select query from pg_stat_activity where pid = %s"
VALID = "select indisvalid from pg_index where indexrelid = to_regclass('robot_brain.sessions_version_idx')"


def test_a_migration_outside_a_transaction_runs_between_two_transactions(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    migrate(direct_url, sql)
    names = [
        add(sql, "migrations/9002_before", TABLE.format("before")),
        add(sql, "migrations/9003_index", INDEX),
        add(sql, "migrations/9004_after", "reset role;\nset local role robot_brain_stats;\nselect 1;"),
    ]
    changed = "functions/robot_brain/most_uncounted"
    add(sql, changed, (sql / f"{changed}.sql").read_text().replace("10000", "20000"))

    assert plan(direct_url, sql) == [*names, changed]
    assert migrate(direct_url, sql) == [*names, changed]

    assert admin.execute(VALID).fetchone() == (True,)
    assert migrate(direct_url, sql) == []


def test_a_migration_outside_a_transaction_shows_which_statement_runs(
    direct_url: str, sql: Path, caplog: pytest.LogCaptureFixture
) -> None:
    migrate(direct_url, sql)
    add(sql, "migrations/9003_index", INDEX)
    caplog.set_level("INFO", "robot_brain.migrate")
    caplog.clear()
    migrate(direct_url, sql)
    shown = [line.strip() for line in caplog.messages if "statement" in line]
    assert shown == [f"statement {number} of 6" for number in range(1, 7)]


def test_a_failed_migration_outside_a_transaction_keeps_earlier_files_and_runs_again(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    migrate(direct_url, sql)
    before = add(sql, "migrations/9002_before", TABLE.format("before"))
    broken = add(sql, "migrations/9003_index", INDEX + "select nonsense;")
    after = add(sql, "migrations/9004_after", TABLE.format("after"))

    with pytest.raises(MigrationError, match=r"9003_index: .*nonsense(.|\n)*Run `make migrate` again"):
        migrate(direct_url, sql)
    assert recorded(admin) == [*FILES, before]
    assert admin.execute("select to_regclass('robot_brain.after')").fetchone() == (None,)

    add(sql, broken, INDEX)
    assert migrate(direct_url, sql) == [broken, after]


def test_a_killed_migration_outside_a_transaction_runs_again_from_its_start(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    migrate(direct_url, sql)
    index = add(sql, "migrations/9002_index", INDEX)
    with gate_in(admin) as gate:
        with killed_at(gate, direct_url, CREATES_INDEX, sql.parent) as backend:
            (query,) = admin.execute(QUERY, [backend]).fetchall()[0]
            assert query.startswith("create index concurrently")
            gate.open()
            wait_for_pid(admin, PROCESS_ENDED, [backend])
        assert recorded(admin) == FILES
    assert migrate(direct_url, sql) == [index]
    assert admin.execute(VALID).fetchone() == (True,)


def test_an_index_is_made_concurrently_although_another_migration_waits_for_the_lock(
    admin: psycopg.Connection, direct_url: str, sql: Path
) -> None:
    migrate(direct_url, sql)
    index = add(sql, "migrations/9002_index", INDEX)
    with gate_in(admin) as gate:
        gate.close(CREATES_INDEX)
        with migrating(direct_url, sql.parent) as one, migrating(direct_url, sql.parent) as other:
            gate.wait_for_arrival(one, other)
            wait_for_pid(admin, WAITS_FOR_MIGRATION, [], one, other)
            gate.open()
            assert [one.wait(), other.wait()] == [0, 0]
    assert recorded(admin) == [*FILES, index]
