"""One stand-in for all faults. If it works under the next fault, the fault before it is over. And a pair of servers."""

from collections.abc import Iterator

import pytest

from tests.faults.stage import SESSION, Stage
from tests.support.bundle import deployed
from tests.support.neon.names import resolve_with
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.stand_in import neon_stand_in
from tests.support.servers.standby import KINDS, Pair, running_pair

# Neon takes a few hundred milliseconds, in addition to the start of the servers.
WAKE_SECONDS = 0.5


@pytest.fixture(scope="module")
def stage(authority: Authority) -> Iterator[Stage]:
    """PostgreSQL and PgBouncer with TLS behind the relay, under a name that only the stand-in's name service knows."""
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    with neon_stand_in(authority, names=True, wake_seconds=WAKE_SECONDS) as stand_in:
        assert stand_in.names is not None
        stage = Stage(stand_in)
        stage.keep(SESSION)
        with resolve_with(stand_in.names):
            # PgBouncer answers otherwise if it has never looked a user up, so it looks up before the first fault.
            with deployed({"DATABASE_URL": stand_in.url}) as functions:
                assert functions.read(SESSION).status == 200
            yield stage


@pytest.fixture(params=KINDS)
def pair(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Pair]:
    """A primary with a streaming standby, and a migrated database. A failover uses them up."""
    with running_pair(request.param, authority) as made:
        yield made
