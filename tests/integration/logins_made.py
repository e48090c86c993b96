"""The settings and rights of the logins, as each migration makes them."""

from collections.abc import Sequence

import psycopg

from ops.logins import LOGINS, PAIR

WANTED = {
    "client_encoding": "UTF8",
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "row_security": "on",
    "statement_timeout": "10s",
}
ATTRIBUTES = (False, True, False, False, False, False)


def settings_of(admin: psycopg.Connection, role: str) -> dict[str, str]:
    """Return what is set on a role, in this database and in general."""
    rows = admin.execute(
        "select s.setdatabase <> 0, c from pg_db_role_setting s, unnest(setconfig) c where setrole = %s::regrole",
        [role],
    ).fetchall()
    return {("in database " if here else "") + text.partition("=")[0]: text.partition("=")[2] for here, text in rows}


def attributes_of(admin: psycopg.Connection, role: str) -> tuple[object, ...]:
    row = admin.execute(
        "select rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
        " from pg_roles where rolname = %s",
        [role],
    ).fetchone()
    assert row is not None
    return tuple(row)


def memberships_of(admin: psycopg.Connection, role: str) -> list[tuple[str, bool]]:
    return admin.execute(
        "select roleid::regrole::text, admin_option from pg_auth_members where member = %s::regrole", [role]
    ).fetchall()


def versions(admin: psycopg.Connection) -> Sequence[tuple[str, str, str]]:
    """Return the ids of the transactions that last wrote a row about roles."""
    return admin.execute(
        """
        select 'role', oid::text, xmin::text from pg_authid
        union all select 'setting', setdatabase || ' ' || setrole, xmin::text from pg_db_role_setting
        union all select 'member', roleid || ' ' || member || ' ' || grantor, xmin::text from pg_auth_members
        order by 1, 2
        """
    ).fetchall()


def assert_as_made(admin: psycopg.Connection) -> None:
    for role in LOGINS:
        assert settings_of(admin, role) == WANTED, role
        assert attributes_of(admin, role) == ATTRIBUTES, role
        assert memberships_of(admin, role) == ([("robot_brain_app", False)] if role in PAIR else []), role
