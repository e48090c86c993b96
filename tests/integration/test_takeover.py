"""`make migrate` takes over a database of yoyo-migrations whole or not at all, and keeps its rows."""

import difflib
import json

import psycopg
import pytest

from ops.errors import MigrationError
from ops.logins import APP
from ops.migrate import migrate, plan
from tests.integration.catalogue import catalogue
from tests.integration.migrations import FILES, PROCESS_ENDED, killed_at, recorded
from tests.integration.yoyo import migrate_with_yoyo
from tests.support.servers.databases import create_database, drop_database
from tests.support.servers.gate import gate_in, wait_for_pid
from tests.support.servers.postgres import Postgres

BASE = FILES[0]
AFTER_BASE = FILES[1:]
YOYO = "select to_regclass('robot_brain_migrations._yoyo_migration') is not null"
LEFT = """
select relname from pg_class
where relnamespace = 'robot_brain_migrations'::regnamespace and relkind = 'r' order by 1
"""
TURN = json.dumps([{"robot_personality": "barista", "user_message": "a", "robot_response": "bc", "metadata": {}}])
WRITE = """
select body, replayed, etag from robot_brain_api.write_message(
  p_tenant_id => 'local', p_session_id => %s, p_messages => %s, p_key => %s, p_first_id => %s, p_repeated => %s,
  p_schema_version => 2)
"""
# The members of a turn in an answer of schema 2.
MEMBERS = ["id", "seq", "robot_personality", "user_message", "robot_response", "metadata", "created_at"]


@pytest.fixture
def name(admin: psycopg.Connection) -> str:
    """The name of a new, empty database."""
    return admin.info.dbname


@pytest.fixture
def from_zero(empty_cluster: Postgres, name: str) -> list[str]:
    """The catalogue of a database that yoyo never migrated."""
    other = f"zero_{name}"
    with empty_cluster.admin() as main:
        create_database(main, other)
        migrate(empty_cluster.direct_url(other))
        with empty_cluster.admin(other) as admin:
            found = catalogue(admin)
        drop_database(main, other)
    return found


def test_a_database_upgraded_from_schema_2_equals_one_made_from_zero(
    admin: psycopg.Connection, direct_url: str, from_zero: list[str]
) -> None:
    migrate_with_yoyo(direct_url)
    assert catalogue(admin) != from_zero

    assert migrate(direct_url) == AFTER_BASE

    assert recorded(admin) == FILES
    differences = list(difflib.unified_diff(from_zero, catalogue(admin), lineterm="", n=0))
    assert differences == []
    assert migrate(direct_url) == []


def test_turns_written_before_a_takeover_are_read_counted_and_replayed_after_it(
    empty_cluster: Postgres, admin: psycopg.Connection, direct_url: str, name: str
) -> None:
    migrate_with_yoyo(direct_url)
    admin.execute(f"alter role {APP} login password 'app'")
    with psycopg.connect(empty_cluster.address.url(APP, "app", name), autocommit=True) as app:
        first_id = "11111111-1111-4111-8111-111111111111"
        by_key = app.execute(WRITE, ["one", TURN, "key", None, False]).fetchone()
        by_id = app.execute(WRITE, ["one", TURN, None, first_id, False]).fetchone()
        app.execute("select robot_brain_api.refresh_stats()")
        app.execute(WRITE, ["two", TURN, None, None, False])
        before = answers(app)
        assert by_key is not None
        assert by_id is not None

        migrate(direct_url)

        # The connection still has the plans from before the takeover.
        assert answers(app) == before
        assert app.execute(WRITE, ["one", TURN, "key", None, False]).fetchone() == (by_key[0], True, None)
        assert app.execute(WRITE, ["one", TURN, None, first_id, True]).fetchone() == (by_id[0], True, None)
        assert answers(app) == before
    with psycopg.connect(empty_cluster.address.url(APP, "app", name), autocommit=True) as app:
        assert answers(app) == before
        written = app.execute(WRITE, ["one", TURN, None, None, False]).fetchone()
        assert written is not None
        assert json.loads(written[0])["last_seq"] == 3


def answers(app: psycopg.Connection) -> list[object]:
    """Return the answers of a read and of the statistics, reduced to the members of schema 2.

    Without ages and the longest sessions, because a migration makes their view again.
    """
    read = app.execute("select body, etag from robot_brain_api.read_session('local', 'one')").fetchone()
    stats = app.execute("select body from robot_brain_api.stats('local')").fetchone()
    assert read is not None
    assert stats is not None
    page = json.loads(read[0])
    messages = [{member: turn[member] for member in MEMBERS} for turn in page["messages"]]
    figures = json.loads(stats[0])
    for member in ("age_seconds", "as_of", "top_sessions"):
        del figures[member]
    assert figures["totals"]["messages"] == 3
    return [page | {"messages": messages}, read[1], figures]


def test_the_plan_for_a_database_of_yoyo_names_the_functions_and_changes_nothing(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate_with_yoyo(direct_url)
    before = catalogue(admin)

    assert plan(direct_url) == AFTER_BASE

    assert catalogue(admin) == before


def test_a_takeover_killed_at_any_statement_leaves_the_old_schema(
    cluster: Postgres, empty_cluster: Postgres, admin: psycopg.Connection, direct_url: str, name: str
) -> None:
    other = f"whole_{name}"
    with empty_cluster.admin() as main:
        create_database(main, other)
        migrate_with_yoyo(empty_cluster.direct_url(other))
        with empty_cluster.admin(other) as looking, gate_in(looking) as gate:
            migrate(empty_cluster.direct_url(other))
            statements = [statement for statement, applied in gate.seen() if applied == 0]
        with empty_cluster.admin(other) as looking:
            whole = catalogue(looking)
        drop_database(main, other)
    # Every statement on one server, and some statements on the others.
    chosen = statements if cluster.kind == "embedded" and cluster.version == 18 else statements[::8]
    assert len(statements) > 10

    migrate_with_yoyo(direct_url)
    before = catalogue(admin)
    for statement in chosen:
        with gate_in(admin) as gate, killed_at(gate, direct_url, statement) as backend:
            gate.open()
            wait_for_pid(admin, PROCESS_ENDED, [backend])
        assert catalogue(admin) == before, statement
        assert admin.execute(YOYO).fetchone() == (True,)

    assert migrate(direct_url) == AFTER_BASE
    assert catalogue(admin) == whole


@pytest.mark.parametrize("files", [1, 3, 5])
def test_a_takeover_of_an_incomplete_schema_2_is_refused_with_advice_and_changes_nothing(
    admin: psycopg.Connection, direct_url: str, files: int
) -> None:
    migrate_with_yoyo(direct_url, files)
    before = catalogue(admin)

    for command in (migrate, plan):
        with pytest.raises(MigrationError, match=r"older schema.*from a checkout that has sql/0006_recount.sql"):
            command(direct_url)

    assert catalogue(admin) == before


def test_a_takeover_of_another_schema_version_is_refused_and_changes_nothing(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate_with_yoyo(direct_url)
    admin.execute(
        "create or replace function robot_brain.schema_version() returns integer"
        " language sql immutable parallel safe return 1"
    )
    before = catalogue(admin)

    with pytest.raises(MigrationError, match="older schema"):
        migrate(direct_url)

    assert catalogue(admin) == before


def test_tables_of_yoyo_without_a_row_are_dropped_and_the_schema_is_made_from_zero(
    admin: psycopg.Connection, direct_url: str, from_zero: list[str]
) -> None:
    # A first `make migrate` leaves such tables if it is killed before its first file.
    migrate_with_yoyo(direct_url, files=0)

    assert migrate(direct_url) == FILES

    assert catalogue(admin) == from_zero


def test_a_lock_row_of_a_dead_process_of_yoyo_does_not_stop_a_takeover(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate_with_yoyo(direct_url)
    admin.execute("insert into robot_brain_migrations.yoyo_lock (ctime, pid) values (now(), 999999)")

    assert migrate(direct_url) == AFTER_BASE

    assert admin.execute(LEFT).fetchall() == [("files",)]


def test_the_next_migration_drops_tables_that_an_older_checkout_made_after_a_takeover(
    admin: psycopg.Connection, direct_url: str
) -> None:
    migrate_with_yoyo(direct_url)
    migrate(direct_url)
    # yoyo makes its tables, and then its first file fails because the schema exists.
    admin.execute("set role robot_brain_migrator")
    admin.execute("create table robot_brain_migrations._yoyo_migration (migration_id varchar(255))")
    admin.execute("reset role")

    assert migrate(direct_url) == []

    assert recorded(admin) == FILES
    assert admin.execute(LEFT).fetchall() == [("files",)]
