"""The roles of Robot Brain, and the rights to the database itself. No dump of a database holds either of them.

Roles belong to the whole cluster, so the migration of another database may have made them.
"""

from __future__ import annotations

import logging
from typing import Any

import psycopg
from psycopg import sql

from ops.errors import MigrationError
from ops.logins import APP, LOGINS, PAIR

OWNER = "robot_brain_owner"
STATS = "robot_brain_stats"
AUDIT = "robot_brain_audit"
SEARCH = "robot_brain_search"
ROLES = (OWNER, STATS, AUDIT, SEARCH, *LOGINS)
# The migrating role hands over objects to the first four, and ends the connections of the others.
_MEMBER_OF = (OWNER, STATS, AUDIT, SEARCH, *PAIR)

# From PostgreSQL 16 on, a role may change or grant only the roles that it administers. Then the creator of a role may
# become that role only after it has granted the role to itself. Up to 15 CREATEROLE is enough for both.
_READ_ROLES = """
select
  r.rolname,
  pg_catalog.pg_has_role(
    r.oid, case when pg_catalog.current_setting('server_version_num')::integer < 160000 then 'member' else 'set' end
  ),
  pg_catalog.current_setting('server_version_num')::integer < 160000
    or pg_catalog.pg_has_role(r.oid, 'member with admin option'),
  array(
    select a.rolname
    from pg_catalog.pg_auth_members m
    join pg_catalog.pg_roles a on a.oid = m.member
    where m.roleid = r.oid and m.admin_option and not a.rolname = any (%(roles)s)
    group by a.oid, a.rolname, a.rolcanlogin
    order by a.rolcanlogin desc, a.oid
  )::text[]
from pg_catalog.pg_roles r
where r.rolname = any (%(roles)s)
"""
# An entry of its own, because PUBLIC has both rights in a new database.
_READ_DATABASE_RIGHTS = """
with rights as (
  select r.grantee, r.privilege_type
  from pg_catalog.pg_database d
  cross join lateral pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) r
  where d.datname = pg_catalog.current_database()
)
select
  pg_catalog.has_database_privilege(pg_catalog.to_regrole(%(app)s), d.oid, 'connect'),
  exists (select from rights r where r.grantee = pg_catalog.to_regrole(%(stats)s) and r.privilege_type = 'TEMPORARY'),
  exists (select from rights r where r.grantee = 0 and r.privilege_type = 'TEMPORARY')
from pg_catalog.pg_database d
where d.datname = pg_catalog.current_database()
"""
_HAVE_TEMPORARY = """
select r.rolname
from pg_catalog.pg_roles r
where r.rolcanlogin
  and not r.rolname = any (%s)
  and pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'temporary')
"""

logger = logging.getLogger("robot_brain.migrate")


def make_roles(connection: psycopg.Connection[Any], *, is_new: bool) -> None:
    """Create the roles that the cluster lacks, and make the connecting role a member of those that it needs.

    `is_new` means that the database has no schema of Robot Brain yet. The migrations then change each role, too.
    Raises MigrationError, with the statement to run and the role that may run it, if the connecting role may not.
    """
    roles = _read_roles(connection)
    missing = [role for role in ROLES if role not in roles]
    try:
        for role in missing:
            connection.execute(sql.SQL("create role {} nologin").format(sql.Identifier(role)))
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"{error.diag.message_primary}: the cluster lacks {', '.join(missing)}. Migrate as a role that has "
            "CREATEROLE. (On Neon this is the role of the connection string.)"
        ) from error
    if missing:
        roles = _read_roles(connection)
    foreign = [
        role
        for role, (is_member, may_grant, _) in roles.items()
        if not may_grant and (is_new or (role in _MEMBER_OF and not is_member))
    ]
    if foreign:
        _refuse_second_owner(connection, [role for role in ROLES if not roles[role][1]], roles)
    for role in _MEMBER_OF:
        if not roles[role][0]:
            connection.execute(sql.SQL("grant {} to current_user").format(sql.Identifier(role)))


def _read_roles(connection: psycopg.Connection[Any]) -> dict[str, tuple[bool, bool, list[str]]]:
    """Return for each role: may the connecting role become it, may it grant the role, and which other roles may."""
    rows = connection.execute(_READ_ROLES, {"roles": list(ROLES)}).fetchall()
    return {name: (is_member, may_grant, administrators) for name, is_member, may_grant, administrators in rows}


def _refuse_second_owner(
    connection: psycopg.Connection[Any], foreign: list[str], roles: dict[str, tuple[bool, bool, list[str]]]
) -> None:
    row = connection.execute("select pg_catalog.quote_ident(current_user)").fetchone()
    me = row[0] if row else ""
    # One role that may grant all of them, or else one after the other.
    common = [name for name in roles[foreign[0]][2] if all(name in roles[role][2] for role in foreign)]
    granted: dict[str, list[str]] = {}
    for role in foreign:
        granted.setdefault((common or roles[role][2] or ["a superuser"])[0], []).append(role)
    steps = "\n".join(
        f"Run this as {administrator}, in any database of the cluster: grant {', '.join(names)} to {me} "
        "with admin option;"
        for administrator, names in granted.items()
    )
    raise MigrationError(
        "The roles of Robot Brain belong to the whole cluster, another role made them for another database, and "
        f"{me} may not grant them. {steps}\n"
        "Then run this command again. Both databases then share the logins of the functions and their passwords."
    )


def correct_database_rights(connection: psycopg.Connection[Any]) -> list[str]:
    """Let the functions connect to this database, and take the right to make temporary tables from their logins.

    The logins have that right through PUBLIC. So take it from PUBLIC, and grant it to each other login that had it.
    Returns the statements that were run, in this transaction. If the connecting role may not run one, PostgreSQL only
    warns: `wrong_database_rights` then still returns it.
    """
    statements = wrong_database_rights(connection)
    if not statements:
        return []
    before = _with_temporary(connection)
    for statement in statements:
        connection.execute(statement.encode())
    lost = sorted(before - _with_temporary(connection))
    for role in lost:
        grant = sql.SQL("grant temporary on database {} to {}")
        statement = grant.format(sql.Identifier(connection.info.dbname), sql.Identifier(role)).as_string(connection)
        connection.execute(statement.encode())
        statements.append(statement)
    return statements


def wrong_database_rights(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the statements that give our roles exactly their rights to this database."""
    row = connection.execute(_READ_DATABASE_RIGHTS, {"app": APP, "stats": STATS}).fetchone()
    assert row is not None
    may_connect, stats_may, public_may = row
    database = sql.Identifier(connection.info.dbname)
    statements = []
    if not may_connect:
        statements.append(sql.SQL("grant connect on database {} to {}").format(database, sql.Identifier(APP)))
    if not stats_may:
        # REFRESH MATERIALIZED VIEW CONCURRENTLY needs it.
        statements.append(sql.SQL("grant temporary on database {} to {}").format(database, sql.Identifier(STATS)))
    if public_may:
        statements.append(sql.SQL("revoke temporary on database {} from public").format(database))
    return [statement.as_string(connection) for statement in statements]


def _with_temporary(connection: psycopg.Connection[Any]) -> set[str]:
    return {role for (role,) in connection.execute(_HAVE_TEMPORARY, [list(LOGINS)]).fetchall()}
