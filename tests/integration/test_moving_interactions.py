"""The interactions of an older schema move into months while the older functions write. A kill loses and doubles none."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.migrate import migrate
from tests.integration.migrations import FILES, PROCESS_ENDED, migrating, recorded
from tests.integration.months import WRITE, repeated, turns
from tests.integration.recounting import INTERACTION
from tests.integration.yoyo import migrate_with_yoyo
from tests.support.servers.databases import APP, create_database
from tests.support.servers.gate import wait_for_pid
from tests.support.servers.postgres import MIGRATOR, Postgres, start_embedded
from tests.support.waiting import wait_until

MOVE = "migrations/0003_interactions"
BEFORE = FILES[FILES.index(MOVE) - 1]
WRITERS = 3

# One tenant has more rows than two batches, and others have few. Two past months exist, and the others do not.
_ROWS = """
select robot_brain.make_month((now() - make_interval(months => n))::date) from generate_series(1, 2) n;
insert into robot_brain.robot_interactions (
  tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, metadata, created_at
)
select
  case when n <= 22000 then 'many' else 'tenant ' || n % 40 end, 's' || n % 97, n, 'r' || n % 7, 'order', n, n % 3 > 0,
  jsonb_build_object('n', n), now() - make_interval(months => n % 5, secs => n)
from generate_series(1, 23000) n;
insert into robot_brain.robot_interactions (
  tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, created_at
)
select 'many', 'far', n, '', '', 0, true, moment
from unnest(array['-infinity', 'infinity', '1999-12-31T23:59:59.999999Z']::timestamptz[])
  with ordinality far (moment, n);
"""
# The number of rows, of turns that they belong to, and a sum of hashes of their columns.
_SUM = """
select count(*), count(distinct (i.tenant_id, i.session_id, i.seq)), sum(hashtextextended(concat_ws('|',
  i.tenant_id, i.session_id, i.seq, i.robot_id, i.interaction_type, i.duration_ms, i.success, i.metadata,
  i.created_at), 0))
from ({}) i where i.tenant_id not like 'writer%'
"""
_COLUMNS = "tenant_id, session_id, seq, robot_id, interaction_type, duration_ms, success, metadata, created_at"
_OLD_EXISTS = "select to_regclass('robot_brain.robot_interactions_old') is not null"
# A migration can be stopped at each of its DDL statements, and at the move of each row whose id is a multiple of 1,000.
_STOPS = """
create schema stops;
create sequence stops.statement;
create sequence stops.row;
create table stops.at (kind text not null, place bigint not null);
create function stops.pass(p_kind text) returns void
language plpgsql security definer set search_path = pg_catalog set lock_timeout = 0
as $$
begin
  if current_setting('role') = 'robot_brain_owner'
    and exists (select from robot_brain_migrations.files where name = '{before}')
    and not exists (select from robot_brain_migrations.files where name = '{move}')
    and exists (select from stops.at where kind = p_kind and place = nextval('stops.' || kind))
  then
    perform pg_advisory_xact_lock(3329, 1);
  end if;
end
$$;
create function stops.at_statement() returns event_trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
  if to_regclass('robot_brain_migrations.files') is not null then
    perform stops.pass('statement');
  end if;
end
$$;
create function stops.at_row() returns trigger
language plpgsql security definer set search_path = pg_catalog
as $$
begin
  perform stops.pass('row');
  return old;
end
$$;
create trigger stop before delete on robot_brain.robot_interactions
for each row when (old.id % 1000 = 0) execute function stops.at_row();
create event trigger stops on ddl_command_start execute function stops.at_statement();
"""
_STOPPED = "select pid from pg_locks where locktype = 'advisory' and classid = 3329 and not granted"


@pytest.fixture(params=["without bypassrls", "with bypassrls"])
def older(cluster: Postgres, admin: psycopg.Connection, direct_url: str, request: pytest.FixtureRequest) -> str:
    """The migrating role's URL of a database of schema 2 with many interactions, for both kinds of this role."""
    bypasses = request.param == "with bypassrls"
    admin.execute(f"alter role {MIGRATOR} {'bypassrls' if bypasses else 'nobypassrls'}".encode())
    request.addfinalizer(lambda: _forget_bypassrls(cluster))
    migrate_with_yoyo(direct_url)
    admin.execute(f"alter role {APP} login password 'app'".encode())
    admin.execute(_ROWS)
    return direct_url


def _forget_bypassrls(cluster: Postgres) -> None:
    with cluster.admin() as main:
        main.execute(f"alter role {MIGRATOR} nobypassrls".encode())


def interactions(admin: psycopg.Connection) -> tuple[object, ...] | None:
    """Return the sum of all interactions but those of the writers."""
    tables = ["robot_interactions"]
    if admin.execute(_OLD_EXISTS).fetchone() == (True,):
        tables.append("robot_interactions_old")
    rows = " union all ".join(f"select {_COLUMNS} from robot_brain.{table}" for table in tables)
    return admin.execute(_SUM.format(rows).encode()).fetchone()


@contextmanager
def stops_in(admin: psycopg.Connection) -> Iterator[None]:
    """Build stops into the migration, and remove them after the block."""
    admin.execute(_STOPS.format(before=BEFORE, move=MOVE).encode())
    yield
    admin.execute("drop event trigger stops")
    admin.execute("drop schema stops cascade")


def kill_at(admin: psycopg.Connection, direct_url: str, kind: str, place: int, end: str) -> None:
    """Migrate, and kill the migration with -9 at its statement or row number `place`.

    `end` says what happens to its server process. It is ended or killed too, or it goes on and then finds no client.
    """
    admin.execute("delete from stops.at")
    admin.execute("insert into stops.at values (%s, %s)", [kind, place])
    admin.execute("select setval('stops.statement', 1, false), setval('stops.row', 1, false)")
    admin.execute("select pg_advisory_lock(3329, 1)")
    with migrating(direct_url) as process:
        stopped = wait_for_pid(admin, _STOPPED, (), process)
        process.kill()
        process.wait()
    if end == "killed":
        # The whole server restarts, and this connection is lost.
        os.kill(stopped, signal.SIGKILL)
        return
    if end == "ended":
        admin.execute("select pg_terminate_backend(%s)", [stopped])
    admin.execute("select pg_advisory_unlock(3329, 1)")
    wait_for_pid(admin, PROCESS_ENDED, [stopped])


@contextmanager
def older_functions_writing(cluster: Postgres, name: str) -> Iterator[list[int]]:
    """Write turns with interactions during the block, and yield how many each writer has written."""
    written = [0] * WRITERS
    stop = threading.Event()
    failures: list[BaseException] = []
    turn = turns(1, interaction=INTERACTION | {"robot_id": "r"})

    def write(number: int) -> None:
        try:
            with psycopg.connect(cluster.address.url(APP, "app", name), autocommit=True) as app:
                while not stop.is_set():
                    repeated(app, WRITE, (f"writer {number}", f"s{written[number] % 5}", turn))
                    written[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: bool(failures) or min(written) > 0)
        yield written
        last = list(written)
        wait_until(lambda: bool(failures) or all(now > then for now, then in zip(written, last, strict=True)))
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []


def test_interactions_move_once_in_spite_of_kills_while_the_older_functions_write(
    cluster: Postgres, admin: psycopg.Connection, older: str
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    before = interactions(admin)
    with older_functions_writing(cluster, admin.info.dbname) as written, stops_in(admin):
        # In the transaction that swaps the tables, in the move, and when the old table is dropped.
        for kind, places, end in (
            ("statement", 90, "ended"),
            ("statement", 90, "ended"),
            ("row", 8, "ended"),
            ("row", 8, "ended"),
            ("row", 3, "goes on"),
            ("statement", 2, "ended"),
        ):
            kill_at(admin, older, kind, chance.randint(1, places), end)
            assert interactions(admin) == before
        migrate(older)
        assert interactions(admin) == before
    assert recorded(admin) == FILES
    found = admin.execute(
        "select tenant_id, count(*), count(distinct (session_id, seq)) from robot_brain.robot_interactions"
        " where tenant_id like 'writer%' group by 1 order by 1"
    ).fetchall()
    assert found == [(f"writer {number}", count, count) for number, count in enumerate(written)]


def test_a_server_that_is_killed_during_the_move_loses_and_doubles_no_interaction() -> None:
    server = start_embedded()
    try:
        with server.admin() as main:
            create_database(main, "moved")
        url = server.direct_url("moved")
        with server.admin("moved") as admin:
            migrate_with_yoyo(url)
            admin.execute(_ROWS)
            before = interactions(admin)
            admin.execute(_STOPS.format(before=BEFORE, move=MOVE).encode())
        for kind, place in (("statement", 40), ("row", 5), ("row", 14), ("statement", 2)):
            with server.admin("moved") as admin:
                kill_at(admin, url, kind, place, "killed")
            wait_until(lambda: _answers(server))
            with server.admin("moved") as admin:
                assert interactions(admin) == before
        with server.admin("moved") as admin:
            migrate(url)
            assert interactions(admin) == before
    finally:
        server.stop()


def _answers(server: Postgres) -> bool:
    try:
        server.admin("moved").close()
    except psycopg.OperationalError:
        return False
    return True


def test_moved_interactions_lie_in_the_months_of_the_turns_or_in_the_default_partition(
    admin: psycopg.Connection, older: str
) -> None:
    migrate(older)
    places = dict(
        admin.execute(
            "select case when c.relname like '%default' then 'default' else 'month ' || (extract(year from age("
            "  date_trunc('month', now() at time zone 'UTC'), to_date(right(c.relname, 7), 'YYYY_MM'))) * 12"
            "  + extract(month from age(date_trunc('month', now() at time zone 'UTC'),"
            "  to_date(right(c.relname, 7), 'YYYY_MM'))))::text end, count(*)"
            " from robot_brain.robot_interactions i join pg_class c on c.oid = i.tableoid group by 1"
        ).fetchall()
    )
    assert set(places) <= {"month 0", "month 1", "month 2", "default"}
    assert places["default"] > 3
    made = []
    while (row := admin.execute("select robot_brain.make_next_month(3)").fetchone()) and row[0]["made"]:
        made.append(row[0]["made"])
    assert "1999-12" in made
    left = admin.execute("select count(*) from only robot_brain.robot_interactions_default").fetchone()
    assert left == (2,), "only the rows at infinity have no month"


def test_a_recount_fails_and_changes_no_figure_until_all_interactions_have_moved(
    admin: psycopg.Connection, older: str
) -> None:
    count = "select robot_brain.recount_begin('many')"
    with stops_in(admin):
        kill_at(admin, older, "row", 12, "ended")
        with admin.transaction():
            admin.execute("set local role robot_brain_stats")
            with pytest.raises(psycopg.errors.InsufficientPrivilege), admin.transaction():
                admin.execute(count)
    migrate(older)
    with admin.transaction():
        admin.execute("set local role robot_brain_stats")
        admin.execute(count)
        assert admin.execute("select counted from recounted where figure = 'interactions'").fetchone() == (22003,)
