"""The operator's connection: directly to PostgreSQL, without a pooler, as the role that owns the database."""

from __future__ import annotations

import os
import re
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ops.errors import MigrationError, SettingMissingError

# For each address, if the connection string sets no connect_timeout. A compute needs some seconds to wake.
CONNECT_SECONDS = 30

_PORTS = re.compile(r"[0-9,]*")


def url_from_environment() -> str:
    """Return DIRECT_DATABASE_URL. Raises SettingMissingError if it is empty or not set."""
    url = os.environ.get("DIRECT_DATABASE_URL", "").strip()
    if not url:
        raise SettingMissingError
    return url


def parse_direct_url(direct_url: str) -> dict[str, Any]:
    """Return the parts of a connection string.

    Raises MigrationError if the string is wrong. The message does not quote the string, because it holds a password.
    """
    wrong = MigrationError(
        "DIRECT_DATABASE_URL must be a connection string such as postgresql://owner:password@host/database. "
        "Escape special characters in the password: write % as %25, @ as %40 and / as %2F."
    )
    try:
        parts = dict(conninfo_to_dict(direct_url))
    except psycopg.ProgrammingError:
        # psycopg's message quotes the string with the password, so do not chain it.
        raise wrong from None
    if _is_split(direct_url) or not _PORTS.fullmatch(str(parts.get("port") or "")):
        raise wrong
    return parts


def _is_split(url: str) -> bool:
    """Return whether libpq takes a part of the URL's password as its host, port or database.

    Error messages name those parts, so they would show the password. robot_brain.connection_string has the same rule,
    but this command cannot import the layer. A test compares the two rules.
    """
    scheme, _, rest = url.partition("://")
    user, _, after = rest.partition("@")
    place = rest if "/" in user else after
    return scheme in ("postgresql", "postgres") and "@" in place.partition("?")[0]


def connect(direct_url: str, program: str, *, seconds: int | None = None) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode, with `program` as its application_name, within `seconds` for each address.

    Raises MigrationError, with what to do, if that fails.
    """
    parts = parse_direct_url(direct_url)
    seconds = seconds or parts.get("connect_timeout") or CONNECT_SECONDS
    try:
        return psycopg.connect(
            direct_url,
            autocommit=True,
            connect_timeout=seconds,
            application_name=program,
            # With SQL_ASCII, which the role or the database may set, psycopg returns text as bytes.
            client_encoding="UTF8",
        )
    except psycopg.Error as error:
        host = parts.get("host") or parts.get("hostaddr") or "the local server"
        raise MigrationError(
            f"cannot connect to {host} port {parts.get('port') or 5432}: {error}\n"
            "Check that the server is running. Check the host, port, user and password in DIRECT_DATABASE_URL. "
            "On Neon use the direct host, which is the one without -pooler."
        ) from error


def refuse_pooler(direct_url: str) -> None:
    """Raise MigrationError if `direct_url` leads to Neon's pooler, which keeps no session state such as locks."""
    host = str(parse_direct_url(direct_url).get("host") or "")
    if "-pooler." in host:
        raise MigrationError(
            f"DIRECT_DATABASE_URL leads to Neon's pooler ({host}); use the direct host: without -pooler"
        )


def refuse_encoding(connection: psycopg.Connection[Any]) -> None:
    """Raise MigrationError if the database cannot store every text, or counts bytes for characters."""
    row = connection.execute(
        "select pg_catalog.current_database(), pg_catalog.current_setting('server_encoding')"
    ).fetchone()
    assert row is not None
    database, encoding = row
    if encoding != "UTF8":
        raise MigrationError(
            f"The database {database} has the encoding {encoding}, and Robot Brain needs UTF8: "
            "create another one with `create database … encoding 'UTF8' template template0`."
        )
