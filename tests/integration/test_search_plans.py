"""A write makes no word and waits for no filler, and a search finds rare words by the index."""

import json
from datetime import UTC, datetime

import psycopg

from tests.integration.searched import Searching
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.plans import indexes_scanned, rows_read
from tests.support.servers.databases import Database

pytestmark = without_pooler

TURNS = 6_000
LOCKED = """
select distinct c.relname from pg_locks l join pg_class c on c.oid = l.relation
where l.pid = pg_backend_pid()
  and (c.relname like 'turn_words%' or c.relname in ('search_queue', 'search_state', 'word_filling'))
"""
CALLED = "select funcname from pg_stat_xact_user_functions where schemaname = 'robot_brain'"
WORDS_ARE_MADE_BY = {"words_of", "plain_text", "folded_text", "fill_words"}
WRITE = "select robot_brain_api.write_message(p_tenant_id => 'local', p_session_id => %s, p_messages => %s)"
# A search of a session begins with the index. Others read the newest turns one by one before.
SEARCH = (
    "select body from robot_brain_api.search(p_tenant_id => 'local', p_query => %s, p_in => %s, p_session_id => 's')"
)


def test_a_write_makes_no_word_and_touches_no_table_of_the_words(database: Database) -> None:
    with database.admin() as admin:
        admin.execute("set track_functions = 'all'")
        for key in (None, "key"):
            with admin.transaction():
                admin.execute(WRITE.replace(")", ", p_key => %s)"), ["s", json.dumps([turn(metadata={})]), key])
                assert admin.execute(LOCKED.encode()).fetchall() == []
                called = {name for (name,) in admin.execute(CALLED)}
        assert "insert_turns" in called
        assert called & WORDS_ARE_MADE_BY == set()
        with admin.transaction():
            admin.execute("select robot_brain_api.refresh_stats(0)")
            admin.execute("select robot_brain_api.fill_search()")
            # The test sees the tables and functions of words if they are used.
            assert len(admin.execute(LOCKED.encode()).fetchall()) > 3
            assert {name for (name,) in admin.execute(CALLED)} >= WORDS_ARE_MADE_BY


def test_a_filler_keeps_no_writer_and_no_reader_waiting(bundle: Bundle, database: Database) -> None:
    assert bundle.write("s", turn(user_message="hot milk")).status == 201
    with database.admin() as filling, database.admin() as other, filling.transaction():
        filling.execute("select robot_brain_api.refresh_stats(0)")
        made = filling.execute("select body from robot_brain_api.fill_search()").fetchone()
        assert made is not None
        assert json.loads(made[0])["words_made"] == 1
        # A statement that waits for the filler's transaction fails.
        other.execute("set lock_timeout = '1s'")
        searching = Searching(other)
        searching.write("s", ("cold milk", ""))
        searching.write("other", ("warm milk", ""))
        assert searching.found("milk") == {("s", 1), ("s", 2), ("other", 1)}
        assert searching.found("milk", p_order="relevance") == {("s", 1), ("s", 2), ("other", 1)}
        other.execute("select robot_brain_api.read_session('local', 's', 50, null, null, null, '{}')")
        # Another filler that may not wait does nothing.
        assert searching.one("select body from robot_brain_api.fill_search(p_wait => false)") == (None,)
    with database.admin() as admin:
        assert Searching(admin).found("milk") == {("s", 1), ("s", 2), ("other", 1)}


def test_a_write_that_is_not_committed_keeps_no_filler_waiting(database: Database) -> None:
    with database.admin() as writing, database.admin() as admin:
        searching = Searching(admin)
        searching.write("s", ("hot milk", ""))
        with writing.transaction():
            writing.execute(WRITE.encode(), ["other", json.dumps([turn(metadata={}, user_message="warm milk")])])
            admin.execute("set lock_timeout = '1s'")
            assert searching.fill() == 1
            assert searching.found("milk") == {("s", 1)}
        assert searching.found("milk") == {("s", 1), ("other", 1)}


def test_a_rare_word_is_found_by_the_index_of_the_words_without_statistics(database: Database) -> None:
    month = f"turn_words_{datetime.now(UTC):%Y_%m}"
    with database.admin() as admin:
        searching = Searching(admin)
        admin.execute(f"alter table robot_brain.{month} set (autovacuum_enabled = off)".encode())
        store(admin)
        searching.fill()
        for word, text_of in (("rare", None), ("rare", "user"), ('"rare turn"', None), ("absent", None)):
            for _ in range(7):
                scanned = indexes_scanned(admin, SEARCH, (word, text_of))
                assert f"{month}_words_idx" in scanned, (word, scanned)
                read = rows_read(admin, SEARCH, (word, text_of), month)
                assert read < TURNS / 2, (word, read)


def store(admin: psycopg.Connection) -> None:
    """Store queued turns of this month, of which every 1,000th has the word rare."""
    admin.execute(
        "insert into robot_brain.sessions (tenant_id, id, created_at, last_active, active_hour, message_count,"
        " response_length, answer_bytes) select 'local', 's', now(), now(), now(), %(n)s, 9, 9",
        {"n": TURNS},
    )
    admin.execute(
        "insert into robot_brain.conversations"
        " (tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response)"
        " select 'local', 's', n, now() + n * interval '1 microsecond', 'barista',"
        " case when n %% 1000 = 0 then 'a rare turn' else 'common words' end, 'common'"
        " from generate_series(1, %(n)s) n",
        {"n": TURNS},
    )
    admin.execute(
        "insert into robot_brain.search_queue (tenant_id, session_id, from_seq, to_seq, day)"
        " select 'local', 's', n, n + 99, (now() at time zone 'UTC')::date from generate_series(1, %(n)s, 100) n",
        {"n": TURNS},
    )
