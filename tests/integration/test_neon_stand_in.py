"""The stand-in for Neon: a psycopg client sees the expected error of each fault, and no error after its end."""

import re
import select
import socket
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.stand_in_client import GONE, SILENCE, SILENCE_SECONDS, connect, error_of_a_write, write
from tests.support.neon.faults import FAULTS, PERMANENT_TEXTS, TRANSIENT_TEXTS, fault, possible
from tests.support.neon.names import resolve_with
from tests.support.neon.stand_in import HOST, StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_libfaketime, debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.stand_in import neon_stand_in
from tests.support.waiting import PATIENCE_SECONDS

VERIFY = "certificate verify failed"
# For each fault: the result of a write over a new connection, then over one opened before the fault.
# None is success, SILENCE is no answer, and any other text is a pattern of the error.
EXPECTED: dict[str, tuple[str | None, str | None]] = {
    "kill_postgres": (SILENCE, f"{GONE}|{SILENCE}"),  # PgBouncer waits for a server
    "kill_pgbouncer": ("Couldn't connect to compute node", GONE),
    "fast_restart": (None, None),
    "read_only": ("read-only transaction", "read-only transaction"),
    "suspend": (None, GONE),
    "commit_stall": (SILENCE, SILENCE),
    "clock_step": (None, None),
    "refused": ("Connection refused", GONE),
    "accept_silence": (SILENCE, None),
    "acknowledge_silence": (SILENCE, SILENCE),
    "reset_mid_answer": (GONE, GONE),
    "answer_lost": (GONE, GONE),
    "delay": (None, None),
    "connections_taken": (SILENCE, SILENCE),
    "client_limit": ("no more connections allowed", None),
    "name_lookup": ("EAI_AGAIN", None),
    "name_unknown": ("EAI_NONAME", None),
    "certificate_expired": (VERIFY, None),
    "certificate_wrong_name": ("does not match host name", None),
    "certificate_unknown": (VERIFY, None),
    **{
        f"proxy_{name}": (re.escape(text), GONE)
        for texts in (TRANSIENT_TEXTS, PERMANENT_TEXTS)
        for name, text in texts.items()
    },
}


@pytest.fixture(scope="module")
def stand_in(authority: Authority) -> Iterator[StandIn]:
    """One stand-in for this file. It has a host name."""
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    with neon_stand_in(authority, names=True) as made:
        assert made.names is not None
        with resolve_with(made.names):
            yield made


def test_the_table_of_expected_results_has_every_fault(stand_in: StandIn) -> None:
    assert list(EXPECTED) == list(FAULTS)
    assert set(FAULTS) - set(possible(stand_in)) <= {"clock_step"}  # needs libfaketime


@pytest.mark.parametrize("name", FAULTS)
def test_a_client_sees_each_fault_and_no_fault_after_its_end(stand_in: StandIn, name: str) -> None:
    if name == "clock_step":
        skip_without(debian_libfaketime)
    fresh, reused = EXPECTED[name]
    for expected, open_before in ((fresh, False), (reused, True)):
        connection = connect(stand_in) if open_before else None
        with fault(stand_in, name):
            patience = SILENCE_SECONDS if SILENCE in (expected or "") else PATIENCE_SECONDS
            found = error_of_a_write(connection, stand_in, patience)
            if expected is None:
                assert found is None
            else:
                assert re.search(expected, found or "nothing"), found
        if connection is not None:
            if found is None:
                write(connection)  # still works
            connection.close()
        assert error_of_a_write(None, stand_in) is None


@pytest.mark.parametrize("name", ["kill_pgbouncer", "suspend", "refused", "proxy_connect"])
def test_an_open_connection_ends_as_soon_as_the_fault_has_begun(stand_in: StandIn, name: str) -> None:
    for _ in range(4):
        with connect(stand_in) as connection, fault(stand_in, name):
            ended = bool(select.select([connection.pgconn.socket], [], [], 0)[0])
        assert ended


def test_an_answer_is_lost_after_commit_as_often_as_requested(stand_in: StandIn) -> None:
    session = "lost"
    stand_in.relay.lose_answers(3)
    for attempt in range(4):
        with connect(stand_in) as connection:
            if attempt == 3:
                write(connection, session, "one key")
                break
            with pytest.raises(psycopg.OperationalError, match=GONE):
                write(connection, session, "one key")
        with stand_in.observer() as observer:
            assert _turns(observer, session) == 1  # the first attempt committed, the others are replays
    assert stand_in.relay.to_come == 0


def test_an_answer_is_lost_on_a_reused_connection(stand_in: StandIn) -> None:
    with connect(stand_in) as connection:
        for number in range(3):
            write(connection, "warm", f"warm {number}")
        stand_in.relay.lose_answers()
        with pytest.raises(psycopg.OperationalError, match=GONE):
            write(connection, "warm", "warm 3")
    with stand_in.observer() as observer:
        assert _turns(observer, "warm") == 4


def test_the_end_of_a_connection_does_not_count_as_a_lost_answer(stand_in: StandIn) -> None:
    connection = connect(stand_in)
    stand_in.relay.lose_answers()
    connection.close()
    connect(stand_in).close()
    assert stand_in.relay.to_come == 1
    stand_in.relay.restore()


def test_each_round_trip_takes_the_delay(stand_in: StandIn) -> None:
    with connect(stand_in) as connection:
        stand_in.relay.delay(0.2)
        began = time.monotonic()
        connection.execute("select 1")
        took = time.monotonic() - began
        stand_in.relay.restore()
    assert took >= 0.2


def test_after_a_silence_a_connection_that_was_idle_still_works(stand_in: StandIn) -> None:
    with connect(stand_in) as idle, connect(stand_in) as used:
        with fault(stand_in, "acknowledge_silence"):
            assert error_of_a_write(used, stand_in, SILENCE_SECONDS) == SILENCE
        write(idle)


def test_a_name_that_the_stand_in_does_not_know_is_resolved_by_the_machine(stand_in: StandIn) -> None:
    assert socket.getaddrinfo("127.0.0.1", 1)[0][4][0] == "127.0.0.1"
    stand_in.resolve("127.0.0.2", "127.0.0.3")
    addresses = [entry[4][0] for entry in socket.getaddrinfo(HOST, 5432, type=socket.SOCK_STREAM)]
    stand_in.resolve()
    assert addresses == ["127.0.0.2", "127.0.0.3"]


def _turns(observer: "psycopg.Connection[Any]", session: str) -> int:
    row = observer.execute("select count(*) from robot_brain.conversations where session_id = %s", [session]).fetchone()
    assert row is not None
    count: int = row[0]
    return count
