"""The order of faults: the seed shuffles all kinds, again and again until the time is over."""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from tests.soak.journal import Journal
from tests.soak.watch import Progress, Watch

FAULT_SECONDS = (0.3, 1.3)
# Two seconds after statement_timeout the layer discards a silent connection. An attempt to connect ends after ten.
LONGER_SECONDS = {"acknowledge_silence": (12.5, 14.0), "accept_silence": (10.5, 12.0), "commit_stall": (3.0, 14.0)}
CALM_SECONDS = (0.1, 0.4)
# About the time to begin and end a fault, with the calm before it.
AROUND_SECONDS = 0.7
# The next fault waits until every client has had a success again, at most this long. If time is short, it waits less.
RECOVERED_WITHIN_SECONDS = 25.0
SHARE_OF_SLACK = 0.2
# This share of faults does not wait at all, because the layer must also survive one fault after another.
AT_ONCE = 0.15
LOOK_SECONDS = 0.05
# A run of this length has every kind at least once. A shorter run has the kinds that fit.
WHOLE_SECONDS = 120.0
# During these the statistics are refreshed, because these faults could make a refresh count wrongly.
REFRESHED = ("commit_stall", "clock_step")
# A short run has these among its first KILLED_WITHIN faults.
KILLS = ("kill_postgres", "kill_pgbouncer")
KILLED_WITHIN = 4


class Faults(Protocol):
    """Begins and ends a fault by name. Both calls block."""

    def begin(self, name: str) -> None:
        """Begin the fault, and return when it is there."""

    def end(self, name: str) -> None:
        """End the fault, and return when everything is as before."""


@dataclass
class Schedule:
    """Injects the faults `names` by `faults`, and notes each in `timeline`."""

    faults: Faults
    names: Sequence[str]
    chance: random.Random
    timeline: Journal
    watch: Watch
    progress: Progress
    # Called once one of REFRESHED has begun, and must return at once.
    refresh: Callable[[], object]

    async def run(self, seconds: float) -> None:
        """Inject faults for `seconds`. A fault that has begun also ends if this is cancelled."""
        until = time.monotonic() + seconds
        # One thread for all faults, because a server that a fault starts dies with the thread that started it.
        with ThreadPoolExecutor(1, "faults") as thread:
            ended = time.monotonic()
            await self._served(ended, RECOVERED_WITHIN_SECONDS)
            missing = set(self.names) if seconds >= WHOLE_SECONDS else set()
            for name in rounds(self.names, self.chance, early=() if missing else KILLS):
                await self._wait(self.chance.uniform(*CALM_SECONDS))
                # A whole run continues past its time until it has had every kind.
                if time.monotonic() >= until and not missing:
                    await self._served(ended, RECOVERED_WITHIN_SECONDS)
                    return
                ended = await self._inject(name, thread)
                missing.discard(name)
                if self.chance.random() >= AT_ONCE:
                    await self._served(ended, _patience(missing, until))

    async def _inject(self, name: str, thread: ThreadPoolExecutor) -> float:
        """Begin a fault, keep it for a while, and end it. Return the time of its end."""
        self.progress.fault = name
        began = time.monotonic()
        try:
            await self._do(thread.submit(self.faults.begin, name))
            begun = time.monotonic()
            if name in REFRESHED:
                self.refresh()
            await self._wait(self.chance.uniform(*LONGER_SECONDS.get(name, FAULT_SECONDS)))
        finally:
            ending = time.monotonic()
            await self._do(thread.submit(self.faults.end, name))
        ended = time.monotonic()
        self.timeline.write("fault", name=name, began=began, begun=begun, ending=ending, ended=ended)
        self.progress.fault = ""
        return ended

    async def _served(self, since: float, at_most: float) -> None:
        """Wait until every client has had a success after `since`, for `at_most` seconds."""
        give_up = time.monotonic() + at_most
        while self.watch.waiting(since) and time.monotonic() < give_up:
            await self._wait(LOOK_SECONDS)

    async def _do(self, work: "Future[None]") -> None:
        """Wait until `work`, which blocks a thread, is done. Raises what it raises."""
        while not work.done():
            await self._wait(LOOK_SECONDS)
        work.result()

    async def _wait(self, seconds: float) -> None:
        """Wait, and meanwhile read the journals and show the progress."""
        until = time.monotonic() + seconds
        while True:
            self.watch.look()
            self.progress.show()
            left = until - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(min(left, LOOK_SECONDS))


def _patience(missing: Collection[str], until: float) -> float:
    """Return how long the clients may take to recover, if all `missing` kinds shall come before `until`."""
    if not missing:
        return RECOVERED_WITHIN_SECONDS
    needed = sum(AROUND_SECONDS + sum(LONGER_SECONDS.get(name, FAULT_SECONDS)) / 2 for name in missing)
    slack = until - time.monotonic() - needed
    return min(RECOVERED_WITHIN_SECONDS, max(0.0, slack * SHARE_OF_SLACK))


def rounds(names: Sequence[str], chance: random.Random, early: Collection[str] = ()) -> Iterator[str]:
    """Yield all names in a random order, again and again. `early` are among the first KILLED_WITHIN."""
    first = chance.sample(names, len(names))
    for name in [name for name in first[KILLED_WITHIN:] if name in early]:
        other = chance.choice([place for place in range(KILLED_WITHIN) if first[place] not in early])
        place = first.index(name)
        first[place], first[other] = first[other], name
    yield from first
    while True:
        yield from chance.sample(names, len(names))
