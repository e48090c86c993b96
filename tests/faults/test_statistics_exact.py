"""Figures equal the rows at each moment, under edits, removals, moved clocks, stalled commits and kill -9."""

import secrets
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait

import pytest

from tests.faults.counting import HOLD_VIEW, Counting, wait_until
from tests.faults.counting_server import KINDS, PASSWORD, SEEDS, counting_server
from tests.support.figures import keep_history
from tests.support.neon import commits
from tests.support.servers.authority import Authority
from tests.support.servers.postgres import Postgres

HOUR, DAY = 3600, 86400
STEPS = (HOUR, -2 * HOUR, DAY, -DAY, 90, -90, -HOUR)
MOMENTS = ("before a refresh", "during a refresh", "after a refresh")
DATABASE = "counting"


@pytest.fixture(scope="module", params=KINDS)
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Postgres]:
    """A server with a clock of its own and one migrated database."""
    with counting_server(request.param, authority, DATABASE) as postgres:
        with postgres.admin(DATABASE) as admin:
            keep_history(admin)
        yield postgres


@pytest.fixture(params=range(SEEDS))
def counting(server: Postgres) -> Iterator[Counting]:
    """Writers with two tenants of their own."""
    counting = Counting(server, DATABASE, PASSWORD, secrets.token_hex(4), changes=True)
    yield counting
    counting.close()
    print(f"{counting.compared.figures} figures compared")


def test_no_step_of_the_clock_makes_a_figure_differ_from_the_rows(counting: Counting) -> None:
    offset = 0
    moments = [*MOMENTS, *MOMENTS, counting.chance.choice(MOMENTS)]
    counting.chance.shuffle(moments)
    for seconds, moment in zip(counting.chance.sample(STEPS, len(STEPS)), moments, strict=True):
        print(f"the clock steps {seconds} s {moment}")
        offset += seconds
        if moment == "during a refresh":
            with counting.held_refresh():
                counting.clock.set(offset)
                burst = counting.burst()
                counting.settle(burst)
                counting.look()
        else:
            burst = counting.burst()
            if moment == "after a refresh":
                counting.refresh()
            counting.clock.set(offset)
            counting.look()
            if moment == "before a refresh":
                counting.refresh()
        counting.look()
        counting.settle(burst)
        counting.finish()


def test_a_commit_that_stalls_over_a_refresh_is_counted_once(counting: Counting) -> None:
    counting.settle(counting.burst())
    counting.refresh()
    commits.stall(counting.admin_url)
    try:
        burst = counting.burst()
        wait_until(lambda: counting.commits_that_wait() > 0)
        counting.look()
        # More than a minute passes, and the outcome of the commit is still unknown.
        counting.clock.set(90)
        counting.refresh(local=True)
        counting.look()
    finally:
        commits.release(counting.admin_url)
    counting.look()
    counting.settle(burst)
    counting.finish()


def test_a_refresh_whose_commit_stalls_counts_nothing_twice(counting: Counting) -> None:
    counting.settle(counting.burst())
    commits.stall(counting.admin_url)
    try:
        _, refreshing = counting.start_refresh()
        wait_until(lambda: counting.commits_that_wait() > 0, refreshing)
        burst = counting.burst(local=True)
        counting.look()
        counting.clock.set(counting.chance.choice(STEPS))
        counting.settle(burst)
        counting.look()
    finally:
        commits.release(counting.admin_url)
    counting.settle([refreshing])
    counting.finish()


def test_a_refresh_that_is_killed_counts_nothing_and_loses_nothing(counting: Counting) -> None:
    with counting.held_refresh() as pid:
        burst = counting.burst()
        counting.kill_backend(pid)
    counting.look()
    counting.settle(burst)
    counting.finish()


def test_a_refresh_that_is_killed_when_all_is_counted_counts_nothing_twice(counting: Counting) -> None:
    with counting.held_refresh(HOLD_VIEW) as pid:
        counting.look()
        counting.kill_backend(pid)
    counting.look()
    # No write came since then. The refresh must still make the longest sessions visible.
    counting.refresh()
    counting.look(refreshed=True)


def test_a_refresh_that_is_killed_in_its_commit_counts_once(counting: Counting) -> None:
    counting.settle(counting.burst())
    commits.stall(counting.admin_url)
    try:
        pid, refreshing = counting.start_refresh()
        wait_until(lambda: counting.commits_that_wait() > 0, refreshing)
        counting.kill_backend(pid)
    finally:
        commits.release(counting.admin_url)
    assert refreshing.exception() is not None
    counting.look()
    counting.settle(counting.burst())
    counting.finish()


def test_a_killed_server_counts_what_it_has(counting: Counting) -> None:
    with ThreadPoolExecutor(1) as another:
        for _ in range(2):
            burst = counting.burst()
            refreshing = another.submit(counting.refresh)
            wait([refreshing, *burst], return_when=FIRST_COMPLETED)
            counting.postgres.process.kill()
            counting.postgres.process.start()
            refreshing.exception()
            counting.look()
            counting.settle(burst)
            counting.finish()
