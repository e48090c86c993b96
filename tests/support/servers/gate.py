"""A gate inside a database where a migration waits, so that it can be killed at a chosen statement."""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.support.waiting import wait_until

# Two integers: advisory locks of one bigint, which the migration itself takes, are told apart by objsubid.
_KEY = (0x0D00, 1)
# A sequence counts also what is rolled back. The lock_timeout that the migrations set would open the gate by itself.
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
    """The gate of one database; statements that define something are counted from 1."""

    admin: psycopg.Connection

    def close(self, at_statement: int) -> None:
        """Make whoever comes to the statement numbered `at_statement` wait."""
        self.admin.execute("insert into gate.stop values (%s)", [at_statement])
        self.admin.execute("select pg_advisory_lock(%s, %s)", _KEY)

    def wait_for_arrival(self, *clients: "subprocess.Popen[str]") -> int:
        """Return the pid of the server process that waits at the gate, once one does; fail if a client ends first."""
        return wait_for_pid(self.admin, _WAITING, _KEY, *clients)

    def open(self) -> None:
        """Let everybody through, now and later."""
        self.admin.execute("delete from gate.stop")
        self.admin.execute("select pg_advisory_unlock(%s, %s)", _KEY)

    def seen(self) -> list[tuple[int, int]]:
        """Return (statement, files applied before it) of all that went through and was committed."""
        return [(row[0], row[1]) for row in self.admin.execute("select * from gate.seen order by 1").fetchall()]


@contextmanager
def gate_in(admin: psycopg.Connection) -> Iterator[Gate]:
    """Build a gate into the database `admin` is connected to, and remove it in the end."""
    # An event trigger's function takes no parameters; both values are numbers of this module.
    admin.execute(_INSTALL % {"class": _KEY[0], "key": _KEY[1]})
    yield Gate(admin)
    admin.execute("drop event trigger gate")
    admin.execute("drop schema gate cascade")


def wait_for_pid(
    admin: psycopg.Connection, question: str, parameters: Sequence[object], *clients: "subprocess.Popen[str]"
) -> int:
    """Repeat `question` until it returns a row; return its first column.

    Raises TimeoutError if no row comes, AssertionError with what it wrote when one of `clients` ends before.
    """
    pids: list[int] = []

    def came() -> bool:
        pids.extend(row[0] for row in admin.execute(question, parameters).fetchall())
        if not pids:
            for client in clients:
                assert client.poll() is None, client.communicate()
        return bool(pids)

    wait_until(came, lambda: question)
    return pids[0]
