"""Execution environments that are killed, frozen and thawed at any moment, and counts of their errors."""

import asyncio
import random
from collections import Counter
from typing import Any

from local.emulator import Emulator, ThrottledError
from local.environment import ExecutionEnvironment
from local.outcome import Outcome
from local.settings import ROOT

# Lambda's name for a process that ended during a request.
KILLED = "Runtime.ExitError"
REFRESHER = "StatsFunction"
REFRESH = ROOT / "events" / "schedule.json"
# Lambda does not freeze a process during a request, but its host may stall for a moment.
FREEZE_SECONDS = (0.1, 1.5)
PAUSE_SECONDS = (0.5, 3.0)


class Environments(Emulator):
    """The emulator, with counts of the errors of processes by Lambda's names."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take the arguments of Emulator."""
        super().__init__(*arguments, **options)
        self.errors: Counter[str] = Counter()
        self.disturbed: Counter[str] = Counter()

    async def invoke(self, function: str, event: bytes) -> Outcome:
        """Run an event as Emulator does, and count its error."""
        outcome = await super().invoke(function, event)
        if outcome.error is not None:
            self.errors[outcome.error] += 1
        return outcome

    async def refresh_every(self, seconds: float) -> None:
        """Refresh every `seconds` as the schedule does, until cancelled. A failed refresh is repeated next time."""
        while True:
            await asyncio.sleep(seconds)
            await self.refresh()

    async def refresh(self) -> bool:
        """Refresh as the schedule does. Return whether it succeeded."""
        try:
            outcome = await super().invoke(REFRESHER, REFRESH.read_bytes())
        except ThrottledError:
            return False
        self.disturbed["refresh failed" if outcome.error else "refresh"] += 1
        # The report subtracts all kills from these errors, so kills during a refresh must be among them.
        if outcome.error == KILLED:
            self.errors[KILLED] += 1
        return outcome.error is None

    async def disturb(self, chance: random.Random) -> None:
        """Kill or freeze a busy or idle environment every second or two, until cancelled."""
        while True:
            await asyncio.sleep(chance.uniform(*PAUSE_SECONDS))
            all_of_them = [each for name in self._functions for each in self.environments(name) if each.alive]
            busy = [each for each in all_of_them if each.busy]
            idle = [each for each in all_of_them if not each.busy]
            what = chance.choice(["kill busy", "kill busy", "kill idle", "freeze busy", "freeze busy", "thaw idle"])
            # An environment without a request that is not frozen is still starting.
            among = busy if what.endswith("busy") else [each for each in idle if each.frozen]
            if among:
                self.disturbed[what] += 1
                await _do(what, chance.choice(among), chance.uniform(*FREEZE_SECONDS))


async def _do(what: str, environment: ExecutionEnvironment, seconds: float) -> None:
    if what.startswith("kill"):
        environment.kill()
        return
    if what == "freeze busy":
        environment.freeze()
        try:
            await asyncio.sleep(seconds)
        finally:
            environment.thaw()
        return
    environment.thaw()
    await asyncio.sleep(seconds)
    if environment.alive and not environment.busy:
        environment.freeze()
