"""Turn DATABASE_URL into libpq's parameters. Refuse a URL that is wrong or unsafe. Open no connection."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from robot_brain.errors import SettingsError
from robot_brain.settings import Settings, first_existing

# Amazon Linux 2023, Debian, Alpine and macOS. sslrootcert=system does not work with psycopg's wheels, because their
# OpenSSL reads a folder that does not exist.
_CA_BUNDLES = ("/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/certs/ca-certificates.crt", "/etc/ssl/cert.pem")

# Milliseconds until TCP gives up a peer that acknowledges nothing, for example one that vanished during a freeze.
# Without this limit the kernel tries for 15 minutes, and a request would wait until the watchdog's deadline.
_TCP_USER_TIMEOUT = "5000"

# Any other mode stays as it is, so that libpq refuses it.
_SSL_MODES = ("", "allow", "prefer", "require", "verify-ca", "verify-full")


def connection_parameters(url: str, settings: Settings) -> dict[str, Any]:
    """Return libpq's parameters for `url`. TLS verifies the server, unless every host is this machine.

    Raises SettingsError if the URL cannot be parsed, or has an unescaped @ or / in its password. Also raises it if the
    URL demands plain text to another machine, or if the CA bundle cannot be read. The error says which part is wrong
    and quotes no part, because a mistyped URL may have its password anywhere.
    """
    try:
        parameters: dict[str, Any] = {k: v for k, v in conninfo_to_dict(url).items() if v is not None}
    except psycopg.ProgrammingError:
        # The error's text quotes the URL with its password.
        raise SettingsError("DATABASE_URL is not a PostgreSQL connection string") from None
    if _is_split(url):
        raise SettingsError("the password in DATABASE_URL has an unescaped @ or /: write % as %25, @ as %40, / as %2F")
    if "service" in parameters:
        # Only libpq reads the file of services, so this code cannot check which host it names.
        raise SettingsError("DATABASE_URL names a service; write the host into it")
    for option in Conninfo.get_defaults():  # libpq reads PGHOST and PGHOSTADDR: the check of TLS needs them
        if option.keyword in (b"host", b"hostaddr") and option.val:
            parameters.setdefault(option.keyword.decode(), option.val.decode())
    _refuse_wrong_ports(parameters)
    # If there is a hostaddr, libpq connects to it, and uses host only to check the certificate's name.
    if not all(_is_this_machine(host) for host in _hosts(parameters, "host") + _hosts(parameters, "hostaddr")):
        if parameters.get("sslmode") == "disable":
            raise SettingsError(
                "DATABASE_URL has sslmode=disable, which is allowed only for a database on this machine"
            )
        if parameters.get("sslmode", "") in _SSL_MODES:
            parameters["sslmode"] = "verify-full"
    if str(parameters.get("sslmode", "")).startswith("verify"):
        parameters["sslrootcert"] = _root_certificates(parameters.get("sslrootcert", "system"), settings)
    if settings.channel_binding:
        parameters["channel_binding"] = settings.channel_binding
    if settings.ssl_negotiation:
        parameters["sslnegotiation"] = settings.ssl_negotiation
    parameters.setdefault("application_name", "robot-brain")
    # A role or a database may set another encoding, which cannot represent every text.
    parameters["client_encoding"] = "UTF8"
    parameters.setdefault("tcp_user_timeout", _TCP_USER_TIMEOUT)
    parameters.pop("connect_timeout", None)
    return parameters


def _is_split(url: str) -> bool:
    """Return whether libpq would read a part of the password as the host, port or database.

    libpq ends the password at the first @, and searches for that @ only before the first slash. The rest of the
    password would become a host name, which goes to the name server and into the log.
    """
    scheme, _, rest = url.partition("://")
    user, _, after = rest.partition("@")
    place = rest if "/" in user else after
    return scheme in ("postgresql", "postgres") and "@" in place.partition("?")[0]


def needs_look_up(parameters: Mapping[str, Any]) -> bool:
    """Return whether connecting needs a name server, because a host of `parameters` is a name without an address."""
    if "hostaddr" in parameters:
        return False
    return any(not _is_this_machine(host) and not _is_address(host) for host in _hosts(parameters, "host"))


def _hosts(parameters: Mapping[str, Any], name: str) -> list[str]:
    return str(parameters[name]).split(",") if name in parameters else []


def _refuse_wrong_ports(parameters: Mapping[str, Any]) -> None:
    """Raise SettingsError if a port is invalid, or if the numbers of hosts, addresses and ports do not match."""
    names, addresses, ports = (_hosts(parameters, name) for name in ("host", "hostaddr", "port"))
    if not all(port == "" or (port.isascii() and port.isdecimal() and 0 < int(port[:6]) < 65536) for port in ports):
        raise SettingsError("DATABASE_URL: a port must be a whole number from 1 to 65535")
    if names and addresses and len(names) != len(addresses):
        raise SettingsError("DATABASE_URL must have as many values of hostaddr as of host")
    if len(ports) > 1 and len(ports) != max(len(names), len(addresses)):
        raise SettingsError("DATABASE_URL must have one port, or as many ports as hosts")


def _root_certificates(named: str, settings: Settings) -> str:
    """Return the path of the CA bundle. Raises SettingsError if no bundle exists or the named one cannot be read."""
    if named != "system":
        path, source = named, "sslrootcert in DATABASE_URL"
    elif settings.ssl_root_cert:
        path, source = settings.ssl_root_cert, "DB_SSL_ROOT_CERT"
    else:
        found = first_existing(_CA_BUNDLES)
        if found is None:
            raise SettingsError("there is no CA bundle on this machine; set DB_SSL_ROOT_CERT to one")
        path, source = found, "this machine"
    try:
        with open(path, "rb"):
            return path
    except OSError as error:
        raise SettingsError(f"the CA bundle of {source} cannot be read: {error.strerror}") from None


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
