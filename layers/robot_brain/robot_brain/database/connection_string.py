"""DATABASE_URL as libpq's parameters: read, completed, and refused where it is wrong or not safe. Nothing is opened."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from robot_brain.errors import SettingsError
from robot_brain.settings import Settings, first_existing

# Amazon Linux 2023, Debian, Alpine and macOS. sslrootcert=system does not work with psycopg's wheels, whose OpenSSL
# looks into a folder that is not there.
_CA_BUNDLES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")

# Milliseconds until TCP gives a peer up that does not even acknowledge, as after a freeze in which it vanished. Without
# it the kernel goes on for a quarter of an hour, and a request would wait until the watchdog ends it.
_TCP_USER_TIMEOUT = "5000"

# Every other mode is left as it is, for libpq to refuse.
_SSL_MODES = ("", "allow", "prefer", "require", "verify-ca", "verify-full")


def connection_parameters(url: str, settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters for `url`, with TLS that verifies the server for every host but this one.

    Raise SettingsError where the URL cannot be read, has an unescaped @ or / in its password, asks for plain text to
    another host, or names no readable CA bundle. It says which part is wrong and quotes none: a mistyped URL may have
    its password anywhere.
    """
    try:
        parameters: dict[str, Any] = {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
    except psycopg.ProgrammingError:
        # Its text quotes the URL, password and all.
        raise SettingsError("DATABASE_URL is not a PostgreSQL connection string") from None
    if _is_split(url):
        raise SettingsError(
            "DATABASE_URL has an @ or a / in its password that is not escaped: write % as %25, @ as %40, / as %2F"
        )
    if "service" in parameters:
        # libpq alone reads that file, so nothing here would know which host it leads to.
        raise SettingsError("DATABASE_URL names a service; write the host into it")
    for option in Conninfo.get_defaults():  # PGHOST and PGHOSTADDR count for libpq: TLS has to know of them
        if option.keyword in (b"host", b"hostaddr") and option.val:
            parameters.setdefault(option.keyword.decode(), option.val.decode())
    _refuse_wrong_ports(parameters)
    # Where there is a hostaddr, libpq goes there and only looks whether the certificate names the host.
    if not all(_is_this_machine(host) for host in _hosts(parameters, "host") + _hosts(parameters, "hostaddr")):
        if parameters.get("sslmode") == "disable":
            raise SettingsError("DATABASE_URL says sslmode=disable, which is for a database on this machine only")
        if parameters.get("sslmode", "") in _SSL_MODES:
            parameters["sslmode"] = "verify-full"
    if str(parameters.get("sslmode", "")).startswith("verify"):
        parameters["sslrootcert"] = _root_certificates(parameters.get("sslrootcert", "system"), settings)
    if settings.channel_binding:
        parameters["channel_binding"] = settings.channel_binding
    if settings.ssl_negotiation:
        parameters["sslnegotiation"] = settings.ssl_negotiation
    parameters.setdefault("application_name", "robot-brain")
    # A role or a database may have another encoding, which cannot hold every text.
    parameters["client_encoding"] = "UTF8"
    parameters.setdefault("tcp_user_timeout", _TCP_USER_TIMEOUT)
    parameters.pop("connect_timeout", None)
    return parameters


def _is_split(url: str) -> bool:
    """Return whether libpq takes a part of a URL's password for its host, port or database.

    libpq ends the password at the first @, and looks for it before the first slash only. What follows such a sign in a
    password would be asked of the name server, and logged.
    """
    scheme, _, rest = url.partition("://")
    user, _, after = rest.partition("@")
    place = rest if "/" in user else after
    return scheme in ("postgresql", "postgres") and "@" in place.partition("?")[0]


def needs_look_up(parameters: Mapping[str, Any]) -> bool:
    """Return whether a host of `parameters` is a name that a resolver of another machine has to be asked for."""
    if "hostaddr" in parameters:
        return False
    return any(not _is_this_machine(host) and not _is_address(host) for host in _hosts(parameters, "host"))


def _hosts(parameters: Mapping[str, Any], name: str) -> list[str]:
    return str(parameters[name]).split(",") if name in parameters else []


def _refuse_wrong_ports(parameters: Mapping[str, Any]) -> None:
    """Raise SettingsError where a port is none, or there are not as many as hosts."""
    names, addresses, ports = (_hosts(parameters, name) for name in ("host", "hostaddr", "port"))
    if not all(port == "" or (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536) for port in ports):
        raise SettingsError("DATABASE_URL: a port is a whole number from 1 to 65535")
    if names and addresses and len(names) != len(addresses):
        raise SettingsError("DATABASE_URL: there must be as many hostaddr as host")
    if len(ports) > 1 and len(ports) != max(len(names), len(addresses)):
        raise SettingsError("DATABASE_URL: there must be one port, or as many as hosts")


def _root_certificates(named: str, settings: Settings) -> str:
    """Return the path of the CA bundle to verify with. Raise SettingsError where there is none that can be read."""
    if named != "system":
        path, where = named, "sslrootcert in DATABASE_URL"
    elif settings.ssl_root_cert:
        path, where = settings.ssl_root_cert, "DB_SSL_ROOT_CERT"
    else:
        found = first_existing(_CA_BUNDLES)
        if found is None:
            raise SettingsError("there is no CA bundle on this machine; set DB_SSL_ROOT_CERT to one")
        path, where = found, "this machine"
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise SettingsError(f"the CA bundle of {where} cannot be read: {error.strerror}") from None


def _is_this_machine(host: str) -> bool:
    if host in ("", "localhost") or host.startswith(("/", "@")):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
