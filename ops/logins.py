"""The roles that the functions log in as. Each migration gives them exactly the settings and rights they need.

A role may change its own settings and its own password, so a stolen password could switch the time limits off. These
settings stay until somebody resets them. They also count for the next connection of a function.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from psycopg import sql

from ops.errors import MigrationError

# The role with the rights to call SQL functions. Before there were two logins, it logged in itself.
APP = "robot_brain_app"
# They log in in turn.
PAIR = ("robot_brain_app_a", "robot_brain_app_b")
LOGINS = (APP, *PAIR)

# The settings of migration 0001. A request is one statement, so statement_timeout limits its transaction too.
_SETTINGS = {
    "statement_timeout": "10s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "10s",
    "default_transaction_isolation": "read committed",
    "row_security": "on",
    "client_encoding": "UTF8",
}
_ATTRIBUTES = {
    "superuser": False,
    "inherit": True,
    "createrole": False,
    "createdb": False,
    "replication": False,
    "bypassrls": False,
}
# A setting that only a superuser can set, or that needs a GRANT ON PARAMETER, is the provider's. RESET ALL keeps it.
# pg_settings does not list `role`, which any role can set; a name with a dot that is not listed needs a superuser.
_READ_SETTINGS = """
select s.setdatabase <> 0, of.setting, pg_catalog.substr(c, pg_catalog.strpos(c, '=') + 1)
from pg_catalog.pg_db_role_setting s
cross join lateral pg_catalog.unnest(s.setconfig) c
cross join lateral pg_catalog.split_part(c, '=', 1) of (setting)
where s.setrole = %s
  and s.setdatabase in (0, (select oid from pg_catalog.pg_database where datname = pg_catalog.current_database()))
  and (
    coalesce(
      (
        select p.context = 'user'
        from pg_catalog.pg_settings p
        where pg_catalog.lower(p.name) = pg_catalog.lower(of.setting)
      ),
      pg_catalog.strpos(of.setting, '.') = 0
    )
    or pg_catalog.has_parameter_privilege(of.setting, 'set')
  )
"""
_READ_MEMBERSHIPS = """
select g.rolname, grantor.rolname, m.admin_option,
  coalesce((pg_catalog.to_jsonb(m) ->> 'inherit_option')::boolean, true),
  coalesce((pg_catalog.to_jsonb(m) ->> 'set_option')::boolean, false)
from pg_catalog.pg_auth_members m
join pg_catalog.pg_roles g on g.oid = m.roleid
left join pg_catalog.pg_roles grantor on grantor.oid = m.grantor
where m.member = %s
order by 1, 2
"""
_IS_NEW = """
select not r.rolcanlogin and not exists (select from pg_catalog.pg_db_role_setting s where s.setrole = r.oid)
from pg_catalog.pg_roles r
where r.rolname = %s
"""
# No function changes a role. So such a connection is a stranger, or an operator forgot it.
_END_CHANGERS = """
select a.pid, a.usename, pg_catalog.pg_terminate_backend(a.pid, 5000)
from (
  select distinct l.pid
  from pg_catalog.pg_locks l
  where l.mode = 'RowExclusiveLock'
    and l.relation in ('pg_catalog.pg_authid'::regclass, 'pg_catalog.pg_db_role_setting'::regclass)
) l
join pg_catalog.pg_stat_activity a on a.pid = l.pid
where a.usename = any (%s)
"""

logger = logging.getLogger("robot_brain.migrate")


def wrong_logins(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the statements that `assert_logins` would run, in their order."""
    return [statement.as_string(connection) for role in LOGINS for statement in _differences(connection, role)]


def assert_logins(connection: psycopg.Connection[Any]) -> list[str]:
    """Give each login its settings, attributes and memberships, and take away all others, in this transaction.

    A role that has them already is not touched, so that two databases of a cluster can be migrated at the same time.
    The right to log in and the password stay. A role that does not exist is left out.
    Returns the statements that corrected a login, without those that set up a new one.
    Raises MigrationError, with the statements that a superuser can run, if this role may not change one.
    """
    statements = [
        ("setting up" if is_new else "correcting", statement)
        for role in LOGINS
        for is_new in [_is_new(connection, role)]
        for statement in _differences(connection, role)
    ]
    if not statements:
        return []
    end_changers(connection)
    connection.execute("set local lock_timeout = '5s'")
    refused: dict[str, psycopg.Error] = {}
    for verb, statement in statements:
        text = statement.as_string(connection)
        logger.info("%s a login role: %s", verb, text)
        try:
            with connection.transaction():
                connection.execute(statement)
        except psycopg.errors.InsufficientPrivilege as error:
            refused[text] = error
        except psycopg.errors.LockNotAvailable as error:
            raise MigrationError(
                f"Another connection changes the login roles and has not ended its transaction: {text}\n"
                "Wait for its end, or end it, then run `make migrate` again."
            ) from error
    if refused:
        lines = "".join(f"\n{text};  -- {error.diag.message_primary}" for text, error in refused.items())
        raise MigrationError(
            "Only a role with more rights can correct the logins. "
            f"Run these statements as a superuser, then `make migrate` again:{lines}"
        ) from next(iter(refused.values()))
    return [statement.as_string(connection) for verb, statement in statements if verb == "correcting"]


def revoke_rights(connection: psycopg.Connection[Any], role: str) -> None:
    """Take the membership of robot_brain_app from one of PAIR, at once and for its open connections too.

    The next `assert_logins` gives it back.
    """
    by_grantor = connection.info.server_version >= 160_000
    rows = connection.execute(_READ_MEMBERSHIPS, [_oid(connection, role)]).fetchall()
    for granted, grantor, *_ in rows:
        by = sql.SQL(" granted by {}").format(sql.Identifier(grantor)) if by_grantor and grantor else sql.SQL("")
        name, of = sql.Identifier(role), sql.Identifier(granted)
        connection.execute(sql.SQL("revoke {} from {}{} cascade").format(of, name, by))


def _oid(connection: psycopg.Connection[Any], role: str) -> int:
    row = connection.execute("select oid from pg_catalog.pg_roles where rolname = %s", [role]).fetchone()
    assert row is not None
    return int(row[0])


def end_changers(connection: psycopg.Connection[Any]) -> None:
    """End each connection of a login that has changed a role in an open transaction, with a warning.

    Otherwise a stolen password could keep every operator's command waiting. Raises MigrationError if the connecting
    role may not end such a connection.
    """
    try:
        for pid, role, _ in connection.execute(_END_CHANGERS, [list(LOGINS)]).fetchall():
            logger.warning("ended the connection %s of %s: it had changed a role in an open transaction", pid, role)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"A connection of a login has changed a role, and this role may not end it: {error.diag.message_primary}. "
            "Run it as the role that ran `make migrate`, or as a superuser."
        ) from error


def _is_new(connection: psycopg.Connection[Any], role: str) -> bool:
    """Return whether a role has never had settings or a password. A login without settings has reset them itself."""
    row = connection.execute(_IS_NEW, [role]).fetchone()
    return row == (True,)


def wrong_attributes(connection: psycopg.Connection[Any], role: str) -> Iterator[sql.Composed]:
    """Yield the statements that give one of our roles the attributes that it should have."""
    attributes = connection.execute(
        "select rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        " from pg_catalog.pg_roles where rolname = %s",
        [role],
    ).fetchone()
    wrong = [
        attribute if wanted else f"no{attribute}"
        for (attribute, wanted), found in zip(_ATTRIBUTES.items(), attributes or _ATTRIBUTES.values(), strict=True)
        if found != wanted
    ]
    for attribute in wrong:
        yield sql.SQL("alter role {} {}").format(sql.Identifier(role), sql.SQL(attribute))


def _differences(connection: psycopg.Connection[Any], role: str) -> Iterator[sql.Composed]:
    row = connection.execute("select oid from pg_catalog.pg_roles where rolname = %s", [role]).fetchone()
    if row is None:
        return
    oid = row[0]
    name = sql.Identifier(role)
    yield from wrong_attributes(connection, role)
    settings: Sequence[tuple[bool, str, str]] = connection.execute(_READ_SETTINGS, [oid]).fetchall()
    if any(in_database for in_database, _, _ in settings):
        database = sql.Identifier(connection.info.dbname)
        yield sql.SQL("alter role {} in database {} reset all").format(name, database)
    found = {setting: value for in_database, setting, value in settings if not in_database}
    if found.keys() - _SETTINGS.keys():
        yield sql.SQL("alter role {} reset all").format(name)
        found = {}
    for setting, value in _SETTINGS.items():
        if found.get(setting) != value:
            yield sql.SQL("alter role {} set {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
    yield from _membership_differences(connection, role, oid)


def _membership_differences(connection: psycopg.Connection[Any], role: str, oid: int) -> Iterator[sql.Composed]:
    # PostgreSQL 16 and later have one membership for each grantor, with options of its own.
    by_grantor = connection.info.server_version >= 160_000
    # Without SET a login cannot become robot_brain_app and change the settings of that role.
    options = sql.SQL(" with inherit true, set false") if by_grantor else sql.SQL("")
    name = sql.Identifier(role)
    has_rights = role not in PAIR
    for granted, grantor, admin, inherits, sets in connection.execute(_READ_MEMBERSHIPS, [oid]).fetchall():
        of = sql.Identifier(granted)
        by = sql.SQL(" granted by {}").format(sql.Identifier(grantor)) if by_grantor and grantor else sql.SQL("")
        if role not in PAIR or granted != APP:
            yield sql.SQL("revoke {} from {}{} cascade").format(of, name, by)
            continue
        has_rights = True
        if admin:
            yield sql.SQL("revoke admin option for {} from {}{} cascade").format(of, name, by)
        if by_grantor and (sets or not inherits):
            yield sql.SQL("grant {} to {}{}{}").format(of, name, options, by)
    if not has_rights:
        yield sql.SQL("grant {} to {}{}").format(sql.Identifier(APP), name, options)
