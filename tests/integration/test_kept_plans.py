"""A plan that was made while a table was small still uses the index after the table has grown."""

import psycopg
import pytest

from tests.support.plans import rows_read
from tests.support.servers.databases import Database

CALLS = {
    "read_session": "select robot_brain_api.read_session('local', 's', 50)",
    "stats of a session": "select robot_brain_api.stats('local', 's')",
    "write_message": "select robot_brain_api.write_message('local', 's',"
    ' \'[{"robot_personality": "p", "user_message": "", "robot_response": "", "metadata": {}}]\')',
    "replace_turn": "select robot_brain_api.replace_turn('local', 's', 1,"
    ' \'{"user_message": "", "robot_response": "", "metadata": {}}\')',
    "remove_turns": "select robot_brain_api.remove_turns('local', 's', 0)",
    "patch_session": "select robot_brain_api.patch_session('local', 's', '{}')",
    "erase_session": "select robot_brain_api.erase_session('local', 's')",
    "list of a user": "select robot_brain_api.list_sessions('local', p_user_id => 'ada')",
}
GROW = """
insert into robot_brain.sessions
  (tenant_id, id, created_at, last_active, active_hour, message_count, response_length, answer_bytes)
select 'local', 's' || n, now(), now(), now(), 1, 1, 1 from generate_series(1, 20000) n
"""
WRITE_WITH_KEY = CALLS["write_message"].removesuffix(")") + ", p_key => 'k')"
GROW_KEYS = """
insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, session_id, expires_at)
select 'local', sha256(('grown ' || n)::bytea), '', '{}', 's', now() + interval '1 day' from generate_series(1, 5000) n
"""


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_session_is_found_by_its_index_although_the_plan_is_of_an_empty_table(database: Database, call: str) -> None:
    with database.admin() as admin, database.admin() as connection:
        admin.execute("alter table robot_brain.sessions set (autovacuum_enabled = off)")
        admin.execute("vacuum analyze robot_brain.sessions")
        for _ in range(10):
            try_and_undo(connection, CALLS[call])
        admin.execute(GROW)
        assert rows_read(connection, CALLS[call], (), "sessions") <= 3


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_a_key_is_found_by_its_index_although_the_plan_is_of_an_empty_table(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        admin.execute("alter table robot_brain.idempotency_keys set (autovacuum_enabled = off)")
        for n in range(10):
            connection.execute(WRITE_WITH_KEY.replace("'k'", f"'{n}'").encode())
        admin.execute(GROW_KEYS)
        assert rows_read(connection, WRITE_WITH_KEY, (), "idempotency_keys") <= 3


def try_and_undo(connection: psycopg.Connection, call: str) -> None:
    """Call an SQL function and roll back. The connection keeps its plans, and the table stays empty."""
    with connection.transaction(force_rollback=True):
        connection.execute(call.encode())
