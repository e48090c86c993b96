"""The stand-in with the embedded PostgreSQL, as in `make run SCALE_TO_ZERO=30`: without TLS and PgBouncer."""

import contextlib
import re
from collections.abc import Iterator

import psycopg
import pytest

from local.compute import Compute
from tests.support.neon.clock import ManualClock
from tests.support.neon.faults import fault, possible
from tests.support.neon.stand_in import StandIn
from tests.support.servers.postgres import start_embedded
from tests.support.waiting import PATIENCE_SECONDS

GONE = "closed the connection|terminating connection"
EXPECTED = {
    "kill_postgres": "Couldn't connect to compute node",
    "suspend": None,
    "refused": "Connection refused",
    "reset_mid_answer": GONE,
    "answer_lost": GONE,
    "proxy_quota": "Your project has exceeded the quota",
}


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    """The stand-in with PostgreSQL from PyPI on a unix socket behind the relay."""
    server = start_embedded(settings={"synchronous_commit": "on"})  # rows must survive SIGKILL
    url = server.direct_url("postgres")
    with StandIn(server.process, app_url=url, direct_url=url, admin_url=server.admin_url()) as made:
        yield made
    server.stop()


def error_of_a_query(stand_in: StandIn) -> str | None:
    """Send a query over a new connection, and return the error or None."""
    try:
        with psycopg.connect(stand_in.url, autocommit=True, connect_timeout=int(PATIENCE_SECONDS)) as connection:
            connection.execute("select 1")
    except psycopg.Error as error:
        return str(error)
    return None


def test_the_embedded_stand_in_has_only_faults_that_need_neither_tls_nor_pgbouncer(stand_in: StandIn) -> None:
    assert set(EXPECTED) < set(possible(stand_in))
    assert not {"kill_pgbouncer", "client_limit", "name_lookup", "certificate_expired"} & set(possible(stand_in))


@pytest.mark.parametrize("name", EXPECTED)
def test_a_client_sees_each_fault_and_no_fault_after_its_end(stand_in: StandIn, name: str) -> None:
    assert error_of_a_query(stand_in) is None
    with fault(stand_in, name):
        found = error_of_a_query(stand_in)
        if (expected := EXPECTED[name]) is None:
            assert found is None
        else:
            assert re.search(expected, found or "nothing"), found
    assert error_of_a_query(stand_in) is None


def test_a_database_restarted_after_a_kill_stays_awake_for_its_whole_idle_time() -> None:
    server = start_embedded()
    clock, said = ManualClock(), list[str]()
    with contextlib.closing(
        Compute(server.process, clock=clock, suspend_after=60, say=said.append, revive=True)
    ) as compute:
        clock.advance(61)
        server.process.kill()
        compute.tick()
        assert (compute.state, server.process.alive) == ("active", True)
        assert re.fullmatch(r"The database is back after \d+\.\d s\.", said[-1])
        clock.advance(61)
        compute.tick()
        assert (compute.state, server.process.alive) == ("idle", False)
    server.stop()
