"""Open a connection within one deadline, even if a name has many addresses and some never answer.

psycopg.connect applies its timeout to each address, in whole seconds and at least two. Its look-up of names has no
limit. Three addresses that drop every packet took three times DB_CONNECTION_TIMEOUT.
"""

from __future__ import annotations

import math
import re
import select
from collections.abc import Mapping
from threading import Thread
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_attempts, make_conninfo
from psycopg.pq import ConnStatus, PollingStatus

from robot_brain.database.connection_string import needs_look_up
from robot_brain.database.failures import is_final
from robot_brain.database.watchdog import WatchedConnection
from robot_brain.deadline import Deadline
from robot_brain.errors import SettingsError

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

# The seconds that an address gets for its TCP handshake. Neon's proxy does not sleep, so the handshake is fast even if
# the compute has to wake: only the answer after it is late. A lost SYN is sent again after one second.
_TCP_SECONDS = 3.0

_BEFORE_TCP = (ConnStatus.NEEDED, ConnStatus.STARTED)

# libpq's messages about wrong parameters, before it sends anything. A value in them may be part of a mistyped password.
_WRONG_VALUE = re.compile(
    r'invalid "?([a-z_]+)"? value: |invalid integer value .* for connection option "([a-z_]+)"\s*$'
)
_WRONG_VALUES = re.compile(r"invalid .*value|invalid port|weak sslmode|could not parse network address|could not match")


def connect(parameters: Mapping[str, Any], deadline: Deadline, prepare_threshold: int | None) -> WatchedConnection:
    """Return a connection in autocommit mode to the first address that accepts.

    An address gets a short share of the time for its TCP handshake, and after it all the time that is left. If the URL
    names several hosts, each gets its share of that time. So after a failover a host that accepts and stays silent
    leaves time for the next one. An error that a retry does not solve ends the attempt, and so does an overloaded
    server. The other addresses lead to the same database.

    Raises SettingsError if libpq cannot read a parameter.
    Raises psycopg.errors.ConnectionTimeout if the last address accepted the connection but stayed silent until the
    deadline.
    Otherwise raises psycopg.OperationalError with the reason of each address that was tried.
    """
    attempts = _attempts(parameters, deadline)
    reasons: list[str] = []
    kind: type[psycopg.OperationalError] = psycopg.OperationalError
    for number, attempt in enumerate(attempts):
        left = deadline.left()
        if left <= 0:
            break
        tcp_seconds = min(_TCP_SECONDS, left / (len(attempts) - number))
        hosts = len({(each.get("host"), each.get("port")) for each in attempts[number:]})
        within = deadline if hosts == 1 else deadline.at_most(left / hosts)
        try:
            pgconn = _open(make_conninfo("", **attempt), tcp_seconds, within)
        except psycopg.OperationalError as error:
            reasons.append(" ".join(str(error).split()))
            kind = type(error)
            if is_final(error):
                break
        else:
            connection = WatchedConnection(pgconn)
            connection.add_notice_handler(connection.heed)
            connection.autocommit = True
            connection.prepare_threshold = prepare_threshold
            return connection
    raise kind("; ".join(reasons) or "no time left to connect in")


def _attempts(parameters: Mapping[str, Any], deadline: Deadline) -> list[dict[str, Any]]:
    """Return the parameters for each address, in the order to try them. Each has one host and one address.

    A look-up cannot be cancelled and may take many seconds. So a thread does it, and we abandon that thread at the
    deadline.
    Raises psycopg.OperationalError if no host has an address, or if the look-up does not end by the deadline.
    Raises SettingsError if a host is not a valid name.
    """
    if not needs_look_up(parameters):
        return conninfo_attempts(parameters)
    found: list[list[dict[str, Any]]] = []
    failed: list[Exception] = []

    def look_up() -> None:
        try:
            found.append(conninfo_attempts(parameters))
        except (psycopg.Error, UnicodeError) as error:
            failed.append(error)

    thread = Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(deadline.left())
    if found:
        return found[0]
    if not failed:
        raise psycopg.OperationalError("the look-up of the host's name did not end in time")
    if isinstance(failed[0], UnicodeError):
        raise SettingsError("the host in DATABASE_URL is not a valid host name") from None
    raise failed[0]


def _open(conninfo: str, tcp_seconds: float, deadline: Deadline) -> PGconn:
    """Return a connection to one address, opened by libpq's asynchronous functions and ready for psycopg.

    The loop follows https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PQCONNECTSTARTPARAMS.
    """
    pgconn = pq.PGconn.connect_start(conninfo.encode())
    try:
        if pgconn.status == ConnStatus.BAD:
            raise _refused_at_the_start(pgconn.get_error_message())
        polled = PollingStatus.WRITING
        tcp = Deadline(tcp_seconds)
        was_up = False
        while polled != PollingStatus.OK:
            is_up = pgconn.status not in _BEFORE_TCP
            if was_up and not is_up:  # libpq connects to the same address again, with or without TLS
                tcp = Deadline(tcp_seconds)
            was_up = is_up
            if not _ready(pgconn.socket, polled, deadline.left() if is_up else min(tcp.left(), deadline.left())):
                if is_up:
                    raise psycopg.errors.ConnectionTimeout(f"connected to {_address(pgconn)}, which then stayed silent")
                raise psycopg.OperationalError(f"no connection to {_address(pgconn)} in time")
            polled = PollingStatus(pgconn.connect_poll())
            if polled == PollingStatus.FAILED:
                raise psycopg.OperationalError(pgconn.get_error_message())
    except BaseException:
        pgconn.finish()
        raise
    pgconn.nonblocking = 1
    return pgconn


def _ready(socket: int, wanted: PollingStatus, seconds: float) -> bool:
    poll = select.poll()
    poll.register(socket, select.POLLIN if wanted == PollingStatus.READING else select.POLLOUT)
    return bool(poll.poll(math.ceil(seconds * 1000)))


def _address(pgconn: PGconn) -> str:
    return f"{(pgconn.hostaddr or pgconn.host).decode()} port {pgconn.port.decode()}"


def _refused_at_the_start(text: str) -> Exception:
    """Return the error for libpq's refusal to start: SettingsError for wrong parameters, else OperationalError."""
    if not _WRONG_VALUES.search(text):
        return psycopg.OperationalError(text)
    found = _WRONG_VALUE.search(text)
    name = next(filter(None, found.groups())) if found else "weak sslmode" if "weak sslmode" in text else ""
    return SettingsError(f"DATABASE_URL: {name or 'a parameter'} has a value that libpq refuses")
