"""A gate inside a database that makes a migration wait, so that a test can kill it at a chosen statement."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.support.waiting import wait_until

# Two integers, because the migration itself locks one bigint. pg_locks.objsubid differs between the two kinds.
_KEY = (0x0D00, 1)
# A sequence also counts what is rolled back. Without lock_timeout 0 the timeout of the migrations would open the gate.
_INSTALL = """
create schema gate;
create sequence gate.statements;
create table gate.stop (at_statement bigint not null);
create table gate.seen (statement bigint not null, applied bigint not null);

create function gate.wait() returns event_trigger
language plpgsql security definer set search_path = pg_catalog set lock_timeout = 0
as $$
declare
  v_statement constant bigint := nextval('gate.statements');
  v_applied bigint := 0;
begin
  if to_regclass('robot_brain_migrations.files') is not null then
    select count(*) into v_applied from robot_brain_migrations.files;
  end if;
  insert into gate.seen values (v_statement, v_applied);
  if exists (select from gate.stop where at_statement = v_statement) then
    perform pg_advisory_xact_lock(%(class)s, %(key)s);
  end if;
end
$$;

create event trigger gate on ddl_command_start execute function gate.wait();
"""
_WAITING = """
select l.pid from pg_locks l
where l.locktype = 'advisory' and not l.granted and l.classid = %s and l.objid = %s and l.objsubid = 2
  and l.database = (select oid from pg_database where datname = current_database())
"""


@dataclass(frozen=True)
class Gate:
    """The gate of one database. It counts the DDL statements from 1."""

    admin: psycopg.Connection

    def close(self, at_statement: int) -> None:
        """Make each client wait that reaches the statement numbered `at_statement`."""
        self.admin.execute("insert into gate.stop values (%s)", [at_statement])
        self.admin.execute("select pg_advisory_lock(%s, %s)", _KEY)

    def wait_for_arrival(self, *clients: "subprocess.Popen[str]") -> int:
        """Return the pid of a server process once it waits at the gate. Fail if a client ends before."""
        return wait_for_pid(self.admin, _WAITING, _KEY, *clients)

    def open(self) -> None:
        """Let all clients through, now and later."""
        self.admin.execute("delete from gate.stop")
        self.admin.execute("select pg_advisory_unlock(%s, %s)", _KEY)

    def seen(self) -> list[tuple[int, int]]:
        """Return (statement, files applied before it) of each statement that passed and was committed."""
        return [(row[0], row[1]) for row in self.admin.execute("select * from gate.seen order by 1").fetchall()]


@contextmanager
def gate_in(admin: psycopg.Connection) -> Iterator[Gate]:
    """Build a gate into the database that `admin` is connected to, and remove it after the block."""
    # An event trigger's function takes no parameters; both values are numbers of this module.
    admin.execute(_INSTALL % {"class": _KEY[0], "key": _KEY[1]})
    yield Gate(admin)
    admin.execute("drop event trigger gate")
    admin.execute("drop schema gate cascade")


def wait_for_pid(
    admin: psycopg.Connection, question: str, parameters: Sequence[object], *clients: "subprocess.Popen[str]"
) -> int:
    """Repeat the query `question` until it returns a row, and return the first column.

    Raises TimeoutError if no row comes, and AssertionError with a client's output if one of `clients` ends before.
    """
    pids: list[int] = []

    def arrived() -> bool:
        pids.extend(row[0] for row in admin.execute(question, parameters).fetchall())
        if not pids:
            for client in clients:
                assert client.poll() is None, client.communicate()
        return bool(pids)

    wait_until(arrived, lambda: question)
    return pids[0]
