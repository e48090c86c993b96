"""Who holds the advisory lock of an operator's command. A login of the functions that holds such a lock is ended.

Any role may take any advisory lock, and no function takes these. So a stolen password could stop each command, and a
lock may also stay behind on a connection of a pooler.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import psycopg

from ops.errors import MigrationError
from ops.logins import LOGINS

# pg_locks shows the two halves of a key of 64 bits, with objsubid 1. A prepared transaction has no process. A role sees
# of other roles only the process and the name.
_HOLDERS = """
select l.pid = pg_catalog.pg_backend_pid(), l.pid, a.usename, a.application_name,
  pg_catalog.to_char(a.backend_start at time zone interval '0', 'YYYY-MM-DD HH24:MI:SS')
from pg_catalog.pg_locks l
left join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory'
  and l.granted
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.classid = ((%(key)s::bigint >> 32) & 4294967295)::oid
  and l.objid = (%(key)s::bigint & 4294967295)::oid
  and l.objsubid = 1
  and (l.pid is null or a.pid is not null)
order by l.pid
"""
# It returns once the connection has ended, or after 5 seconds.
_END = """
select pg_catalog.pg_terminate_backend(a.pid, 5000)
from pg_catalog.pg_stat_activity a
where a.pid = %s and (a.state = 'idle' or not %s)
"""

logger = logging.getLogger("robot_brain.operator")


class Holder(NamedTuple):
    """A connection that holds the lock. `application` and `since` (UTC) are empty if this role may not see them.

    `is_own` says that this process of the server holds it. `pid` is 0 for a prepared transaction.
    """

    is_own: bool
    pid: int
    role: str
    application: str
    since: str

    def __str__(self) -> str:
        if not self.pid:
            return "a prepared transaction"
        application = f", {self.application}" if self.application else ""
        return (
            f"process {self.pid} of {self.role}{application}{f', connected since {self.since} UTC' * bool(self.since)}"
        )

    @property
    def end(self) -> str:
        """The statement that ends the holder."""
        return f"select pg_terminate_backend({self.pid})" if self.pid else "rollback prepared (see pg_prepared_xacts)"


def holders_of(connection: psycopg.Connection[Any], key: int) -> list[Holder]:
    """Return the holders of the advisory lock `key` of this database."""
    rows = connection.execute(_HOLDERS, {"key": key}).fetchall()
    return [Holder(bool(own), pid or 0, role or "", name or "", since or "") for own, pid, role, name, since in rows]


def end_holder(connection: psycopg.Connection[Any], holder: Holder, *, only_idle: bool = False) -> None:
    """End the connection of a holder. Raises InsufficientPrivilege if the connecting role may not."""
    with connection.transaction():
        connection.execute("set local role none")
        connection.execute(_END, (holder.pid, only_idle))


def end_logins(connection: psycopg.Connection[Any], key: int) -> Sequence[Holder]:
    """End each login of the functions that holds the advisory lock `key`, with a warning. Return the other holders.

    Raises MigrationError if the connecting role may not end a login. It names the process and the role.
    """
    others = []
    for holder in holders_of(connection, key):
        # Not every member of robot_brain_app, because the role that migrates is one, too.
        if holder.role not in LOGINS:
            others.append(holder)
            continue
        try:
            end_holder(connection, holder)
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"{holder.role} holds the lock of this command, and this role may not end its connection: "
                f"{error.diag.message_primary}. Run as a superuser: {holder.end}"
            ) from error
        logger.warning("ended process %s of %s, which held the lock of this command", holder.pid, holder.role)
    return others
