"""EventBridge Scheduler's expressions: what they mean, what is refused, when they fire."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from local.schedule import Cron, Rate, ScheduleError, parse_expression, run_schedule
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
    assert parse_expression(expression) == Rate(interval)


@pytest.mark.parametrize(
    ("expression", "zone", "moment", "due"),
    [
        ("cron(0 3 * * ? *)", "UTC", "2026-11-22T02:59:59", "2026-11-22T03:00"),
        ("cron(0 3 * * ? *)", "UTC", "2026-11-22T03:00:00", "2026-11-23T03:00"),
        ("cron(*/15 * ? * * *)", "UTC", "2026-11-22T10:31", "2026-11-22T10:45"),
        ("cron(5/20 8-9 ? * MON-FRI *)", "UTC", "2026-11-21T12:00", "2026-11-23T08:05"),
        ("cron(0 0 1,15 * ? *)", "UTC", "2026-11-22T00:00", "2026-12-01T00:00"),
        ("cron(0 12 ? JAN,jul 1 2027-2028)", "UTC", "2026-11-22T00:00", "2027-01-03T12:00"),
        ("cron(0 0 29 2 ? *)", "UTC", "2026-11-22T00:00", "2028-02-29T00:00"),
        ("cron(30 9 * * ? *)", "Europe/Rome", "2026-11-22T00:00", "2026-11-22T08:30"),
        # The clock jumps from 2:00 to 3:00 on 29 March 2026: 2:30 is not on that day.
        ("cron(30 2 * * ? *)", "Europe/Rome", "2026-03-28T12:00", "2026-03-30T00:30"),
        # 2:30 comes twice on 25 October 2026; the first one counts.
        ("cron(30 2 25 10 ? *)", "Europe/Rome", "2026-10-24T12:00", "2026-10-25T00:30"),
    ],
)
def test_a_cron_is_due_next_at(expression: str, zone: str, moment: str, due: str) -> None:
    parsed = parse_expression(expression, zone)
    assert parsed.after(datetime.fromisoformat(moment).replace(tzinfo=UTC)) == datetime.fromisoformat(due).replace(
        tzinfo=UTC
    )


def test_a_cron_whose_years_are_over_is_due_no_more() -> None:
    parsed = parse_expression("cron(0 0 * * ? 2020)")
    assert isinstance(parsed, Cron)
    assert parsed.after(datetime(2026, 11, 22, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "neither rate"),
        ("every day", "neither rate"),
        ("at(2026-11-22T00:00:00)", "neither rate"),
        ("rate(1 day", "neither rate"),
        ("rate(0 days)", "a rate is a number of"),
        ("rate(1 week)", "a rate is a number of"),
        ("rate(x)", "a rate is a number of"),
        ("cron(0 3 * * *)", "six fields"),
        ("cron(0 3 * * * *)", "exactly one of"),
        ("cron(0 3 ? * ? *)", "exactly one of"),
        ("cron(60 3 * * ? *)", "'60' is not between 0 and 59"),
        ("cron(0 3 L * ? *)", "'L' is not between 1 and 31"),
        ("cron(0 3 ? * 2#1 *)", "'2#1' is not between"),
        ("cron(0 3 ? * 0 *)", "'0' is not between 1 and 7"),
        ("cron(9-5 3 * * ? *)", "is not a range"),
        ("cron(*/0 3 * * ? *)", "is not a range"),
        ("cron(, 3 * * ? *)", "'' is not between"),
    ],
)
def test_what_is_not_understood_is_named(expression: str, message: str) -> None:
    with pytest.raises(ScheduleError, match=message.replace("*", r"\*")):
        parse_expression(expression)


def test_an_unknown_time_zone_is_named() -> None:
    with pytest.raises(ScheduleError, match="Nowhere/City"):
        parse_expression("cron(0 3 * * ? *)", "Nowhere/City")


def test_a_rate_fires_at_once_and_whenever_its_interval_has_passed(monkeypatch: pytest.MonkeyPatch) -> None:
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
        task = asyncio.create_task(run_schedule(Schedule("S", "rate(1 hour)", "UTC", "F", "{}"), fire, lambda: clock))
        while len(fired) < 3:
            await real_sleep(0)
        task.cancel()

    asyncio.run(scenario())
    start = datetime(2026, 11, 22, tzinfo=UTC)
    assert fired == [start, start + timedelta(hours=1), start + timedelta(hours=2)]
