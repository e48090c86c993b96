"""Chaining of the audit trail beside other refreshes, under kills at each step, and with a clock that steps."""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress

import psycopg
import pytest

from tests.faults.counting_server import KINDS, PASSWORD, counting_server
from tests.faults.test_erasure import DATABASE, kill
from tests.integration.audited import broken, chained, fill, heads, verified
from tests.support.neon import commits
from tests.support.servers.authority import Authority
from tests.support.servers.databases import APP, Database
from tests.support.waiting import wait_until

CHAIN = "select body from robot_brain_api.chain_audit()"
APPEND = "select robot_brain.append_audit(%s, 'users', 'x', 'ERASE', null, null, null, null)"
WAITS = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
ENDED = "select not exists (select from pg_stat_activity where pid = %s)"
PLACES = """
select coalesce(array_agg(n order by n), '{}'), count(*) filter (where n is null)
from robot_brain.audit_logs where tenant_id = %s
"""
HOUR = 3600
ENTRIES = 7


@pytest.fixture(scope="module", params=KINDS)
def database(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Database]:
    """A database on a server with a clock of its own, whose committed rows survive kill -9."""
    with counting_server(request.param, authority, DATABASE) as postgres:
        password = PASSWORD if request.param == "tls" else ""
        yield Database(
            request.param,
            DATABASE,
            postgres.address.url(APP, password, DATABASE),
            postgres.direct_url(DATABASE),
            postgres,
        )


@pytest.fixture
def tenant(database: Database) -> str:
    """A tenant with a chain of its own, and as many entries that are not chained yet."""
    name = secrets.token_hex(4)
    fill(database, [name], ENTRIES)
    chained(database)
    fill(database, [name], ENTRIES)
    return name


def places(database: Database, tenant: str) -> tuple[list[int], int]:
    """Return the places of the tenant's chain, and how many entries are not chained."""
    with closing(database.admin()) as admin:
        row = admin.execute(PLACES, [tenant]).fetchone()
    assert row is not None
    return [n for n in row[0] if n is not None], row[1]


def whole(length: int) -> list[int]:
    return list(range(1, length + 1))


def end(database: Database, pid: int, by_signal: bool) -> None:
    """End a server process. After kill -9 PostgreSQL ends all others, and recovers."""
    if by_signal:
        kill(database.postgres, pid)
    else:
        with closing(database.admin()) as admin:
            admin.execute("select pg_terminate_backend(%s)", [pid])

    def is_over() -> bool:
        with suppress(psycopg.OperationalError), closing(database.admin()) as admin:
            return admin.execute(ENDED, [pid]).fetchone() == (True,)
        return False

    wait_until(is_over)


# How the chaining is stopped: before the first update, between two updates, at the head, or before its commit.
STOPS: dict[str, str | None] = {
    "after the lock of the head": "n is null order by id limit 1",
    "between two updates": "n is null order by id offset 3 limit 1",
    "at the last update": "n is null order by id desc limit 1",
    "before the commit": None,
}


@pytest.mark.parametrize("by_signal", [False, True], ids=["terminated", "kill -9"])
@pytest.mark.parametrize("stop", STOPS)
def test_a_chaining_that_is_killed_changes_nothing_and_the_next_one_goes_on(
    database: Database, tenant: str, stop: str, by_signal: bool
) -> None:
    before = heads(database)
    row = STOPS[stop]
    with ThreadPoolExecutor(1) as thread, closing(database.app()) as doomed:
        pid = doomed.info.backend_pid
        if row is None:
            doomed.execute("begin")
            doomed.execute(CHAIN)
            end(database, pid, by_signal)
        else:
            with closing(database.admin()) as holder, closing(database.admin()) as observer:
                holder.execute("begin")
                holder.execute(
                    f"select from robot_brain.audit_logs where tenant_id = '{tenant}' and {row} for update".encode()
                )
                chaining = thread.submit(doomed.execute, CHAIN.encode())
                wait_until(lambda: observer.execute(WAITS, [pid]).fetchone() == (True,))
                # Another refresh does not wait for the head, and chains no entry of the tenant.
                with closing(database.app()) as other:
                    found = other.execute(CHAIN).fetchone()
                    assert found is not None
                    assert json.loads(found[0])["audit_chained"] == 0
                end(database, pid, by_signal)
                with pytest.raises(psycopg.OperationalError):
                    chaining.result()
    assert places(database, tenant) == (whole(ENTRIES), ENTRIES)
    assert broken(database, before) == {}
    assert verified(database)[tenant].unchained == ENTRIES
    assert chained(database) == ENTRIES
    assert places(database, tenant) == (whole(2 * ENTRIES), 0)
    assert broken(database, before) == {}


def test_a_chaining_that_is_killed_in_its_commit_is_done(database: Database, tenant: str) -> None:
    admin_url = database.postgres.admin_url(DATABASE)
    with ThreadPoolExecutor(1) as thread, closing(database.app()) as doomed, closing(database.admin()) as admin:
        commits.stall(admin_url)
        try:
            chaining = thread.submit(doomed.execute, CHAIN.encode())
            waits = "select wait_event = 'SyncRep' from pg_stat_activity where pid = %s"
            wait_until(lambda: admin.execute(waits, [doomed.info.backend_pid]).fetchone() == (True,))
            admin.execute("select pg_terminate_backend(%s)", [doomed.info.backend_pid])
            with suppress(psycopg.OperationalError):
                chaining.result()
        finally:
            commits.release(admin_url)
    assert places(database, tenant) == (whole(2 * ENTRIES), 0)
    assert chained(database) == 0
    assert broken(database) == {}


def test_two_refreshes_at_once_chain_each_entry_once(database: Database) -> None:
    tenants = [secrets.token_hex(4) for _ in range(20)]
    chained(database)
    before = heads(database)

    def chain(_: int) -> int:
        return chained(database)

    def append(number: int) -> int:
        fill(database, tenants[number % 7 :: 7], 10)
        return 0

    with ThreadPoolExecutor(8) as threads:
        appended = threads.map(append, range(28))
        counted = sum(threads.map(chain, range(28)))
        assert sum(appended) == 0
    counted += chained(database)
    assert counted == 20 * 40
    assert [places(database, tenant) for tenant in tenants] == [(whole(40), 0)] * 20
    assert broken(database, before) == {}


def test_an_entry_in_flight_is_chained_later_although_its_id_is_lower(database: Database, tenant: str) -> None:
    with closing(database.admin()) as slow:
        slow.execute("begin")
        slow.execute(APPEND, [tenant])
        fill(database, [tenant], 2)
        assert chained(database) == ENTRIES + 2
        kept = heads(database)
        slow.execute("commit")
    assert chained(database) == 1
    assert places(database, tenant) == (whole(2 * ENTRIES + 3), 0)
    with closing(database.admin()) as admin:
        last = admin.execute(
            "select id < lag(id) over (order by n) from robot_brain.audit_logs where tenant_id = %s order by n desc",
            [tenant],
        ).fetchone()
    assert last == (True,)
    result = verified(database, kept)[tenant]
    assert (result.broken, result.late) == ("", 0)


def test_ten_thousand_entries_of_fifty_tenants_have_fifty_chains(database: Database) -> None:
    tenants = [secrets.token_hex(4) for _ in range(50)]
    chained(database)
    fill(database, tenants, 200)
    with closing(database.app()) as app:
        row = app.execute(CHAIN).fetchone()
        assert row is not None
        assert json.loads(row[0]) == {"audit_chained": 2000, "has_more": True}
    results = verified(database)
    assert sum(results[tenant].unchained for tenant in tenants if tenant in results) == 8000
    assert broken(database) == {}
    assert chained(database) == 8000
    assert [places(database, tenant) for tenant in tenants] == [(whole(200), 0)] * 50
    assert broken(database) == {}


def test_a_clock_that_steps_breaks_no_chain_and_a_step_back_is_counted_as_late(database: Database) -> None:
    clock = database.postgres.clock
    assert clock is not None
    name = secrets.token_hex(4)
    chained(database)
    try:
        for seconds in (0, 3 * HOUR, -3 * HOUR, 3 * HOUR, -24 * HOUR, 0):
            clock.set(seconds)
            fill(database, [name], 2)
            assert chained(database) == 2
            assert broken(database) == {}
    finally:
        clock.set(0)
    result = verified(database)[name]
    assert (result.head.n, result.broken) == (12, "")
    # The clock stepped back twice by more than an hour.
    assert (result.late, result.first_late) == (2, 5)
