"""End a login of the functions that holds the advisory lock of an operator's command.

Any role may take any advisory lock, and no function takes these. So a stolen password could stop each command, and a
lock may also stay behind on a connection of a pooler.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg

from ops.errors import MigrationError
from ops.logins import LOGINS

# pg_locks shows the two halves of a key of 64 bits, with objsubid 1.
_HOLDERS = """
select a.pid, a.usename
from pg_catalog.pg_locks l
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where l.locktype = 'advisory'
  and l.granted
  and l.database = (select d.oid from pg_catalog.pg_database d where d.datname = pg_catalog.current_database())
  and l.classid = ((%(key)s::bigint >> 32) & 4294967295)::oid
  and l.objid = (%(key)s::bigint & 4294967295)::oid
  and l.objsubid = 1
"""
# It returns once the connection has ended, or after 5 seconds.
_END = "select pg_catalog.pg_terminate_backend(%s, 5000)"

logger = logging.getLogger("robot_brain.operator")


def end_logins(connection: psycopg.Connection[Any], key: int) -> str:
    """End each login of the functions that holds the advisory lock `key`, with a warning. Name the other holders.

    Raises MigrationError if the connecting role may not end a login. It names the process and the role.
    """
    others = []
    for pid, role in connection.execute(_HOLDERS, {"key": key}).fetchall():
        # Not every member of robot_brain_app, because the role that migrates is one, too.
        if role not in LOGINS:
            others.append(f"process {pid} of {role}")
            continue
        try:
            with connection.transaction():
                connection.execute("set local role none")
                connection.execute(_END, (pid,))
        except psycopg.errors.InsufficientPrivilege as error:
            raise MigrationError(
                f"{role} holds the lock of this command, and this role may not end its connection: "
                f"{error.diag.message_primary}. Run as a superuser: select pg_terminate_backend({pid})"
            ) from error
        logger.warning("ended process %s of %s, which held the lock of this command", pid, role)
    return ", ".join(others)
