"""Which of the functions' roles can log in, and one operator at a time who changes that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import psycopg

from ops.errors import MigrationError
from ops.logins import APP, LOGINS, end_changers

_READ = """
select r.rolname, r.rolcanlogin,
  coalesce(pg_catalog.substring(d, 'password of (\\S+)'), ''),
  coalesce(d like '%% for a secret', false)
from pg_catalog.pg_roles r
cross join lateral pg_catalog.shobj_description(r.oid, 'pg_authid') d
where r.rolname = any (%s)
order by r.rolname
"""
# to_regproc would fail for a role without rights on the schema.
_HAS_SCHEMA = """
select exists (
  select from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  where n.nspname = 'robot_brain' and p.proname = 'append_audit'
)
"""
# It changes nothing. But two transactions cannot do it at the same time, in all databases of the cluster. A login may
# take any advisory lock, so this is no advisory lock.
_LOCK = f"alter role {APP} set row_security = on"


class Login(NamedTuple):
    """One of the roles: whether it can log in, and since when it has its password, or '' if no command gave it.

    `in_secret` says that a command was about to write its URL into a secret.
    """

    name: str
    can_log_in: bool
    since: str
    in_secret: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({f'password of {self.since}' if self.since else 'password without a date'})"


def read_logins(connection: psycopg.Connection[Any]) -> list[Login]:
    """Return the roles. Raises MigrationError if the database has no schema with a pair of them, and an audit trail.

    The cluster has the roles, so they exist in its other databases too.
    """
    if connection.execute(_HAS_SCHEMA).fetchone() == (False,):
        raise MigrationError(
            f"The database {connection.info.dbname} has no schema of Robot Brain, or one from before version 6. "
            "Run `make migrate` first, or does the URL lead to another database?"
        )
    found = [Login(*row) for row in connection.execute(_READ, [list(LOGINS)]).fetchall()]
    if len(found) < len(LOGINS):
        raise MigrationError("the login roles do not exist: run `make migrate` first")
    return found


def newest_first(logins: Sequence[Login]) -> list[Login]:
    """Return logins by the dates of their passwords. One without a date is from before there were two logins.

    Raises MigrationError if two have no date, because then nothing says which is newer.
    """
    ordered = sorted(logins, key=lambda login: login.since, reverse=True)
    if len([login for login in ordered if not login.since]) > 1:
        names = " and ".join(login.name for login in ordered if not login.since)
        raise MigrationError(
            f"{names} can log in, and nothing says which password is newer. Find out which one the functions use, "
            f"then take the login from the other: make app-password RETIRE={ordered[-1].name}"
        )
    return ordered


@contextmanager
def changing(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Change roles in one transaction, while no other operator does.

    Raises MigrationError, with what to do, in place of psycopg's errors. Its text never quotes a statement, because a
    statement may hold a password.
    """
    try:
        with connection.transaction():
            end_changers(connection)
            connection.execute("set local lock_timeout = '5s'")
            connection.execute(_LOCK.encode())
            yield
    except psycopg.errors.UndefinedObject as error:
        raise MigrationError("the login roles do not exist: run `make migrate` first") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"{error.diag.message_primary}: run it as the role that ran `make migrate`") from error
    except (psycopg.errors.LockNotAvailable, psycopg.errors.InternalError_) as error:
        raise MigrationError(
            f"Another command changes the login roles at this moment ({error.diag.message_primary}). "
            "Wait for its end, then run this again."
        ) from error
    except psycopg.Error as error:
        # The cause may quote the statement, so do not chain it.
        raise MigrationError(
            error.diag.message_primary or f"the server ended the connection: {type(error).__name__}"
        ) from None
