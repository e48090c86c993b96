"""What speaks against the end of a login: who would lose a request, and what the operator can do about it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from ops.errors import MigrationError
from ops.login_state import Login
from ops.logins import APP
from ops.sharing import refuse_shared_login

# A role that was used within this time is still in use.
USED_SECONDS = 60

_SEES = "select pg_catalog.pg_has_role(%s, 'usage') or pg_catalog.pg_has_role('pg_read_all_stats', 'usage')"
_USED = """
select count(*), extract(epoch from clock_timestamp() - max(
  case when state = 'idle' then state_change else clock_timestamp() end))
from pg_catalog.pg_stat_activity
where usename = any (%s) and backend_type = 'client backend'
"""


def refuse_or_see(connection: psycopg.Connection[Any], logins: Sequence[Login], role: str, *, force: bool) -> bool:
    """Return whether `role` is in use.

    Raises MigrationError, with what to do, if `force` is not set and the end of this login would cost requests.
    """
    login = next(each for each in logins if each.name == role)
    others = [each for each in logins if each.can_log_in and each.name != role]
    is_newest = all(login.since > each.since for each in others)
    names = " and ".join(each.name for each in others)
    count, seconds = _used(connection, [role])
    in_use = seconds is not None and seconds < USED_SECONDS
    if force:
        return in_use
    if is_newest and login.in_secret:
        raise MigrationError(
            f"The URL of {role} was made to be written into a secret. Nothing was changed.\n"
            f"If the secret has it, no function could connect any more. To end {names}: make app-password RETIRE=old\n"
            f"If {role} must end, first put the URL of {names} back into the secret. Then add FORCE=1."
        )
    refuse_shared_login(connection, role)
    if in_use:
        raise MigrationError(
            f"{role} is in use (connections: {count}). The last call was {seconds:.0f} s ago. Nothing was changed.\n"
            + _advice(role, names, is_newest=is_newest)
        )
    if not is_newest and not _used(connection, [each.name for each in others])[0]:
        raise MigrationError(
            f"No connection of {names} is open, so nothing shows that the functions have its URL. Nothing was changed."
            "\nDeploy the URL, make one request, for example GET /health/database, and run this again.\n"
            f"If you are sure that no function has the URL of {role} any more, add FORCE=1."
        )
    return False


def _advice(role: str, others: str, *, is_newest: bool) -> str:
    if is_newest:
        return (
            f"{role} has the newest password, and a function uses it. So it was not lost.\n"
            f"Probably you want to end {others} instead: make app-password RETIRE=old\n"
            f"If {role} must end, first give the functions the URL of {others} again. Then add FORCE=1."
        )
    seen = "Only connections that are open now show it; a function that was idle may still have the old URL.\n"
    with_url = "With DatabaseUrl, wait until the new one is deployed and no older environment runs.\n"
    if role == APP:
        return (
            f"{seen}{with_url}With a secret, deploy again, so that each environment reads it, and wait for as long.\n"
            "Never add FORCE=1 while requests run: behind PgBouncer they would wait without an answer."
        )
    return f"{seen}{with_url}With a secret, FORCE=1 costs no request: a call that is refused reads the secret again."


def _used(connection: psycopg.Connection[Any], roles: list[str]) -> tuple[int, float | None]:
    """Return how many connections the roles have, and the seconds since their last call."""
    for role in roles:
        if connection.execute(_SEES, [role]).fetchone() == (False,):
            raise MigrationError(
                f"This role cannot see if {role} is in use: run it as the role that ran `make migrate`"
            )
    row = connection.execute(_USED, [roles]).fetchone()
    assert row is not None
    return row[0], row[1]
