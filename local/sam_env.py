"""Write the file for `sam local … --env-vars`, so that SAM's containers use the database of `make run`.

The file exists while `make run` runs. It has the variables that template.yaml declares, because SAM passes no others.
A container reaches this machine by the name `localhost` if SAM has the option `--add-host localhost:host-gateway`.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Callable, Iterator, Mapping
from ipaddress import IPv4Interface
from pathlib import Path
from socket import AF_INET

import psutil
from psycopg.conninfo import conninfo_to_dict

from local.relay import target
from local.sam_gate import Gate
from local.settings import Settings
from local.state import State
from local.template import Template

NAME = "sam-env.json"
_KEPT = "sam-login.json"
# The interface of Docker's default network on Linux. Docker Desktop leads containers to the loopback address instead.
_DOCKER = "docker0"
_LOOPBACK = IPv4Interface("127.0.0.1/8")


@contextlib.contextmanager
def sam_env(
    settings: Settings, state: State, template: Template, app_url: str | None, say: Callable[[str], None]
) -> Iterator[None]:
    """Keep the file in the state folder during the context. Only the holder of the folder's lock may call this.

    `app_url` is the functions' URL of the embedded database. The file then names a gate to it, whose port and password
    stay the same from run to run, unless another program has taken the port. Calls `say` if other addresses than
    those of this machine reach the gate. Without `app_url` the file has the settings' own database.
    """
    path = state.folder / NAME
    path.unlink(missing_ok=True)  # a killed run may have left one
    with _gate(settings, state, app_url, say) as gate_url:
        database = {} if gate_url is None else {"DATABASE_URL": gate_url}
        _write(path, {"Parameters": _declared(template, {**settings.functions, **database})})
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def _gate(settings: Settings, state: State, app_url: str | None, say: Callable[[str], None]) -> Iterator[str | None]:
    """Yield the URL of a gate to the embedded database, or None without `app_url`."""
    if app_url is None:
        yield None
        return
    parameters = conninfo_to_dict(app_url)
    login, database = str(parameters["user"]), str(parameters["dbname"])
    kept = state.folder / _KEPT
    port, password = _read(kept)
    place = gateway()
    with Gate(target(parameters), place, port, login, database, password) as gate:
        _write(kept, {"port": gate.port, "password": password})
        if place != _LOOPBACK:
            say(
                f"For sam local, listening on {place.ip} port {gate.port} too (Docker's bridge). "
                f"The password is in {settings.state}/{NAME}."
            )
        yield f"postgresql://{login}:{password}@localhost:{gate.port}/{database}"


def gateway() -> IPv4Interface:
    """Return the address that containers reach: that of Docker's bridge if there is one, otherwise the loopback."""
    for address in psutil.net_if_addrs().get(_DOCKER, []):
        if address.family == AF_INET and address.netmask:
            return IPv4Interface(f"{address.address}/{address.netmask}")
    return _LOOPBACK


def _declared(template: Template, given: Mapping[str, str]) -> dict[str, str]:
    """Return those of `given` that a function of the template has."""
    names = {name for function in template.functions.values() for name in function.environment}
    return {name: value for name, value in sorted(given.items()) if name in names}


def _read(kept: Path) -> tuple[int, str]:
    """Return the port and the password of the last run. The port is 0 and the password new if there was no run."""
    try:
        content = json.loads(kept.read_text())
        return int(content["port"]), str(content["password"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, secrets.token_urlsafe(24)


def _write(path: Path, content: Mapping[str, object]) -> None:
    """Write a file that only its owner can read, because it has a password."""
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    os.replace(temporary, path)
