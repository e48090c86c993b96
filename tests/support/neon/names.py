"""A name service in a file: {host: [addresses]}, read at each look-up. No DNS knows these hosts.

As a program, `python names.py FILE MODULE [arguments]` runs a module (or a path that ends in .py) with it.
"""

import contextlib
import json
import runpy
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_DOMAIN = ".test"  # in no DNS (RFC 6761), so a name that is removed from the file is unknown


@contextlib.contextmanager
def resolve_with(path: Path) -> Iterator[None]:
    """Make socket.getaddrinfo of this process read the file at `path` first, until the block ends.

    If the value of a host is the name of an error (`EAI_AGAIN`), its look-up fails with that error. A host under .test
    that is not in the file fails with EAI_NONAME.
    """
    before = socket.getaddrinfo
    _install(path)
    try:
        yield
    finally:
        socket.getaddrinfo = before


def wrapper(path: Path) -> tuple[str, ...]:
    """Return the `wrapper` of a launch that makes the functions read the file at `path` first."""
    return (__file__, str(path))


def _install(path: Path) -> None:
    original = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *arguments: Any, **options: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        known = json.loads(path.read_text())
        if name not in known:
            if isinstance(name, str) and name.endswith(_DOMAIN):
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return original(host, port, *arguments, **options)
        if isinstance(known[name], str):
            raise socket.gaierror(getattr(socket, known[name]), "the stand-in's name service is away")
        found = [original(address, port, *arguments, **options) for address in known[name]]
        return [entry for entries in found for entry in entries]

    socket.getaddrinfo = getaddrinfo


def main(path: str, module: str) -> None:
    """Run `module` as the main program, with the `sys.argv` that it expects."""
    _install(Path(path))
    del sys.argv[:2]
    if module.endswith(".py"):
        runpy.run_path(module, run_name="__main__")
    else:
        runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
