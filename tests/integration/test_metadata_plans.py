"""A search by metadata reads the newest 1,000 sessions and those that the index has, whatever the planner knows.

The tables are large, small when the plan was made, without statistics, or with them. Writes leave the index alone.
"""

import psycopg
import pytest

from ops.sql_files import read_sql
from tests.integration.finding_sessions import insert
from tests.support.plans import indexes_scanned, rows_read
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

SESSIONS = 8_000
CALL = "select robot_brain_api.list_sessions('acme', 20, p_metadata => %s, p_path => %s)"
RARE = {
    "an object": ('{"user": {"id": "u1"}}', None),
    "an object that no session has": ('{"user": {"id": "nobody"}}', None),
    "an object of another tenant": ('{"only": "theirs"}', None),
    "a path": (None, '$.user.id == "u1"'),
    "a path with a filter": (None, '$.user ? (@.id == "u1")'),
    "both": ('{"kind": 1}', '$.user.id == "u1" || $.user.id == "u2"'),
}
SETTINGS = {
    "no setting": "",
    "generic plans": "set plan_cache_mode = force_generic_plan",
    "no bitmap": "set enable_bitmapscan = off",
    "no index": "set enable_indexscan = off; set enable_indexonlyscan = off",
    "a slow disk": "set random_page_cost = 1000; set work_mem = '64kB'",
    "the compiler": "set jit = on; set jit_above_cost = 0",
}
# Those of the hour in which the 1,000 end are sorted, too.
NEWEST = 1_000 + 4 * 12
OURS = {"sessions_listed_idx", "sessions_metadata_idx", "sessions_pkey"}
OF_USER = "select count(*) from robot_brain.sessions where tenant_id = 'acme' and user_id = 'u3' and erasing_at is null"
COUNTED = "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relid = 'robot_brain.sessions'::regclass"
WRITE = (
    "select from robot_brain_api.write_message('acme', %s,"
    ' \'[{"robot_personality": "p", "user_message": "", "robot_response": "", "metadata": {}}]\')'
)


def fill(admin: psycopg.Connection) -> None:
    """Insert sessions of two tenants. The rare values belong to the oldest sessions."""
    metadata = [{"kind": n % 2, "user": {"id": f"u{(SESSIONS - n) // 3}"}} for n in range(SESSIONS)]
    insert(admin, "acme", metadata)
    insert(admin, "globex", [{"only": "theirs", "user": {"id": "u1"}}] * 2_000)


def check(connection: psycopg.Connection) -> None:
    """Assert what each search reads: at most 6 sessions but the newest, by the two indexes."""
    for name, arguments in RARE.items():
        # On a busy machine the time for a page may end before the index is asked.
        wait_until(lambda: "sessions_metadata_idx" in indexes_scanned(connection, CALL, arguments), lambda: name)  # noqa: B023
        assert set(indexes_scanned(connection, CALL, arguments)) <= OURS, name
        # Each session that is found is read by its id once more.
        assert rows_read(connection, CALL, arguments, "sessions") <= NEWEST + 2 * 6, name


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_rare_value_is_found_by_the_index_with_and_without_statistics(database: Database, setting: str) -> None:
    with database.admin() as admin, database.admin() as connection:
        admin.execute("alter table robot_brain.sessions set (autovacuum_enabled = off)")
        connection.execute(SETTINGS[setting].encode())
        for arguments in RARE.values():  # the plans of an empty table
            for _ in range(7):
                connection.execute(CALL, arguments)
        fill(admin)
        check(connection)
        admin.execute("vacuum analyze robot_brain.sessions")
        check(connection)


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_search_of_a_user_reads_only_the_sessions_of_the_user(database: Database) -> None:
    of_user = CALL.removesuffix(")") + ", p_user_id => 'u3')"
    with database.admin() as admin:
        fill(admin)
        sessions = admin.execute(OF_USER).fetchone()
        assert sessions is not None
        for name, arguments in RARE.items():
            assert set(indexes_scanned(admin, of_user, arguments)) <= {"sessions_of_user_idx", "sessions_pkey"}, name
            assert rows_read(admin, of_user, arguments, "sessions") <= sessions[0] + 2 * 6, name


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_common_value_is_found_without_the_index(database: Database) -> None:
    with database.admin() as admin:
        fill(admin)
        assert "sessions_metadata_idx" not in indexes_scanned(admin, CALL, ('{"kind": 1}', None))
        # Without a value in it, metadata has no entry in the index.
        assert "sessions_metadata_idx" not in indexes_scanned(admin, CALL, ('{"nothing": [{}]}', None))


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_write_to_a_session_with_metadata_leaves_the_index_alone(database: Database) -> None:
    sessions, writes = 10, 60
    with database.admin() as admin, database.app() as app:
        insert(admin, "acme", [{"user": {"id": f"u{n}"}, "tags": list(range(20))} for n in range(sessions)])
        for _ in range(writes):
            for number in range(1, sessions + 1):
                app.execute(WRITE, [f"s{number}"])
        # The server counts a connection's updates a moment later.
        wait_until(lambda: (admin.execute(COUNTED).fetchone() or (0,))[0] == sessions * writes)
        row = admin.execute(COUNTED).fetchone()
    assert row is not None
    # The first write moves a session into the present hour, and another hour may begin meanwhile.
    assert row[0] - row[1] <= 3 * sessions


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_the_index_has_no_entry_of_a_session_without_metadata(database: Database) -> None:
    size = "select pg_relation_size('robot_brain.sessions_metadata_idx')"
    with database.admin() as admin:
        before = admin.execute(size).fetchone()
        insert(admin, "acme", [{}] * 2_000)
        assert admin.execute(size).fetchone() == before
        insert(admin, "globex", [{"n": n} for n in range(2_000)])
        after = admin.execute(size).fetchone()
        assert before is not None
        assert after is not None
        assert after[0] > before[0]


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_the_migration_of_the_index_runs_again_after_it_was_killed(database: Database) -> None:
    (migration,) = (file for file in read_sql().migrations if file.name.endswith("_session_metadata"))
    valid = (
        "select i.indisvalid, i.indisready from pg_index i"
        " where i.indexrelid = 'robot_brain.sessions_metadata_idx'::regclass"
    )
    with database.admin() as admin, psycopg.connect(database.direct_url, autocommit=True) as migrator:
        fill(admin)
        # What is left of an index that was being made.
        admin.execute(
            "update pg_index set indisvalid = false, indisready = false"
            " where indexrelid = 'robot_brain.sessions_metadata_idx'::regclass"
        )
        for statement in migration.statements():
            migrator.execute(statement.encode())
        assert admin.execute(valid).fetchone() == (True, True)
        check(admin)
