"""The operator's connection: straight to PostgreSQL, as the role that owns the database."""

from __future__ import annotations

import os
import re
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from ops.errors import MigrationError, SettingMissingError

# Seconds for each address, if the connection string does not say. A compute that wakes takes some.
CONNECT_SECONDS = 30

_PORTS = re.compile(r"[0-9,]*")


def url_from_environment() -> str:
    """Return DIRECT_DATABASE_URL. Raises SettingMissingError if it is empty or not set."""
    url = os.environ.get("DIRECT_DATABASE_URL", "").strip()
    if not url:
        raise SettingMissingError
    return url


def parse_direct_url(direct_url: str) -> dict[str, Any]:
    """Return the parts of a connection string. Raises MigrationError, which does not quote it, if it is wrong."""
    wrong = MigrationError(
        "DIRECT_DATABASE_URL is no connection string such as postgresql://owner:password@host/database; "
        "in a password % is written %25, @ %40, / %2F, and so are other signs that mean something in a URL"
    )
    try:
        parts = dict(conninfo_to_dict(direct_url))
    except psycopg.ProgrammingError:
        # Its text quotes the string, password and all.
        raise wrong from None
    if _is_split(direct_url) or not _PORTS.fullmatch(str(parts.get("port") or "")):
        raise wrong
    return parts


def _is_split(url: str) -> bool:
    """Return whether libpq takes a part of a URL's password for its host, port or database; messages name these.

    The same rule as in robot_brain.connection_string, which is not installed beside this command; a test compares them.
    """
    scheme, _, rest = url.partition("://")
    user, _, after = rest.partition("@")
    place = rest if "/" in user else after
    return scheme in ("postgresql", "postgres") and "@" in place.partition("?")[0]


def connect(direct_url: str, program: str) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode that `program` is the name of. Raise MigrationError, saying what to do."""
    parts = parse_direct_url(direct_url)
    seconds = parts.get("connect_timeout") or CONNECT_SECONDS
    try:
        return psycopg.connect(
            direct_url,
            autocommit=True,
            connect_timeout=seconds,
            application_name=program,
            # In SQL_ASCII, which the role or the database may have, names come as bytes.
            client_encoding="UTF8",
        )
    except psycopg.Error as error:
        host = parts.get("host") or parts.get("hostaddr") or "the local server"
        raise MigrationError(
            f"cannot connect to {host} port {parts.get('port') or 5432}: {error}\n"
            "See that the server is running, and that DIRECT_DATABASE_URL has its direct host (on Neon the one without "
            "-pooler), its port, and the right user and password."
        ) from error


def refuse_pooler(direct_url: str) -> None:
    """Raise MigrationError if `direct_url` leads to Neon's pooler, which keeps nothing of a session."""
    host = str(parse_direct_url(direct_url).get("host") or "")
    if "-pooler." in host:
        raise MigrationError(
            f"DIRECT_DATABASE_URL leads to Neon's pooler ({host}); use the direct host: without -pooler"
        )
