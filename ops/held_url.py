"""The URL that a secret holds: whether it is ours, and the same URL with another login.

An operator may have put the address of a pooler and parameters of libpq into it. They stay.
"""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote, urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ops.app_url import is_this_machine
from ops.direct import parse_direct_url
from ops.errors import MigrationError
from ops.logins import LOGINS

# The first attempts may be refused: a pooler learns a new password within seconds.
_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0
_CONNECT_SECONDS = 10


def is_ours(held: str, direct_url: str) -> bool:
    """Return whether `held` is the URL of a login of Robot Brain for the database of `direct_url`."""
    parts = _parts(held)
    return parts.get("user") in LOGINS and _database(parts) == database_of(direct_url)


def database_of(direct_url: str) -> str:
    """Return the name of the database to which `direct_url` leads."""
    return _database(parse_direct_url(direct_url))


def with_login(held: str, role: str, password: str) -> str:
    """Return `held` with this user and password. Its host, port, database and parameters stay.

    Raises MigrationError, which does not quote the URL, if that is not possible.
    """
    wanted = _parts(held) | {"user": role, "password": password}
    if held.strip().startswith(("postgresql://", "postgres://")):
        url = urlsplit(held.strip())
        kept = [each for each in url.query.split("&") if each.partition("=")[0] not in ("", "user", "password")]
        place = f"{role}:{quote(password, safe='')}@{url.netloc.rpartition('@')[2]}"
        url = url._replace(netloc=place, query="&".join(kept))
        # urlsplit leaves out the slashes of a URL without a host.
        new = f"{url.scheme}://{url.netloc}{url.path}{'?' if url.query else ''}{url.query}"
    else:
        new = make_conninfo(**wanted)
    if _parts(new) != wanted:
        raise MigrationError("The URL in the secret is not in a form that this command can change.")
    return new


def opens(url: str) -> bool:
    """Return whether a connection opens with `url`, or False if this machine cannot reach its server.

    Raises MigrationError with the server's reason if the server or its pooler refuses the login.
    """
    parts = _parts(url)
    # A password must not travel as plain text to another machine, not even if its server asks for it.
    required = {} if parts.get("sslmode") or is_this_machine(parts) else {"sslmode": "require"}
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            settings: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS, "client_encoding": "UTF8", **required}
            with psycopg.connect(url, autocommit=True, prepare_threshold=None, **settings) as connection:
                return connection.execute("select 1").fetchone() == (1,)
        except psycopg.Error as error:
            # Without an answer of the server nothing says that the functions will be refused.
            if "FATAL" not in str(error) and not (error.pgconn and error.pgconn.used_password):
                return False
            if attempt == _ATTEMPTS:
                raise MigrationError(str(error)) from error
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def place_of(url: str) -> str:
    """Return the host of `url`, for a message."""
    parts = _parts(url)
    return str(parts.get("host") or parts.get("hostaddr") or "the local server")


def _database(parts: dict[str, Any]) -> str:
    return str(parts.get("dbname") or parts.get("user") or "postgres")


def _parts(url: str) -> dict[str, Any]:
    try:
        return dict(conninfo_to_dict(url.strip()))
    except psycopg.ProgrammingError:
        # The secret's text can be anything. psycopg's message would quote it.
        return {}
