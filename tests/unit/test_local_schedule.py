"""The local stack's part of EventBridge Scheduler: which rates it reads, and when they fire."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import pytest

from local.schedule import ScheduleError, parse_rate, run_schedule
from local.template import Schedule


@pytest.mark.parametrize(
    ("expression", "interval"),
    [
        ("rate(1 minute)", timedelta(minutes=1)),
        ("rate(5 minutes)", timedelta(minutes=5)),
        ("rate(12 hours)", timedelta(hours=12)),
        ("rate(1 day)", timedelta(days=1)),
    ],
)
def test_a_rate_is_an_interval(expression: str, interval: timedelta) -> None:
    assert parse_rate(expression) == interval


@pytest.mark.parametrize(
    "expression",
    [
        *("", "every day", "at(2026-11-22T00:00:00)", "cron(0 3 * * ? *)", "none"),
        *("rate(1 day", "rate(0 days)", "rate(1 week)", "rate(x)", "rate(1 day)\n"),
    ],
)
def test_an_expression_that_is_no_rate_is_an_error_that_names_it(expression: str) -> None:
    with pytest.raises(ScheduleError, match=re.escape(f"needs a rate, as in rate(1 day), not {expression!r}")):
        parse_rate(expression)


def test_a_rate_fires_at_once_and_after_each_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = datetime(2026, 11, 22, tzinfo=UTC)
    fired: list[datetime] = []

    async def fire(schedule: Schedule) -> None:
        fired.append(clock)

    async def scenario() -> None:
        nonlocal clock
        real_sleep = asyncio.sleep

        async def sleep(seconds: float) -> None:
            nonlocal clock
            clock += timedelta(seconds=seconds)
            await real_sleep(0)

        monkeypatch.setattr("local.schedule.asyncio.sleep", sleep)
        task = asyncio.create_task(run_schedule(Schedule("S", "rate(1 hour)", "F", "{}"), fire, lambda: clock))
        while len(fired) < 3:
            await real_sleep(0)
        task.cancel()

    asyncio.run(scenario())
    start = datetime(2026, 11, 22, tzinfo=UTC)
    assert fired == [start, start + timedelta(hours=1), start + timedelta(hours=2)]
