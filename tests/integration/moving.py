"""Stop and kill the migration that moves interactions into months, and compare the interactions before and after."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from tests.integration.migrations import FILES, PROCESS_ENDED, migrating
from tests.support.servers.gate import wait_for_pid
from tests.support.waiting import wait_until

_MOVE = "migrations/0003_interactions"
_BEFORE = FILES[FILES.index(_MOVE) - 1]

# One tenant has more rows than two batches, and others have few. Two past months exist, and the others do not.
ROWS = """
set role robot_brain_owner;
select robot_brain.make_month((now() - make_interval(months => n))::date) from generate_series(1, 2) n;
reset role;
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


def interactions(admin: psycopg.Connection) -> tuple[object, ...] | None:
    """Return the sum of all interactions but those of the writers."""
    tables = ["robot_interactions"]
    if admin.execute(_OLD_EXISTS).fetchone() == (True,):
        tables.append("robot_interactions_old")
    rows = " union all ".join(f"select {_COLUMNS} from robot_brain.{table}" for table in tables)
    return admin.execute(_SUM.format(rows).encode()).fetchone()


def build_stops(admin: psycopg.Connection) -> None:
    """Build stops into the migration."""
    admin.execute(_STOPS.format(before=_BEFORE, move=_MOVE).encode())


@contextmanager
def stops_in(admin: psycopg.Connection) -> Iterator[None]:
    """Build stops into the migration, and remove them after the block."""
    build_stops(admin)
    yield
    admin.execute("drop event trigger stops")
    admin.execute("drop schema stops cascade")


def _is_lost(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


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
        os.kill(stopped, signal.SIGKILL)
        # The whole server restarts. Until it does, it still accepts connections, and would then end them.
        wait_until(lambda: _is_lost(admin))
        return
    if end == "ended":
        admin.execute("select pg_terminate_backend(%s)", [stopped])
    admin.execute("select pg_advisory_unlock(3329, 1)")
    wait_for_pid(admin, PROCESS_ENDED, [stopped])
