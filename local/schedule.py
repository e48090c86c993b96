"""EventBridge Scheduler on one machine: run the schedules of template.yaml.

Only `rate(n minutes|hours|days)` is supported. `make run` takes the template's own StatsSchedule, and no setting
changes it. A deployed stack takes `cron(…)` as well.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from local.template import Schedule


class ScheduleError(ValueError):
    """The expression is not a rate of EventBridge Scheduler."""


def parse_rate(expression: str) -> timedelta:
    """Return the interval of `rate(n minutes|hours|days)`. Raises ScheduleError, which names the expression."""
    match = re.fullmatch(r"rate\(([1-9][0-9]{0,8}) (minute|hour|day)s?\)", expression)
    if not match:
        raise ScheduleError(f"the local stack needs a rate, as in rate(1 day), not {expression!r}")
    return timedelta(**{f"{match[2]}s": int(match[1])})


async def run_schedule(
    schedule: Schedule,
    fire: Callable[[Schedule], Awaitable[None]],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Call `fire` at once and then after every interval, one call at a time, as Scheduler does without a start date.

    Calls that were missed, for example while a laptop slept, are not repeated. Raises ScheduleError at once if the
    expression is wrong.
    """
    interval = parse_rate(schedule.expression)
    while True:
        await fire(schedule)
        due = now() + interval
        while (left := (due - now()).total_seconds()) > 0:
            # Sleep in short steps, because the event loop's clock stops while a laptop sleeps. The wall clock does not.
            await asyncio.sleep(min(left, 30))
