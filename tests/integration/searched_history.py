"""What each turn was at which time, so that a test can say what a search beside writers must find, and what it may."""

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tests.integration.word_queries import Query
from tests.support.search_calls import Found, Place

FOREVER = float("inf")
USERS = ("ann", "bob")
PERSONALITIES = ("barista", "waiter")


@dataclass
class Version:
    """A state of a turn. It is visible from some moment of its write on, until some moment of its next change."""

    turn: dict[str, Any]
    created_at: str
    user: str | None
    began: float
    answered: float = FOREVER
    change_began: float = FOREVER
    change_answered: float = FOREVER


@dataclass(frozen=True)
class Filters:
    """The filters of a search, as parameters of the SQL function. `first` and `last` are times, or None."""

    session: str | None
    user: str | None
    personality: str | None
    cups: int | None
    first: str | None
    last: str | None

    def parameters(self) -> dict[str, object]:
        """Return the parameters of `search`."""
        return {
            "session_id": self.session,
            "user_id": self.user,
            "personality": self.personality,
            "metadata": None if self.cups is None else f'{{"cups": {self.cups}}}',
            "from": self.first,
            "to": self.last,
        }

    def take(self, place: Place, version: Version) -> bool:
        """Return whether a turn passes the filters."""
        at = datetime.fromisoformat(version.created_at)
        return (
            self.session in (None, place[0])
            and self.user in (None, version.user)
            and self.personality in (None, version.turn["robot_personality"])
            and self.cups in (None, version.turn["metadata"].get("cups"))
            and (self.first is None or at >= datetime.fromisoformat(self.first))
            and (self.last is None or at < datetime.fromisoformat(self.last))
        )


@dataclass
class History:
    """All versions of all turns. Writers append to it, each for sessions of its own."""

    versions: dict[Place, list[Version]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self, place: Place, version: Version) -> None:
        """Add a version whose write has begun. What the turn was before may go from now on."""
        with self.lock:
            self._last(place, "change_began", version.began)
            self.versions.setdefault(place, []).append(version)

    def end(self, place: Place) -> None:
        """Say that the write of the last version was answered."""
        with self.lock:
            *before, last = self.versions[place]
            last.answered = time.monotonic()
            if before:
                before[-1].change_answered = last.answered

    def begin_removal(self, places: list[Place]) -> None:
        """Say that the turns may go from now on."""
        with self.lock:
            for place in places:
                self._last(place, "change_began", time.monotonic())

    def end_removal(self, places: list[Place]) -> None:
        """Say that the turns are gone."""
        with self.lock:
            for place in places:
                self._last(place, "change_answered", time.monotonic())

    def known(self) -> list[tuple[Place, Version]]:
        """Return a copy of all versions."""
        with self.lock:
            return [(place, version) for place, versions in self.versions.items() for version in versions]

    def _last(self, place: Place, name: str, moment: float) -> None:
        if self.versions.get(place):
            setattr(self.versions[place][-1], name, moment)


def random_filters(chance: random.Random, sessions: list[str], times: list[str]) -> Filters:
    """Return filters, most of them none."""

    def sometimes(values: Any) -> Any:
        return chance.choice(values) if chance.random() < 0.15 else None

    return Filters(
        sometimes(sessions), sometimes(USERS), sometimes(PERSONALITIES), sometimes((1, 2)), sometimes(times),
        sometimes(times),
    )  # fmt: skip


@dataclass(frozen=True)
class Walked:
    """The pages of a walk, each with the moments before and after it."""

    pages: list[tuple[float, Found, float]]

    def faults(self, history: History, query: Query, filters: Filters) -> list[str]:
        """Return what the walk missed, found twice, or found too late."""
        began, ended = self.pages[0][0], self.pages[-1][2]
        known = [(place, version) for place, version in history.known() if filters.take(place, version)]
        matching = [(place, version) for place, version in known if query.matches(version.turn)]
        times = Counter(place for _, page, _ in self.pages for place in page.places)
        faults = [
            f"{place} was found {times[place]} times"
            for place, version in matching
            if version.answered < began and version.change_began > ended and times[place] != 1
        ]
        seen: dict[Place, list[Version]] = {}
        for place, version in matching:
            seen.setdefault(place, []).append(version)
        for start, page, end in self.pages:
            faults += [
                f"{place} was found, and does not match"
                for place in page.places
                if not any(v.began <= end and v.change_answered >= start for v in seen.get(place, []))
            ]
        return faults
