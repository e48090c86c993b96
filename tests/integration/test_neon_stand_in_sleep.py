"""The compute of the stand-in for Neon sleeps without traffic, and wakes when a client connects."""

import select
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from tests.integration.stand_in_client import GONE, connect, error_of_a_write, write
from tests.support.neon.clock import ManualClock
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.stand_in import neon_stand_in
from tests.support.waiting import PATIENCE_SECONDS


@pytest.fixture
def sleeper(authority: Authority) -> Iterator[tuple[StandIn, ManualClock]]:
    """A stand-in that sleeps after five minutes of a simulated clock, and the clock."""
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    clock = ManualClock()
    with neon_stand_in(authority, clock=clock, suspend_after=300) as made:
        clock.listeners.append(made.compute.tick)
        yield made, clock


def test_ten_connections_wake_the_compute_once_and_wait_for_it(authority: Authority) -> None:
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    with neon_stand_in(authority, wake_seconds=0.3) as made, ThreadPoolExecutor(10) as pool:
        made.compute.suspend()
        began = time.monotonic()
        assert list(pool.map(lambda _: error_of_a_write(None, made), range(10))) == [None] * 10
        assert time.monotonic() - began >= 0.3
        assert (made.compute.state, made.compute.wakes) == ("active", 1)


def test_the_compute_sleeps_after_five_minutes_without_traffic(sleeper: tuple[StandIn, ManualClock]) -> None:
    made, clock = sleeper
    with connect(made) as connection:
        clock.advance(299)
        write(connection)
        clock.advance(299)
        assert made.compute.awake_seconds == 598
        clock.advance(10)
        # An idle client of the pooler does not keep the compute awake. Its connection ends without a message.
        poll = select.poll()
        poll.register(connection.fileno(), select.POLLIN)
        assert poll.poll(PATIENCE_SECONDS * 1000)
        with pytest.raises(psycopg.OperationalError, match=GONE):
            write(connection)
    clock.advance(24 * 3600)
    assert (made.compute.wakes, made.compute.awake_seconds) == (0, 599)
    assert error_of_a_write(None, made) is None
    clock.advance(60)
    assert (made.compute.wakes, made.compute.awake_seconds) == (1, 659)


def test_an_open_transaction_keeps_the_compute_awake(sleeper: tuple[StandIn, ManualClock]) -> None:
    made, clock = sleeper
    with connect(made) as connection:
        with connection.transaction():
            connection.execute("select 1")
            clock.advance(3600)
            assert made.compute.awake_seconds == 3600
        clock.advance(300)
        clock.advance(300)
    assert (made.compute.state, made.compute.awake_seconds) == ("idle", 3900)


def test_a_client_gets_neons_error_while_the_compute_cannot_start(sleeper: tuple[StandIn, ManualClock]) -> None:
    made, _ = sleeper

    class NeverStartsError(Exception):
        pass

    def fail() -> None:
        raise NeverStartsError

    made.compute.suspend()
    started = made.postgres.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made.postgres, "start", fail)
        assert "Couldn't connect to compute node" in str(error_of_a_write(None, made))
    assert made.postgres.start == started
    assert error_of_a_write(None, made) is None
