"""End a login of the functions: take its password, and end its connections.

A connection that is open goes on without its password, and a transaction-mode pooler keeps connections of its own. If
they just ended, PgBouncer would let the next call wait without an answer. So a pair's role that is in use loses its
rights first: its next call is refused at once (42501), and the functions read the secret again and connect again. Its
login and its connections end once each environment has called or has been idle for longer than DB_IDLE_TIMEOUT.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from ops import audit
from ops.direct import connect, refuse_pooler
from ops.errors import MigrationError
from ops.login_state import Login, changing, newest_first, read_logins
from ops.logins import LOGINS, PAIR, assert_logins, revoke_rights
from ops.retire_refusals import refuse_or_see

RETIRABLE = f"old, new or one of {', '.join(LOGINS)}"
# Longer than DB_IDLE_TIMEOUT, after which a function does not use a connection again.
IDLE_SECONDS = 35.0
# A call of the functions may take 10 s (statement_timeout).
CALL_SECONDS = 12.0

_END = """
select count(pg_catalog.pg_terminate_backend(pid, 5000))
from pg_catalog.pg_stat_activity
where usename = any (%s) and backend_type = 'client backend' and (state = 'idle' or %s)
"""
_OPEN = "select count(*) from pg_catalog.pg_stat_activity where usename = any (%s) and backend_type = 'client backend'"


def retire(
    direct_url: str,
    which: str,
    say: Callable[[str], None],
    *,
    force: bool = False,
    idle_seconds: float = IDLE_SECONDS,
    call_seconds: float = CALL_SECONDS,
) -> None:
    """Take the login from the `old` or the `new` role, or from the role of this name, and end its connections.

    Calls `say` with what was done. If a former run was ended early, this run does the rest.
    Raises MigrationError, with what to do, if it would cost requests and `force` is not set, or if the command may not.
    """
    refuse_pooler(direct_url)
    with connect(direct_url, "robot-brain-password") as connection:
        logins = read_logins(connection)
        role = _chosen(logins, which)
        if role is not None:
            in_use = refuse_or_see(connection, logins, role, force=force)
            if in_use and role in PAIR:
                with changing(connection):
                    _refuse_if_changed(connection, logins)
                    revoke_rights(connection, role)
                say(f"{role} lost its rights. Waiting {idle_seconds:g} s, until each function has called or is idle.")
                time.sleep(idle_seconds)
            with changing(connection):
                _refuse_if_changed(connection, logins)
                _take_login(connection, role)
            say(f"{role} cannot log in any more.")
        now = read_logins(connection)
        idle = [login.name for login in now if not login.can_log_in]
        ended, late = _end_connections(connection, idle, call_seconds)
        # The rights come back, so that the next password is of a role as each migration leaves it.
        with changing(connection):
            assert_logins(connection)
        if role is None:
            say(_nothing(now))
        if role is not None or ended or late:
            say(f"Connections ended: {ended} idle, {late} in use.")


def _nothing(logins: list[Login]) -> str:
    active = [login.name for login in logins if login.can_log_in]
    if not active:
        return "No role of the functions can log in. Run: make app-password"
    return f"Only {' and '.join(active)} can log in. Nothing to retire."


def _chosen(logins: list[Login], which: str) -> str | None:
    """Return the role to retire, or None if only one role can log in and a former run left the rest of its work."""
    active = [login for login in logins if login.can_log_in]
    if which in LOGINS:
        if len(active) < 2 and any(login.name == which for login in active):
            raise MigrationError(
                f"Only {which} can log in, so the functions could not connect any more. Run `make app-password` first."
            )
        return which if any(login.name == which for login in active) else None
    if which not in ("old", "new"):
        raise MigrationError(f"RETIRE= is {RETIRABLE}")
    if len(active) < 2:
        return None
    ordered = newest_first(active)
    return (ordered[-1] if which == "old" else ordered[0]).name


def _refuse_if_changed(connection: psycopg.Connection[Any], logins: list[Login]) -> None:
    """Raise MigrationError if another operator changed a login since `logins` were read."""
    if read_logins(connection) != logins:
        raise MigrationError(
            "Another command has changed the logins meanwhile. Nothing was changed; look, and run it again."
        )


def _take_login(connection: psycopg.Connection[Any], role: str) -> None:
    name = sql.Identifier(role)
    connection.execute(sql.SQL("alter role {} nologin password null").format(name))
    connection.execute(sql.SQL("comment on role {} is null").format(name))
    audit.append(connection, "pg_authid", role, {"login": False})


def _end_connections(connection: psycopg.Connection[Any], roles: list[str], seconds: float) -> tuple[int, int]:
    """End the idle connections of the roles at once, and the others after they had time to end their call."""
    try:
        ended = _count(connection, _END, roles, False)
        until = time.monotonic() + seconds
        while _count(connection, _OPEN, roles) and time.monotonic() < until:
            time.sleep(0.2)
            ended += _count(connection, _END, roles, False)
        return ended, _count(connection, _END, roles, True)
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(
            f"The login is taken, but its connections stay open: {error.diag.message_primary}. "
            "Run the same command again, as the role that ran `make migrate` or as a superuser."
        ) from error


def _count(connection: psycopg.Connection[Any], statement: str, *parameters: object) -> int:
    row = connection.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return int(row[0])
