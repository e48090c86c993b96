"""A crash of one server process, after which PostgreSQL ends all its processes and recovers."""

import os
import signal

import psycopg

from tests.support.waiting import wait_until


def crash(witness: psycopg.Connection, pid: int) -> None:
    """Kill a server process. Return when PostgreSQL has ended that of `witness`, a connection to the same server.

    From then on it refuses clients until it has recovered. Before, it may accept one and then end its connection.
    """
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _has_ended(witness))


def _has_ended(connection: psycopg.Connection) -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False
