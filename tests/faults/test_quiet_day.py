"""24 hours without a client, in minutes of the stand-in's clock: what wakes the database, and for how long."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from local.schedule import parse_rate
from local.settings import ROOT
from local.template import load_template
from tests.support.bundle import Bundle, deployed
from tests.support.neon.api import NeonApi
from tests.support.neon.clock import ManualClock
from tests.support.neon.stand_in import StandIn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_pgbouncer, debian_postgres, skip_without
from tests.support.servers.stand_in import neon_stand_in

SUSPEND_AFTER_SECONDS = 300  # Neon's default
MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)
MINUTES = 24 * 60


@dataclass
class Sleeper:
    """A database that sleeps by its own clock, and the API that reports its state."""

    stand_in: StandIn
    clock: ManualClock
    api: NeonApi


@pytest.fixture(scope="module")
def sleeper(authority: Authority) -> Iterator[Sleeper]:
    """Real servers that sleep after five simulated minutes."""
    skip_without(debian_postgres)
    skip_without(debian_pgbouncer)
    clock = ManualClock()
    with (
        neon_stand_in(authority, clock=clock, suspend_after=SUSPEND_AFTER_SECONDS) as stand_in,
        NeonApi(lambda: stand_in.compute.state) as api,
    ):
        yield Sleeper(stand_in, clock, api)


def a_day(sleeper: Sleeper, functions: Bundle, expression: str) -> tuple[int, float, int]:
    """Simulate a day that begins asleep. Return the wakes, the hours awake and the scheduled calls.

    A probe calls GET /health every minute. The schedule fires at once, and then as `expression` says.
    """
    compute, clock = sleeper.stand_in.compute, sleeper.clock
    interval = parse_rate(expression)
    compute.suspend()
    wakes, awake, began = compute.wakes, compute.awake_seconds, clock.now()
    calls = 0
    due = MIDNIGHT

    def minute() -> None:
        nonlocal calls, due
        assert functions.health().status == 200
        now = MIDNIGHT + timedelta(seconds=clock.now() - began)
        if due <= now:
            functions.refresh()
            calls += 1
            due += interval

    # Requests come before the compute checks whether it is time to sleep. So a request at that moment finds it awake.
    clock.listeners[:] = [minute, compute.tick]
    minute()
    for _ in range(MINUTES):
        clock.advance(60)
    return compute.wakes - wakes, (compute.awake_seconds - awake) / 3600, calls


def test_a_day_without_clients_does_not_wake_the_database(sleeper: Sleeper, capsys: pytest.CaptureFixture[str]) -> None:
    (ours,) = [each.expression for each in load_template(ROOT / "template.yaml").schedules]
    gate = sleeper.api.environment
    days: dict[str, tuple[int, float, int]] = {}
    for name, expression, neon in (
        (f"ours: {ours}, Neon's API asked first", ours, gate),
        ("every 5 minutes, Neon's API asked first", "rate(5 minutes)", gate),
        (f"{ours}, Neon's API not asked", ours, {}),
        ("every 5 minutes, Neon's API not asked", "rate(5 minutes)", {}),
    ):
        with deployed({"DATABASE_URL": sleeper.stand_in.url, **neon}) as functions:
            days[name] = a_day(sleeper, functions, expression)
    with capsys.disabled():
        print()
        for name, (wakes, hours, calls) in days.items():
            print(f"  {name}: {calls} scheduled calls, {wakes} wakes, {hours:.1f} hours awake of 24")
    first, second, third, naive = days.values()
    assert first == (0, 0.0, 2)
    assert second == (0, 0.0, 289)
    assert third[0] == 2
    assert naive[0] == 1
    assert naive[1] == pytest.approx(24.0)
