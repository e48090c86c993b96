"""A psycopg client of the stand-in for Neon, which waits only a limited time for an answer."""

import contextlib
import socket
import threading
import time
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import errors

from tests.support.neon.stand_in import StandIn
from tests.support.waiting import PATIENCE_SECONDS

WRITE = """
select body from robot_brain_api.write_message(
  'local', %s, '[{"robot_personality": "guide", "user_message": "?", "robot_response": "!", "metadata": {}}]',
  null, null, %s, null, false)
"""
# How long a client waits if no answer is expected. psycopg waits at least two seconds for a connection.
SILENCE_SECONDS = 2
# The result of a write without an answer, and a pattern of the errors of a connection that ended.
SILENCE = "silence"
GONE = r"closed the connection|unexpected eof|Connection reset|crashed|terminating connection"


def connect(stand_in: StandIn, patience: float = PATIENCE_SECONDS) -> "psycopg.Connection[Any]":
    """Connect as a function does: resolve the name, connect to the address and verify the name."""
    parts = urlsplit(stand_in.url)
    assert parts.hostname is not None
    found = socket.getaddrinfo(parts.hostname, parts.port, type=socket.SOCK_STREAM)
    return psycopg.connect(
        stand_in.url, hostaddr=found[0][4][0], connect_timeout=int(patience), autocommit=True, prepare_threshold=None
    )


def write(
    connection: "psycopg.Connection[Any]",
    session: str = "faults",
    key: str | None = None,
    patience: float = PATIENCE_SECONDS,
) -> None:
    """Write one turn. Raises TimeoutError if the server has said nothing for `patience` seconds."""
    done, given_up = threading.Event(), threading.Event()

    def give_up() -> None:
        if not done.wait(patience):
            given_up.set()
            # To the client this looks as if the server had closed the connection.
            with contextlib.suppress(OSError), socket.socket(fileno=_duplicate(connection)) as own:
                own.shutdown(socket.SHUT_RDWR)

    watch = threading.Thread(target=give_up)
    watch.start()
    try:
        connection.execute(WRITE, [session, key or f"{session}-{time.time_ns()}"])
    except psycopg.OperationalError as error:
        if given_up.is_set():
            raise TimeoutError(SILENCE) from error
        raise
    finally:
        done.set()
        watch.join()


def _duplicate(connection: "psycopg.Connection[Any]") -> int:
    return socket.dup(connection.fileno())


def error_of_a_write(
    connection: "psycopg.Connection[Any] | None", stand_in: StandIn, patience: float = PATIENCE_SECONDS
) -> str | None:
    """Write over `connection`, or over a new one, and return the error or None."""
    try:
        if connection is not None:
            write(connection, patience=patience)
        else:
            with connect(stand_in, patience) as fresh:
                write(fresh, patience=patience)
    except TimeoutError:
        return SILENCE
    except errors.ConnectionTimeout:
        return SILENCE
    except socket.gaierror as error:
        return next(name for name in ("EAI_AGAIN", "EAI_NONAME") if getattr(socket, name) == error.errno)
    except psycopg.Error as error:
        return str(error)
    return None
