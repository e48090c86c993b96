"""The faults of a run, and how long each client got no success after each of them."""

import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.soak.journal import lines
from tests.soak.records import Answer
from tests.soak.watch import is_success


@dataclass(frozen=True)
class Fault:
    """An injected fault, with its beginning and end."""

    name: str
    began: float
    ended: float


@dataclass(frozen=True)
class Silence:
    """How long a client got no success after a fault had ended."""

    seconds: float
    client: str
    fault: str


def read_faults(timeline: Path) -> list[Fault]:
    """Return the faults of a timeline in their order."""
    return [Fault(line["name"], line["began"], line["ended"]) for line in lines(timeline)]


def silences(answers: Iterable[Answer], faults: Sequence[Fault], clients: Iterable[str], end: float) -> list[Silence]:
    """Return each client's silence after each fault, until its next success or the `end` of the run.

    Time during a later fault does not count.
    """
    served: dict[str, list[float]] = {client: [] for client in clients}
    for answer in answers:
        if is_success(answer.kind, answer.status):
            served[answer.client].append(answer.at)
    found = []
    for client, times in served.items():
        times.sort()
        for number, fault in enumerate(faults):
            place = bisect.bisect_right(times, fault.ended)
            until = times[place] if place < len(times) else max(end, fault.ended)
            seconds = until - fault.ended
            for later in faults[number + 1 :]:
                if later.began >= until:
                    break
                seconds -= min(later.ended, until) - later.began
            found.append(Silence(seconds, client, fault.name))
    return found
