"""What a search and the filler read does not grow with what they do not need: other sessions, months and keys."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.support.plans import indexes_scanned, rows_read
from tests.support.search_calls import fill_all, refresh, turn, write
from tests.support.servers.databases import Database

pytestmark = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)

SESSIONS = 60
WORDS = 10_000  # of a month
_UTC = "set timezone = 'UTC'; set datestyle = 'ISO'"
_MONTHS = "select date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' - make_interval(months => %s)"
# One of a hundred turns has the word `zebra`.
_FILL_MONTH = """
insert into robot_brain.turn_words (tenant_id, session_id, seq, created_at, words)
select
  'local', 's' || n %% 50, n, %(month)s::timestamptz + n * interval '1 second',
  array_to_tsvector(array[e'\\x01local', repeat('x', 800), case when n %% 100 = 1 then 'zebra' else 'horse' end])
from generate_series(1, %(words)s) n
"""
_SESSIONS = """
insert into robot_brain.sessions
  (tenant_id, id, created_at, last_active, active_hour, message_count, response_length, answer_bytes)
select 'local', 's' || n, now(), now(), now(), 1, 1, 1 from generate_series(0, 49) n
"""
_MATCH = """
select cardinality(times), low_time
from robot_brain.match_months(
  'local', e'zebra & \\x01local', e'\\x01local', null, null, %s::timestamptz[], '-infinity', 'infinity', '', 0, %s,
  clock_timestamp() + %s::interval
)
"""
_KEY_ENTRIES = """
select coalesce(sum(pg_stat_get_xact_tuples_returned(i.indexrelid)), 0)
from pg_index i
join pg_inherits h on h.inhrelid = i.indrelid
where h.inhparent = 'robot_brain.turn_words'::regclass and i.indisprimary
"""
_COMPILES = """
select p.proname from pg_proc p
where 'enable_seqscan=off' = any (p.proconfig)
  and (p.proowner = 'robot_brain_search'::regrole or p.prosrc ~ 'find_turns')
  and not 'jit=off' = any (p.proconfig)
"""


@contextmanager
def three_months(database: Database) -> Iterator[tuple[psycopg.Connection, list[object]]]:
    """Make three months without words. Yield a connection with the role and settings of find_turns, and the months."""
    with database.admin() as admin, database.admin() as connection:
        for each in (admin, connection):
            each.execute(_UTC)
        months = [admin.execute(_MONTHS, [number]).fetchone()[0] for number in (1, 2, 3)]  # type: ignore[index]  # it has a row
        admin.execute(_SESSIONS)
        connection.execute("set role robot_brain_search")
        for month in months:
            connection.execute("select robot_brain.add_words_month(%s)", [month])
        for name in ("seqscan", "hashjoin", "mergejoin"):
            connection.execute(f"set enable_{name} = off".encode())
        yield connection, months


def fill_months(database: Database, months: list[object]) -> None:
    """Insert the words of the months."""
    with database.admin() as admin:
        for month in months:
            admin.execute(_FILL_MONTH, {"month": month, "words": WORDS})


def test_a_search_reads_the_sessions_of_its_hits_only(database: Database) -> None:
    with database.admin() as admin, database.app() as app:
        for number in range(SESSIONS):
            write(app, f"s{number}", turn("zebra" if number % 20 == 0 else "horse"))
        fill_all(app)
        read = rows_read(admin, "select robot_brain_api.search('local', 'zebra')", (), "sessions")
    assert read <= 2 * SESSIONS // 20


def test_the_filler_reads_each_row_of_its_queue_a_few_times(database: Database) -> None:
    with database.admin() as admin, database.app() as app:
        for table in ("search_queue", "sessions"):
            admin.execute(f"alter table robot_brain.{table} set (autovacuum_enabled = off)".encode())
        for number in range(SESSIONS):
            write(app, f"s{number}", *[turn("horse")] * 15)
        refresh(app)
        read = rows_read(admin, "select robot_brain_api.fill_search()", (), "search_queue")
    assert read <= 6 * SESSIONS


@pytest.mark.parametrize("plan", ["of empty months", "without statistics", "with statistics"])
def test_a_search_of_months_does_not_read_the_primary_key(database: Database, plan: str) -> None:
    with three_months(database) as (connection, months):
        if plan == "of empty months":
            connection.execute(_MATCH, [months, 1000, "1 hour"])
        fill_months(database, months)
        if plan == "with statistics":
            with database.admin() as admin:
                admin.execute("vacuum analyze robot_brain.turn_words")
        with connection.transaction():
            before = connection.execute(_KEY_ENTRIES).fetchone()
            found = connection.execute(_MATCH, [months, 1000, "1 hour"]).fetchone()
            after = connection.execute(_KEY_ENTRIES).fetchone()
    assert found is not None
    assert found[0] == 3 * WORDS // 100
    assert after == before


def test_a_search_whose_time_is_over_reads_one_month_only(database: Database) -> None:
    with three_months(database) as (connection, months):
        fill_months(database, months)
        found = connection.execute(_MATCH, [months, 1000, "-1 hour"]).fetchone()
    assert found == (WORDS // 100, months[0])


def test_a_search_of_months_reads_no_month_after_the_one_that_fills_its_page(database: Database) -> None:
    with three_months(database) as (connection, months):
        fill_months(database, months)
        scanned = indexes_scanned(connection, _MATCH, (months, WORDS // 100 - 2, "1 hour"))
    assert len([name for name in scanned if name.endswith("words_idx")]) == 1


def test_no_statement_of_a_search_is_compiled(database: Database) -> None:
    with database.admin() as admin:
        names = json.dumps(admin.execute(_COMPILES).fetchall())
    assert names == "[]"
