"""Give robot_brain_app a fresh password, and print the DATABASE_URL that the functions need, once.

    DIRECT_DATABASE_URL=postgresql://owner:…@host/database python -m ops app-password

The password is sent to the server as plain text over TLS. Neon hashes it itself and refuses a hash made by the client.
"""

from __future__ import annotations

import argparse
import secrets
import sys
from collections.abc import Sequence
from urllib.parse import quote

import psycopg
from psycopg import sql

from ops.direct import connect, parse_direct_url, url_from_environment
from ops.errors import MigrationError

ROLE = "robot_brain_app"
# 192 bits of randomness. The text is URL-safe, so a URL holds the password without escapes.
PASSWORD_BYTES = 24


def pooled_host(host: str) -> str:
    """Return the host of Neon's pooler for a direct Neon host, and any other host unchanged."""
    endpoint, dot, domain = host.partition(".")
    if host.endswith(".neon.tech") and endpoint.startswith("ep-") and not endpoint.endswith("-pooler"):
        return f"{endpoint}-pooler{dot}{domain}"
    return host


def app_url(direct_url: str, password: str) -> str:
    """Return the URL with which robot_brain_app connects to the same database, on Neon through its pooler."""
    parts = parse_direct_url(direct_url)
    host = pooled_host(str(parts.get("host") or "localhost"))
    database = quote(str(parts.get("dbname") or parts.get("user") or "postgres"), safe="")
    options = [f"{name}={quote(str(parts[name]), safe='')}" for name in ("sslmode", "sslrootcert") if parts.get(name)]
    credentials = f"{ROLE}:{quote(password, safe='')}"
    if host.startswith("/"):
        options = [f"host={quote(host, safe='')}", *([f"port={parts['port']}"] if parts.get("port") else [])]
        return f"postgresql://{credentials}@/{database}?{'&'.join(options)}"
    port = f":{parts['port']}" if parts.get("port") else ""
    return f"postgresql://{credentials}@{host}{port}/{database}{'?' if options else ''}{'&'.join(options)}"


def set_app_password(direct_url: str) -> str:
    """Give robot_brain_app a fresh random password and the right to log in, and return its DATABASE_URL.

    Functions that still have the old password keep their open connections and cannot open new ones. Deploy the new URL
    soon. Raises MigrationError if the database cannot be reached or was not migrated.
    """
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    url = app_url(direct_url, password)
    try:
        with connect(direct_url, "robot-brain-password") as connection:
            connection.execute(
                sql.SQL("alter role {} login password {}").format(sql.Identifier(ROLE), sql.Literal(password))
            )
    except psycopg.errors.UndefinedObject as error:
        raise MigrationError(f"the role {ROLE} does not exist: run `make migrate` first") from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise MigrationError(f"{error.diag.message_primary}: run it as the role that ran `make migrate`") from error
    except psycopg.Error as error:
        raise MigrationError(str(error)) from error
    return url


def main(arguments: Sequence[str]) -> int:
    """Set the password through DIRECT_DATABASE_URL and print the functions' DATABASE_URL.

    Raises OperatorError if that fails.
    """
    argparse.ArgumentParser(
        prog="python -m ops app-password", description="Give robot_brain_app a fresh password."
    ).parse_args(arguments)
    print(set_app_password(url_from_environment()))
    print("This is shown once: put it into your secret store now.", file=sys.stderr)
    return 0
