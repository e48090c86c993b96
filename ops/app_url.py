"""The URL with which the functions connect, and what a real connection proves about it."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import psycopg

from ops.direct import CONNECT_SECONDS, parse_direct_url
from ops.errors import MigrationError

# Neon's proxy learns a new password within seconds.
_ATTEMPTS = 5
_PAUSE_SECONDS = 1.0
# Options of the direct URL that the functions need too: TLS, and which of several hosts.
_KEPT = ("sslmode", "sslrootcert", "target_session_attrs")
# libpq's options, best first. The first set with which the server accepts a connection is written into the URL.
_BINDING = {"channel_binding": "require"}
_DIRECT = {"sslnegotiation": "direct"}
_OPTIONS: tuple[Mapping[str, str], ...] = (_BINDING | _DIRECT, _BINDING, _DIRECT)


def pooled_host(host: str) -> str:
    """Return the host of Neon's pooler for a direct Neon host, and any other host unchanged."""
    endpoint, dot, domain = host.partition(".")
    if host.endswith(".neon.tech") and endpoint.startswith("ep-") and not endpoint.endswith("-pooler"):
        return f"{endpoint}-pooler{dot}{domain}"
    return host


def app_url(direct_url: str, role: str, password: str, options: Mapping[str, str] | None = None) -> str:
    """Return the URL with which `role` connects to the same database, on Neon through its pooler.

    It keeps all hosts and the options _KEPT of `direct_url`, and has `options` as well.
    """
    parts = parse_direct_url(direct_url)
    host = str(parts.get("host") or "localhost")
    database = quote(str(parts.get("dbname") or parts.get("user") or "postgres"), safe="")
    query = {name: str(parts[name]) for name in _KEPT if parts.get(name)} | dict(options or {})
    place = _place(host.split(","), str(parts.get("port") or "").split(","))
    if host.startswith("/"):
        query = {"host": host} | ({"port": str(parts["port"])} if parts.get("port") else {})
        place = ""
    text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
    return f"postgresql://{role}:{quote(password, safe='')}@{place}/{database}{'?' if text else ''}{text}"


def _place(hosts: list[str], ports: list[str]) -> str:
    """Return the hosts of a URL, each with its own port. libpq takes one port for all hosts."""
    each = ports * len(hosts) if len(ports) == 1 else ports
    return ",".join(pooled_host(host) + (f":{port}" if port else "") for host, port in zip(hosts, each, strict=False))


def proven_url(direct_url: str, role: str, password: str) -> str:
    """Connect as the functions will, and return the URL that worked, with the best options that the server supports.

    Raises MigrationError with the server's reason if no connection opens. The reason has no password.
    """
    # A password must not travel as plain text to another machine, not even if its server asks for it.
    required = {} if _has_mode(direct_url) or is_this_machine(parse_direct_url(direct_url)) else {"sslmode": "require"}
    plain = app_url(direct_url, role, password, required)
    if not _uses_tls(plain):
        return plain
    # libpq negotiates directly only if TLS is required.
    required = {} if _has_mode(direct_url) else {"sslmode": "require"}
    for options in _OPTIONS:
        url = app_url(direct_url, role, password, {**required, **options})
        if _accepts(url):
            return url
    return plain


def _uses_tls(url: str) -> bool:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _open(url) as connection:
                return bool(connection.pgconn.ssl_in_use)
        except psycopg.Error as error:
            if attempt == _ATTEMPTS:
                raise MigrationError(str(error)) from error
            time.sleep(_PAUSE_SECONDS)
    raise AssertionError("unreachable")


def _accepts(url: str) -> bool:
    try:
        with _open(url) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.Error:
        return False


def _open(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(
        url, autocommit=True, connect_timeout=CONNECT_SECONDS, prepare_threshold=None, client_encoding="UTF8"
    )


def _has_mode(direct_url: str) -> bool:
    return bool(parse_direct_url(direct_url).get("sslmode"))


def is_this_machine(parts: Mapping[str, Any]) -> bool:
    """Return whether these parts of a connection string lead to this machine."""
    host = str(parts.get("host") or "localhost")
    if host == "localhost" or host.startswith("/"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
