"""EventBridge Scheduler's expressions, and what fires them.

`rate(n minutes|hours|days)` fires at once and then every n, as Scheduler does without a start date.
`cron(minutes hours day-of-month month day-of-week year)` knows `*`, `?`, numbers, names, ranges, lists and
steps; `L`, `W` and `#` are refused by name, and so is `at(…)`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from local.template import Schedule

_MONTH_NAMES = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, start=1)}
WEEKDAYS = {name: number for number, name in enumerate(("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"), start=1)}
LAST_YEAR = 2199


class ScheduleError(ValueError):
    """The expression is not one of EventBridge Scheduler, or has a part that is not known here."""


@dataclass(frozen=True)
class Rate:
    """Every `interval`."""

    interval: timedelta

    def after(self, moment: datetime) -> datetime:
        """Return the next time after `moment`."""
        return moment + self.interval


@dataclass(frozen=True)
class Cron:
    """Every minute whose fields are all among these, in `zone`. Weekdays count from 1, Sunday."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]
    zone: ZoneInfo

    def after(self, moment: datetime) -> datetime | None:
        """Return the next time after `moment` (aware; the answer is in UTC), or None if none is left."""
        local = moment.astimezone(self.zone)
        day = local.date()
        last = date(max(self.years), 12, 31)
        while day <= last:
            if self._fits(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        wall = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                        found = wall.astimezone(UTC)
                        # A time that the clock jumps over in spring does not come back as itself.
                        exists = found.astimezone(self.zone).replace(fold=0) == wall
                        if exists and found > moment:
                            return found
            day += timedelta(days=1)
        return None

    def _fits(self, day: date) -> bool:
        return (
            day.year in self.years
            and day.month in self.months
            and day.day in self.days
            and day.isoweekday() % 7 + 1 in self.weekdays
        )


def parse_expression(expression: str, timezone: str = "UTC") -> Rate | Cron:
    """Return what `expression` means. Raises ScheduleError, naming what is wrong."""
    kind, _, rest = expression.strip().partition("(")
    content = rest.removesuffix(")")
    if kind not in ("rate", "cron") or not rest.endswith(")"):
        raise ScheduleError(f"{expression!r} is neither rate(…) nor cron(…), which is what the local stack knows")
    if kind == "rate":
        return _rate(expression, content)
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ScheduleError(f"{timezone!r} is not a time zone of this machine") from error
    return _cron(expression, content, zone)


def _rate(expression: str, content: str) -> Rate:
    match = re.fullmatch(r"([1-9][0-9]{0,8}) (minute|hour|day)s?", content.strip())
    if not match:
        raise ScheduleError(f"{expression!r}: a rate is a number of minutes, hours or days, as in rate(1 day)")
    return Rate(timedelta(**{f"{match[2]}s": int(match[1])}))


def _cron(expression: str, content: str, zone: ZoneInfo) -> Cron:
    fields = content.split()
    if len(fields) != 6:
        raise ScheduleError(
            f"{expression!r}: cron takes six fields (minutes hours day-of-month month day-of-week year), not "
            f"{len(fields)}"
        )
    minutes, hours, days, months, weekdays, years = fields
    if (days == "?") == (weekdays == "?"):
        raise ScheduleError(f"{expression!r}: exactly one of day-of-month and day-of-week must be ?")
    return Cron(
        minutes=_field(expression, minutes, 0, 59),
        hours=_field(expression, hours, 0, 23),
        days=_field(expression, "*" if days == "?" else days, 1, 31),
        months=_field(expression, months, 1, 12, MONTHS),
        weekdays=_field(expression, "*" if weekdays == "?" else weekdays, 1, 7, WEEKDAYS),
        years=_field(expression, years, 1970, LAST_YEAR),
        zone=zone,
    )


def _field(
    expression: str, text: str, lowest: int, highest: int, names: dict[str, int] | None = None
) -> frozenset[int]:
    """Return the values of one field: `*`, `a`, `a-b`, each with `/step`, separated by commas."""

    def value(word: str) -> int:
        number = (names or {}).get(word.upper(), int(word) if word.isascii() and word.isdigit() else -1)
        if not lowest <= number <= highest:
            raise ScheduleError(
                f"{expression!r}: {word!r} is not between {lowest} and {highest} (L, W and # are not known here)"
            )
        return number

    values: set[int] = set()
    for part in text.split(","):
        span, slash, step = part.partition("/")
        first, dash, last = span.partition("-")
        start = lowest if span == "*" else value(first)
        # `5/15` means from 5 on; `5` alone means 5.
        stop = value(last) if dash else highest if span == "*" or slash else start
        if stop < start or (slash and not re.fullmatch(r"[1-9][0-9]*", step)):
            raise ScheduleError(f"{expression!r}: {part!r} is not a range with a step")
        values.update(range(start, stop + 1, int(step) if slash else 1))
    return frozenset(values)


async def run_schedule(
    schedule: Schedule,
    fire: Callable[[Schedule], Awaitable[None]],
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Call `fire` whenever the schedule is due, one call at a time, until there is no next time.

    Times missed meanwhile (a sleeping laptop) are not made up for. Raises ScheduleError at once for a bad
    expression.
    """
    parsed = parse_expression(schedule.expression, schedule.timezone)
    if isinstance(parsed, Rate):
        await fire(schedule)
    while (due := parsed.after(now())) is not None:
        while (left := (due - now()).total_seconds()) > 0:
            # In short sleeps: the event loop's clock stands still while a laptop sleeps, the wall clock does
            # not.
            await asyncio.sleep(min(left, 30))
        await fire(schedule)
