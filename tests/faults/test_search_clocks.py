"""A search is exact if the clock of the server steps over months and years, and under any settings of a session."""

import random
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import LiteralString

import psycopg
import pytest

from tests.faults.counting_server import KINDS, PASSWORD, counting_server
from tests.support.search_calls import (
    Connection,
    Place,
    erase,
    fill,
    fill_all,
    found,
    queued,
    refresh,
    remove,
    replace,
    turn,
    write,
    wrong_words,
)
from tests.support.servers.authority import Authority
from tests.support.servers.databases import APP
from tests.support.servers.postgres import Postgres

DATABASE = "clocks"
DAY = 86400
# A year without turns between two others, months without a partition, and small steps.
STEPS = (-1100 * DAY, -400 * DAY, -40 * DAY, 0, 2, -2, 40 * DAY, 500 * DAY, 900 * DAY)
SETTINGS: tuple[LiteralString, ...] = (
    "set timezone = 'Etc/GMT+12'",
    "set timezone = 'Pacific/Kiritimati'",
    "set timezone = 'UTC+3'",
    "set datestyle = 'German'",
    "set intervalstyle = 'sql_standard'",
    "set default_text_search_config = 'pg_catalog.english'",
    "set search_path = robot_brain, pg_temp",
)


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Postgres]:
    """A server with a clock of its own."""
    with counting_server(request.param, authority, DATABASE) as postgres:
        yield postgres
        assert postgres.clock is not None
        postgres.clock.set(0)


def before_next_month() -> int:
    """Return the seconds until 50 ms before a month's end, as far as whole seconds allow."""
    now = datetime.now(UTC)
    following = (now.replace(day=1) + timedelta(days=32)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return int((following - now).total_seconds())


class Turns:
    """What is stored, by what the answers said: the times and the texts."""

    def __init__(self, client: Connection, chance: random.Random) -> None:
        self._client = client
        self._chance = chance
        self.there: dict[Place, datetime] = {}
        self._sessions = 0

    def change(self) -> None:
        """Write to a new session and to one that spans all steps, and edit, remove or erase something older."""
        self._sessions += 1
        name = f"session {self._sessions:03}"
        for session in (name, "long"):
            for written in write(self._client, session, turn("tea"), turn("tea"), turn("tea milk")):
                self.there[session, written["seq"]] = datetime.fromisoformat(written["created_at"])
        session, seq = self._chance.choice(list(self.there))
        kind = self._chance.choice(("edit", "remove", "erase"))
        if kind == "edit":
            replace(self._client, session, seq, turn(f"{self._chance.random()} tea"))
        elif kind == "remove":
            remove(self._client, session, seq)
            self.there = {place: at for place, at in self.there.items() if place[0] != session or place[1] <= seq}
        elif session != "long":
            assert erase(self._client, session) == "erased"
            self.there = {place: at for place, at in self.there.items() if place[0] != session}

    def look(self) -> None:
        """Assert that searches find the turns, in order, and also those of one moment and of one session."""
        expected = sorted(self.there, key=lambda place: (self.there[place], place), reverse=True)
        assert found(self._client, "tea", limit=7) == expected
        assert set(found(self._client, "tea", order="relevance", limit=50)) == set(expected)
        at = self._chance.choice(list(self.there.values()))
        times = {"from": at.isoformat(), "to": (at + timedelta(microseconds=1)).isoformat()}
        assert set(found(self._client, "tea", **times)) == {place for place in expected if self.there[place] == at}
        assert found(self._client, "tea", session_id="long") == [place for place in expected if place[0] == "long"]


@pytest.mark.parametrize("round_", range(2))
def test_no_step_of_the_clock_loses_a_turn_in_the_search(server: Postgres, round_: int) -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")
    chance = random.Random(seed)
    assert server.clock is not None
    url = server.address.url(APP, PASSWORD, DATABASE)
    steps = [*chance.sample(STEPS, len(STEPS)), before_next_month(), before_next_month() + 1]
    with psycopg.connect(url, autocommit=True) as client, server.admin(DATABASE) as admin:
        turns = Turns(client, chance)
        for step in steps:
            server.clock.set(step)
            client.execute("reset all")
            client.execute(chance.choice(SETTINGS))
            turns.change()
            turns.look()
            if chance.random() < 0.6:
                refresh(client)
            if chance.random() < 0.6:
                fill(client)
            if chance.random() < 0.3:
                client.execute("select robot_brain_api.make_month()")
            turns.look()
        server.clock.set(0)
        fill_all(client)
        turns.look()
        while client.execute("select body::json ->> 'made' from robot_brain_api.make_month()").fetchone() != (None,):
            pass
        turns.look()
        assert (wrong_words(admin), queued(admin)) == ([], 0)
