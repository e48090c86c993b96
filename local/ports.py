"""The ports of the local stack."""

import errno
import socket

LAST_PORT = 65535


class PortError(OSError):
    """The port cannot be listened on."""


def bind(port: int, choice: int, purpose: str = "") -> socket.socket:
    """Return a socket that is bound to the port.

    Raises PortError, which names the `purpose` of the port and suggests a PORT a little above `choice`.
    """
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(("127.0.0.1", port))
    except OSError as error:
        bound.close()
        other = f"PORT={choice + 10}, or " if choice + 10 < LAST_PORT else ""
        why = "another program uses it" if error.errno == errno.EADDRINUSE else error.strerror
        raise PortError(
            f"port {port} on 127.0.0.1{purpose} is not free ({why}). Choose another: {other}PORT=0"
        ) from error
    return bound
