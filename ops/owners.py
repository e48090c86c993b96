"""The roles that own the objects in the database. They need no attribute, no login and no other role as a member."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg import sql

from ops.logins import LOGINS, wrong_attributes
from ops.roles import AUDIT, OWNER, SEARCH, STATS

OWNERS = (OWNER, STATS, AUDIT, SEARCH)

# Only a superuser may read passwords. Without a login a password opens nothing.
_MAY_READ_PASSWORDS = "select pg_catalog.has_table_privilege('pg_catalog.pg_authid', 'select')"
_WITH_PASSWORD = "select rolname from pg_catalog.pg_authid where rolname = any (%s) and rolpassword is not null"
_WITH_LOGIN = "select rolname from pg_catalog.pg_roles where rolname = any (%s) and rolcanlogin"
# Each role that migrates a database of the cluster is a member. From PostgreSQL 16 on it has the admin option, and on
# 15 it has CREATEROLE.
_FOREIGN = """
select g.rolname, pg_catalog.quote_ident(r.rolname)
from pg_catalog.pg_auth_members m
join pg_catalog.pg_roles g on g.oid = m.roleid
join pg_catalog.pg_roles r on r.oid = m.member
where g.rolname = any (%(owners)s)
  and r.rolname <> current_user
  and not r.rolname = any (%(logins)s)
  and not r.rolsuper
  and not (r.rolcreaterole and pg_catalog.current_setting('server_version_num')::integer < 160000)
group by g.rolname, r.rolname
having not pg_catalog.bool_or(m.admin_option)
order by 1, 2
"""

logger = logging.getLogger("robot_brain.migrate")


def wrong_owners(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the statements that take from the owners what they do not need."""
    return [statement.as_string(connection) for role in OWNERS for statement in _differences(connection, role)]


def _differences(connection: psycopg.Connection[Any], role: str) -> Iterator[sql.Composed]:
    yield from wrong_attributes(connection, role)
    name = sql.Identifier(role)
    if connection.execute(_WITH_LOGIN, [[role]]).fetchone():
        yield sql.SQL("alter role {} nologin password null").format(name)
    elif (
        connection.execute(_MAY_READ_PASSWORDS).fetchone() == (True,)
        and connection.execute(_WITH_PASSWORD, [[role]]).fetchone()
    ):
        yield sql.SQL("alter role {} password null").format(name)


def name_foreign_members(connection: psycopg.Connection[Any]) -> None:
    """Warn about each other role that is a member of an owner. The membership stays: an operator may want it."""
    for owner, member in connection.execute(_FOREIGN, {"owners": list(OWNERS), "logins": list(LOGINS)}).fetchall():
        logger.warning(
            "warning: %s is a member of %s, so that it may read and change texts of each tenant. If that is wrong, "
            "run: revoke %s from %s;",
            member, owner, owner, member,
        )  # fmt: skip
