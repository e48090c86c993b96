"""A read scans only the months of its session, and a write only its own key, whatever else is stored."""

import hashlib
import uuid
from datetime import UTC, datetime

import psycopg
import pytest

from tests.integration.months import month_name
from tests.support.marks import without_pooler
from tests.support.plans import Plan, explain_page, rows_read, touched
from tests.support.servers.databases import Database

pytestmark = without_pooler

READ = "select body, etag from robot_brain_api.read_session('local', %s, 50, null, null, %s, '{}')"
WRITE = (
    "select body from robot_brain_api.write_message('local', 's', "
    '\'[{"robot_personality": "p", "user_message": "", "robot_response": "", "metadata": {}}]\''
    ", null, null, %s, %s, false)"
)
TURNS = 9


def clears_keys(key: str) -> bool:
    """Return whether a write with this key clears expired keys."""
    return hashlib.sha256(key.encode()).digest()[0] < 2


# Turn n of a session has day 11 + n of its month.
_SESSION = """
with life as (
  select n, date_trunc('month', now() at time zone 'UTC') at time zone 'UTC'
    - make_interval(months => %(months)s - 1 - (n - 1) * %(months)s / %(turns)s) + make_interval(days => 10 + n) as at
  from generate_series(1, %(turns)s) n
),
session as (
  insert into robot_brain.sessions
    (tenant_id, id, created_at, last_active, active_hour, message_count, response_length, answer_bytes)
  select 'local', %(id)s, min(at), max(at), date_trunc('hour', max(at)), %(turns)s, 9, 9 from life
)
insert into robot_brain.conversations (
  tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response
)
select 'local', %(id)s, n, at, 'barista', 'q', 'a' from life
"""


@pytest.fixture
def with_past_months(database: Database) -> Database:
    """A database with sessions `lived 1` to `lived 3`, which have turns in so many months up to this one."""
    with database.admin() as admin:
        admin.execute("set timezone = 'UTC'")
        for back in (1, 2):
            admin.execute("select robot_brain.make_month((now() - make_interval(months => %s))::date)", [back])
        for months in (1, 2, 3):
            admin.execute(_SESSION, {"id": f"lived {months}", "months": months, "turns": TURNS})
        admin.execute("analyze robot_brain.sessions, robot_brain.conversations")
    return database


def months_lived(admin: psycopg.Connection, months: int) -> list[str]:
    """Return the names of the partitions of the last `months` months, in order."""
    rows = admin.execute(
        "select 'conversations_' || to_char((now() at time zone 'UTC') - make_interval(months => n), 'YYYY_MM')"
        " from generate_series(0, %s) n order by 1",
        [months - 1],
    ).fetchall()
    return [row[0] for row in rows]


@pytest.mark.parametrize("months", [1, 2, 3])
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
def test_the_plan_of_a_read_scans_only_the_months_of_its_session(
    with_past_months: Database, months: int, mode: str
) -> None:
    with with_past_months.admin() as admin:
        scans = explain_page(admin, f"lived {months}", 1, TURNS, mode).scans()
        assert [partition for partition, _ in scans] == months_lived(admin, months)


@pytest.mark.parametrize("months", [1, 2, 3])
@pytest.mark.parametrize("max_chars", [None, 10_000])
def test_a_call_of_read_session_scans_only_the_months_of_its_session(
    with_past_months: Database, months: int, max_chars: int | None
) -> None:
    with with_past_months.admin() as admin:
        expected = months_lived(admin, months)
        # More often than PL/pgSQL plans a statement again before it considers a generic plan.
        for _ in range(8):
            found = touched(admin, READ, (f"lived {months}", max_chars))
            assert sorted(found) == expected


def test_a_repeated_read_locks_only_the_months_of_its_session(with_past_months: Database) -> None:
    with with_past_months.admin() as admin:
        for _ in range(8):
            with admin.transaction():
                admin.execute(READ, ["lived 2", None])
                locked = admin.execute(
                    "select c.relname from pg_locks l join pg_class c on c.oid = l.relation"
                    " where l.pid = pg_backend_pid() and c.relkind = 'r' and c.relname like 'conversations%' order by 1"
                ).fetchall()
            assert [name for (name,) in locked] == months_lived(admin, 2)


def test_a_month_is_made_while_another_is_vacuumed(with_past_months: Database) -> None:
    with with_past_months.admin() as vacuum, with_past_months.admin() as admin, vacuum.transaction():
        (this_month,) = months_lived(admin, 1)
        # The lock that VACUUM holds while it works on a table.
        vacuum.execute(f"lock table robot_brain.{this_month} in share update exclusive mode")
        made = admin.execute("select robot_brain.make_month((now() - interval '9 months')::date)").fetchone()
        assert made == (True,)


def test_a_page_of_a_long_session_is_found_by_its_index(database: Database) -> None:
    with database.admin() as admin:
        admin.execute(
            "insert into robot_brain.conversations (tenant_id, session_id, seq, created_at,"
            " robot_personality, user_message, robot_response)"
            " select 'local', 's' || n % 40, n / 40 + 1, now(), 'barista', 'q', repeat('a', 200)"
            " from generate_series(0, 19999) n"
        )
        admin.execute(
            "insert into robot_brain.sessions (tenant_id, id, created_at, last_active, active_hour, message_count,"
            " response_length, answer_bytes)"
            " select 'local', 's' || n, now() - interval '1 second', now(), now(), 500, 9, 9"
            " from generate_series(0, 39) n"
        )
        admin.execute("vacuum analyze robot_brain.conversations")
        scans = explain_page(admin, "s7", 451, 500, "force_custom_plan").scans()
        partition = f"conversations_{datetime.now(UTC):%Y_%m}"
        assert scans in ([(partition, "Index Scan")], [(partition, "Bitmap Heap Scan")])


@pytest.mark.parametrize("analyzed", [False, True], ids=["no statistics", "statistics"])
def test_the_interactions_of_a_session_are_found_by_index_in_its_month(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        admin.execute("set timezone = 'UTC'")
        admin.execute(
            "select robot_brain.make_month((now() - make_interval(months => n))::date, 'robot_interactions')"
            " from generate_series(1, 2) n"
        )
        admin.execute(
            "insert into robot_brain.robot_interactions (tenant_id, session_id, seq, robot_id, interaction_type,"
            " duration_ms, success, created_at) select 'local', 's' || n % 300, n / 300 + 1, 'r', 'order', 1, true,"
            " date_trunc('month', now()) + interval '3 days' - make_interval(months => n % 3)"
            " from generate_series(0, 29999) n"
        )
        if analyzed:
            admin.execute("analyze robot_brain.robot_interactions")
        with admin.transaction():
            admin.execute("set local role robot_brain_owner")
            admin.execute("select set_config('robot_brain.tenant_id', 'local', true)")
            row = admin.execute(
                "explain (analyze, timing off, format json) select * from robot_brain.robot_interactions"
                " where tenant_id = 'local' and session_id = 's7' and seq between 1 and 50"
                " and created_at between date_trunc('month', now()) - interval '1 month'"
                " and date_trunc('month', now()) - interval '1 second'"
            ).fetchone()
        assert row is not None
        scans = Plan(row[0][0]).scans()
        month = month_name(admin, -1, "robot_interactions")
    assert scans in ([(month, "Index Scan")], [(month, "Bitmap Heap Scan")])


@pytest.mark.parametrize("analyzed", [False, True], ids=["no statistics", "statistics"])
def test_a_write_reads_only_its_own_key_and_one_in_128_clears_500(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        admin.execute("alter table robot_brain.idempotency_keys set (autovacuum_enabled = off)")
        # 1250 of them have expired, the others will expire within the day.
        admin.execute(
            "insert into robot_brain.idempotency_keys (tenant_id, key_hash, fingerprint, response, expires_at)"
            " select 'local', sha256(('k' || n)::bytea), '', repeat('x', 200),"
            " now() + make_interval(secs => n - 1249.5) from generate_series(0, 4999) n"
        )
        if analyzed:
            admin.execute("analyze robot_brain.idempotency_keys")
        assert rows_read(admin, WRITE, (None, uuid.uuid4()), "idempotency_keys") == 0
        keys = [f"new {n}" for n in range(5000)]
        for clears, left in ((False, 1250), (True, 750), (True, 250), (False, 250), (True, 0), (True, 0)):
            key = next(key for key in keys if clears_keys(key) == clears)
            keys.remove(key)
            assert rows_read(admin, WRITE, (key, None), "idempotency_keys") <= 1500 * clears
            expired = "select count(*) from robot_brain.idempotency_keys where expires_at < now()"
            assert admin.execute(expired).fetchone() == (left,)
