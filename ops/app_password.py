"""Rotate the functions' password. Two roles log in in turn, so that no request is refused meanwhile.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops app-password [--secret ARN] [--retire old]

Without `--retire` the idle role gets a password, and the functions' DATABASE_URL is printed once, or written into the
secret. `--retire old` takes the login from the other role afterwards, and ends its connections (ops/retire.py).

The password is sent to the server as plain text over TLS. Neon hashes it itself and refuses a hash made by the client.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql

from ops import audit
from ops.app_url import proven_url
from ops.direct import connect, refuse_pooler, url_from_environment
from ops.errors import MigrationError, UsageError
from ops.held_url import database_of, is_ours, opens, place_of, with_login
from ops.login_state import Login, changing, newest_first, read_logins
from ops.logins import LOGINS, PAIR, assert_logins
from ops.put_secret import is_arn, put_secret, read_secret
from ops.retire import RETIRABLE, retire
from ops.sharing import PAGE, sharing_databases

# 192 bits of randomness. The text is URL-safe, so a URL holds the password without escapes.
PASSWORD_BYTES = 24
# The functions that connect to the database: all but health.
FUNCTIONS = 8

Say = Callable[[str], None]
_NOT_OURS = (
    "The secret holds no URL of a login of Robot Brain for the database {database}. Nothing was changed: check the "
    "ARN.\nIf this is the first URL in the secret, run it again with FORCE=1. It replaces the secret's text, or only "
    "the member DATABASE_URL if the text is a JSON object."
)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def rotate(direct_url: str, secret: str = "", say: Say = _say, *, force: bool = False) -> tuple[str, Login | None, str]:
    """Give the idle role a password, prove it, and return the role, the one that logged in before, and the new URL.

    With the ARN of a `secret`, write the URL into the secret. If that fails, the error holds the URL, because nothing
    else does. A secret without a URL of a login is refused without `force`.
    Otherwise raises MigrationError, with what to do: nothing was changed, or the new login was taken back.
    """
    refuse_pooler(direct_url)
    held = read_secret(secret) if secret else ""
    ours = is_ours(held, direct_url)
    if secret and not ours and not force:
        raise MigrationError(_NOT_OURS.format(database=database_of(direct_url)))
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with connect(direct_url, "robot-brain-password") as connection:
        with changing(connection):
            active = [login for login in read_logins(connection) if login.can_log_in]
            _refuse_a_third(active, sharing_databases(connection))
            role = next(name for name in PAIR if name not in {login.name for login in active})
            assert_logins(connection)
            _log_in_with(connection, role, password, in_secret=bool(secret))
        try:
            url = proven_url(direct_url, role, password)
            if ours:
                url = with_login(held, role, password)
                if not opens(url):
                    say(f"{place_of(url)} could not be reached from here, so the secret's own URL was not tried.")
        except MigrationError as error:
            with changing(connection):
                _log_in_with(connection, role, None)
            raise MigrationError(
                f"{role} got a password, but could not connect with it: {error}\n"
                f"A pooler of your own must know {role}. If it has the passwords in a file, run this without SECRET=, "
                "add the password to the file, and write the secret yourself.\n"
                f"{role} cannot log in any more, and nothing else was changed. Correct the reason and run it again."
            ) from error
    if secret:
        try:
            put_secret(secret, url, held)
        except MigrationError as error:
            raise _NotWrittenError(str(error), url) from error
    return role, active[0] if active else None, url


class _NotWrittenError(MigrationError):
    """The new login works, and the secret was not written. The URL is in no other place."""

    def __init__(self, reason: str, url: str) -> None:
        super().__init__(reason)
        self.url = url


def _refuse_a_third(active: Sequence[Login], shared: Sequence[str]) -> None:
    if len(active) < 2:
        return
    new, old = newest_first(active)[0], newest_first(active)[-1]
    # FORCE=1 would end the login of another database's functions too.
    force = " FORCE=1" if new.in_secret and old.name in PAIR and not shared else ""
    lost = (
        f"The URL of {new.name} was made for a secret, so it is not lost if the secret has it."
        if new.in_secret
        else f"If the URL of {new.name} was lost and never used, run: make app-password RETIRE=new"
    )
    raise MigrationError(
        f"{new} and {old} can log in already, and a third login would need a third set of connections.\n"
        f"If the functions use {new.name} by now, run: make app-password RETIRE=old{force}\n{lost}"
    )


def _log_in_with(
    connection: psycopg.Connection[Any], role: str, password: str | None, *, in_secret: bool = False
) -> None:
    """Give `role` its login with `password`, or take both away without one. The comment says since when."""
    name = sql.Identifier(role)
    since = f"Robot Brain: password of {datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}" if password else None
    # Before the secret is written, so that a command that is killed in between leaves the comment.
    since = f"{since} for a secret" if since and in_secret else since
    login = sql.SQL("login" if password else "nologin")
    connection.execute(sql.SQL("alter role {} {} password {}").format(name, login, sql.Literal(password)))
    connection.execute(sql.SQL("comment on role {} is {}").format(name, sql.Literal(since)))
    audit.append(connection, "pg_authid", role, {"login": password is not None})


def _connections(connection: psycopg.Connection[Any]) -> str:
    """Return a line about the connections that the compute allows, for DbPoolSize."""
    row = connection.execute(
        """
        select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
            - coalesce(current_setting('reserved_connections', true)::int, 0),
          (select count(*) from pg_stat_activity where backend_type = 'client backend')
        """
    ).fetchone()
    assert row is not None
    allowed, used = row
    return (
        f"The server allows {allowed} connections (open now, with that of this command: {used}). "
        f"While two roles log in, each may have half of them: DbPoolSize up to {max(1, allowed // 2 // FUNCTIONS)} "
        f"({FUNCTIONS} functions) without a pooler. A pooler's limit may be higher."
    )


def main(arguments: Sequence[str]) -> int:
    """Rotate the password of DIRECT_DATABASE_URL, or end a login. Raises OperatorError if that fails."""
    parser = argparse.ArgumentParser(prog="python -m ops app-password", description="Rotate the functions' password.")
    parser.add_argument("--secret", help="write the URL into the secret with this ARN")
    parser.add_argument("--retire", metavar="old|new|ROLE", help="take the login from this role")
    parser.add_argument(
        "--force", action="store_true", help="retire a role that is in use, or write the first URL into a secret"
    )
    options = parser.parse_args(arguments)
    _refuse_switches(options.secret, options.retire, force=options.force)
    direct_url = url_from_environment()
    if options.retire:
        retire(direct_url, options.retire, _say, force=options.force)
        return 0
    try:
        role, before, url = rotate(direct_url, options.secret or "", force=options.force)
    except _NotWrittenError as error:
        print(error.url)
        _say(f"The secret was not written: {error}\nThe URL above works. Put it into the secret now: it is shown once.")
        return 1
    if not options.secret:
        print(url)
        _say("This is shown once: put it into your secret store now.")
    with connect(direct_url, "robot-brain-password") as connection:
        shared = sharing_databases(connection)
        allowed = _connections(connection)
    _say(_next_steps(role, before.name if before else "", options.secret or "", shared))
    _say(allowed)
    return 0


def _refuse_switches(secret: str | None, which: str | None, *, force: bool) -> None:
    """Raise UsageError, with what to do, if a switch is empty or wrong, or does not go with another one."""
    if which is not None and not which.strip():
        raise UsageError(f"RETIRE= is empty. Leave it out for a new password, or write {RETIRABLE}.")
    if secret is not None and not secret.strip():
        raise UsageError("SECRET= is empty. Leave it out to print the URL, or write the ARN of the secret.")
    if secret and which:
        raise UsageError("SECRET= and RETIRE= are two steps: run one after the other, first with SECRET=.")
    if secret and not is_arn(secret):
        raise UsageError(
            "SECRET= must be the ARN of a secret, as arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME. "
            "The command `aws secretsmanager list-secrets` shows it."
        )
    if which and which not in ("old", "new", *LOGINS):
        raise UsageError(f"RETIRE= is {RETIRABLE}.")
    if force and not (secret or which):
        raise UsageError(
            "FORCE=1 alone means nothing. To end a login that is in use, write RETIRE=old FORCE=1. "
            "To write the first URL into a secret, write SECRET=… FORCE=1."
        )


def _next_steps(role: str, before: str, secret: str, shared: Sequence[str]) -> str:
    # The role of earlier versions cannot lose its rights before its login (ops/retire.py). So a refused call does not
    # make an environment read the secret: a deployment does.
    is_of_pair = before in ("", *PAIR)
    if not secret:
        first = (
            "Next, give it to the functions. If they read a secret, write it there and deploy "
            f"{'nothing' if is_of_pair else 'again'}. Otherwise run: "
            ".venv-sam/bin/sam deploy --parameter-overrides DatabaseUrl='<the URL>'"
        )
    elif is_of_pair:
        first = f"The secret names {role} now. Nothing has to be deployed."
    else:
        first = f"The secret names {role} now. Deploy again, so that each execution environment reads it."
    if shared:
        first += (
            f"\nThese databases of the cluster have the same logins: {', '.join(shared)}. "
            f"Their functions need the user and the password of {role} too, each in a URL with its own database. "
            f"See {PAGE}."
        )
    if not before:
        return first
    if shared:
        return (
            f"{first}\n{before} can log in too. RETIRE=old ends {before} for all these databases, "
            "so do not run it before all functions have the new login."
        )
    if secret and is_of_pair:
        return (
            f"{first}\n{before} can log in too. Next, run: make app-password RETIRE=old FORCE=1\n"
            "This costs no request: a call that is refused reads the secret again, and is repeated within the request."
        )
    then = f"{before} can log in too, until no function uses it any more. Then run: make app-password RETIRE=old"
    return f"{first}\n{then}{' (with a secret: FORCE=1, too)' if is_of_pair else ''}"
