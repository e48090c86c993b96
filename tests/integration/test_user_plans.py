"""An e-mail, a page of users and a profile are found by an index under forced row-level security."""

import psycopg
import pytest

from tests.support.plans import indexes_scanned, rows_read
from tests.support.search_calls import turn, write
from tests.support.servers.databases import Database

USERS = 20_000
PAGE = 20
# Five users have the same time, and half of them have a profile. Another tenant has as many users.
FILL = f"""
insert into robot_brain.users (tenant_id, id, email, email_key, created_at, updated_at)
select t.tenant, 'u' || n, 'U' || n || '@b', 'u' || n || '@b', v.at, v.at
from (values ('local'), ('other')) t (tenant), generate_series(1, {USERS}) n,
  lateral (select '2026-01-01'::timestamptz + n / 5 * interval '1 second') v (at);
insert into robot_brain.user_profiles (tenant_id, user_id, first_name, created_at, updated_at)
select tenant_id, id, 'x', created_at, created_at from robot_brain.users where right(id, 1) < '5';
"""
BY_EMAIL = "select body from robot_brain_api.list_users('local', p_email_key => %s)"
FIRST_PAGE = "select body from robot_brain_api.list_users('local', %s)"
NEXT_PAGE = "select body from robot_brain_api.list_users('local', %s, %s)"
READ = "select body from robot_brain_api.read_user('local', %s)"
SAVE = "select body from robot_brain_api.save_user('local', %s, %s, 'x@y')"
CREATE = "select body from robot_brain_api.create_user('local', %s, '{}')"
ERASE = "select state from robot_brain_api.erase_user('local', %s)"
COUNT = "select body from robot_brain_api.count_user('local', %s)"
EXPORT = "select body from robot_brain_api.export_user('local', %s)"

kinds = pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
analyzed = pytest.mark.parametrize("analyzed", [False, True], ids=["no statistics", "statistics"])


def fill(admin: psycopg.Connection, analyzed: bool) -> None:
    """Store many users of two tenants. Without statistics, as a server that slept before autovacuum came."""
    for table in ("users", "user_profiles"):
        admin.execute(f"alter table robot_brain.{table} set (autovacuum_enabled = off)".encode())
    admin.execute(FILL.encode())
    if analyzed:
        admin.execute("vacuum analyze robot_brain.users, robot_brain.user_profiles")


@kinds
@analyzed
def test_an_email_reads_one_user_and_its_profile_among_many(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        fill(admin, analyzed)
        for _ in range(8):
            assert rows_read(admin, BY_EMAIL, ("u7000@b",), "users") == 1
            assert rows_read(admin, BY_EMAIL, ("u7000@b",), "user_profiles") == 1
        assert rows_read(admin, BY_EMAIL, ("nobody@b",), "users") == 0


@kinds
@analyzed
def test_a_page_of_users_reads_one_user_more_than_it_has_at_each_place(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        fill(admin, analyzed)
        assert rows_read(admin, FIRST_PAGE, (PAGE,), "users") <= PAGE + 1
        for place in (USERS, USERS // 2, 42):
            row = admin.execute(
                "select robot_brain.make_cursor((extract(epoch from created_at) * 1000000)::bigint, id, 'users')"
                " from robot_brain.users where tenant_id = 'local' and id = %s",
                [f"u{place}"],
            ).fetchone()
            assert row is not None
            for _ in range(8):
                # The users with the time of the last one before, and those of the page.
                assert rows_read(admin, NEXT_PAGE, (PAGE, row[0]), "users") <= PAGE + 1 + 5
                assert rows_read(admin, NEXT_PAGE, (PAGE, row[0]), "user_profiles") <= PAGE + 1


@kinds
@analyzed
def test_users_are_found_by_the_indexes_that_are_made_for_them(database: Database, analyzed: bool) -> None:
    with database.admin() as admin:
        fill(admin, analyzed)
        for _ in range(8):
            found = indexes_scanned(admin, BY_EMAIL, ("u7000@b",))
            assert found == {"users_email_key": 1, "user_profiles_user_key": 1}
            found = indexes_scanned(admin, FIRST_PAGE, (PAGE,))
            assert found.pop("user_profiles_user_key") >= 1
            assert found == {"users_listed_idx": 1}
            found = indexes_scanned(admin, READ, ("u7000",))
            assert found == {"users_pkey": 1, "user_profiles_user_key": 1}


@kinds
def test_plans_of_an_empty_table_still_use_the_indexes_after_it_has_grown(database: Database) -> None:
    with database.admin() as admin, database.admin() as connection:
        for table in ("users", "user_profiles"):
            admin.execute(f"alter table robot_brain.{table} set (autovacuum_enabled = off)".encode())
        admin.execute("vacuum analyze robot_brain.users, robot_brain.user_profiles")
        calls: list[tuple[str, tuple[object, ...]]] = [
            (BY_EMAIL, ("u7000@b",)),
            (FIRST_PAGE, (PAGE,)),
            (READ, ("u7000",)),
            (SAVE, ("u7000", '{"email": "x@y"}')),
            (CREATE, ("u7000",)),
            (ERASE, ("u7000",)),
            (COUNT, ("u7000",)),
            (EXPORT, ("u7000",)),
        ]
        for _ in range(8):
            for statement, parameters in calls:
                with connection.transaction(force_rollback=True):
                    connection.execute(statement.encode(), parameters)
        admin.execute(FILL.encode())
        read = {}
        for statement, parameters in calls:
            for table in ("users", "user_profiles"):
                with connection.transaction(force_rollback=True):
                    read[statement, table] = rows_read(connection, statement, parameters, table)
        assert {place: rows for place, rows in read.items() if rows > PAGE + 2} == {}


@kinds
def test_a_step_looks_once_for_the_ids_of_all_sessions_that_it_erases(database: Database) -> None:
    """No index leads from a session to its uncounted rows. An erasure adds some, so a look for each session is slow."""
    with database.app() as app:
        for n in range(20):
            write(app, f"s{n}", turn("a coffee"), as_user="u")
    with database.admin() as admin, admin.transaction():
        steps = 0
        while admin.execute(ERASE, ["u"]).fetchone() == ("erasing",):
            steps += 1
        scans = admin.execute("select seq_scan from pg_stat_xact_user_tables where relname = 'uncounted'").fetchone()
    assert scans is not None
    assert 1 <= scans[0] <= steps + 1
