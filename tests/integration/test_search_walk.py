"""A walk through the pages of a search finds each turn that matches once, beside writers and the filler."""

import itertools
import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from tests.integration.searched_history import PERSONALITIES, USERS, History, Version, Walked, random_filters
from tests.integration.word_queries import random_query, random_words
from tests.support.marks import without_pooler
from tests.support.search_calls import (
    Connection,
    Place,
    erase,
    fill,
    fill_all,
    queued,
    refresh,
    remove,
    replace,
    turn,
    walk,
    write,
    wrong_words,
)
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

QUERIES = 100  # on each kind of server
CHANGES = 6  # for each query
STORED = 300
# The months of the stored turns, from now. Those without a partition are in DEFAULT.
_MONTHS = (0, 0, -1, -2, -7, -40)
_STORE = """
with turns as (
  select
    t.*,
    -- Some turns have the same time.
    date_bin('1 hour', clock_timestamp() - make_interval(months => -t.month, days => t.n / 60), to_timestamp(0)) as at
  from jsonb_to_recordset(%s) t (n integer, session text, month integer, user_id text, turn jsonb)
),
sessions as (
  insert into robot_brain.sessions (
    tenant_id, id, user_id, created_at, last_active, active_hour, previous_active, message_count, response_length,
    answer_bytes
  )
  select 'local', session, min(user_id), min(at), max(at), max(at), max(at), count(*), 0, 0 from turns group by session
)
insert into robot_brain.conversations (
  tenant_id, session_id, seq, created_at, robot_personality, user_message, robot_response, metadata
)
select
  'local', session, row_number() over (partition by session order by at, n), at, turn ->> 'robot_personality',
  turn ->> 'user_message', turn ->> 'robot_response', turn -> 'metadata'
from turns
returning session_id, seq, created_at, robot_personality, user_message, robot_response, metadata,
  (select min(s.user_id) from turns s where s.session = conversations.session_id)
"""


def random_turn(chance: random.Random) -> dict[str, Any]:
    """Return a turn of few words."""
    metadata = {"cups": chance.randint(1, 2)} if chance.random() < 0.5 else {}
    return turn(random_words(chance, 8), random_words(chance, 8), chance.choice(PERSONALITIES), **metadata)


def store(admin: Connection, chance: random.Random, history: History) -> None:
    """Store turns in several months, as before an upgrade: no row says that their words are missing."""
    rows = [
        {
            "n": n,
            "session": f"stored {n % 40}",
            "month": _MONTHS[n % 40 % len(_MONTHS)] - (n % 3 == 0),
            "user_id": [*USERS, None][n % 40 % 3],
            "turn": random_turn(chance),
        }
        for n in range(STORED)
    ]
    # psycopg reads no time in another style.
    admin.execute("set datestyle = 'ISO'")
    for row in admin.execute(_STORE.encode(), [json.dumps(rows)]).fetchall():
        session, seq, created_at, personality, user, robot, metadata, user_id = row
        stored = turn(user, robot, personality, **metadata)
        history.versions[session, seq] = [Version(stored, created_at.isoformat(), user_id, 0, 0)]
    admin.execute("update robot_brain.search_state set filled_from = 'infinity'")


class Writer:
    """A random client with sessions of its own."""

    def __init__(self, name: str, seed: str, history: History) -> None:
        self._chance = random.Random(f"{seed} {name}")
        self._name = name
        self._history = history
        self._numbers = itertools.count()
        self._sessions: dict[str, list[int]] = {}
        self._users: dict[str, str | None] = {}

    def act(self, connection: Connection) -> str:
        """Make one change, and return its kind."""
        session = self._chance.choice([*self._sessions, ""])
        seqs = self._sessions.get(session, [])
        kind = self._chance.choices(["write", "edit", "remove", "erase"], [6, 3, 1, 0.5])[0]
        if len(self._sessions) < 4 or kind == "write" or not seqs:
            if len(self._sessions) < 8 and not session:
                session = f"{self._name} {next(self._numbers)}"
            self._write(connection, session or next(iter(self._sessions)))
            return "write"
        if kind == "edit":
            self._edit(connection, session, self._chance.choice(seqs))
        else:
            after = self._chance.randint(0, seqs[-1]) if kind == "remove" else 0
            gone: list[Place] = [(session, seq) for seq in seqs if seq > after]
            self._history.begin_removal(gone)
            if kind == "erase":
                assert erase(connection, session) == "erased"
                del self._sessions[session]
            else:
                remove(connection, session, after)
                self._sessions[session] = [seq for seq in seqs if seq <= after]
            self._history.end_removal(gone)
        return kind

    def _write(self, connection: Connection, session: str) -> None:
        turns = [random_turn(self._chance) for _ in range(self._chance.choice((1, 1, 3)))]
        if session not in self._users:
            self._users[session] = self._chance.choice((None, *USERS))
        began = time.monotonic()
        answer = write(connection, session, *turns, as_user=self._users[session])
        # The write may be seen before it is answered, so its versions begin before it.
        for written, stored in zip(turns, answer, strict=True):
            place = (session, stored["seq"])
            self._history.begin(place, Version(written, stored["created_at"], self._users[session], began))
            self._history.end(place)
            self._sessions.setdefault(session, []).append(stored["seq"])

    def _edit(self, connection: Connection, session: str, seq: int) -> None:
        before = self._history.versions[session, seq][-1]
        changed = {**random_turn(self._chance), "robot_personality": before.turn["robot_personality"]}
        version = Version(changed, before.created_at, before.user, time.monotonic())
        self._history.begin((session, seq), version)
        replace(connection, session, seq, changed)
        self._history.end((session, seq))


@contextmanager
def beside(database: Database, seed: str, history: History, changes: threading.Semaphore) -> Iterator[Counter[str]]:
    """Run two writers and the filler during the block. Yield the number of their changes, by kind.

    `changes` says how many changes the writers may make. So their number does not depend on the machine.
    """
    stop = threading.Event()
    done: Counter[str] = Counter()

    def writes(name: str) -> None:
        writer = Writer(name, seed, history)
        with database.app() as connection:
            while not stop.is_set():
                if changes.acquire(timeout=0.1):
                    done[writer.act(connection)] += 1

    def fills() -> None:
        chance = random.Random(f"{seed} filler")
        with database.app() as connection:
            while not stop.wait(chance.choice((0.01, 0.05))):
                if chance.random() < 0.5:
                    refresh(connection)
                filled = fill(connection, wait=chance.random() < 0.5)
                done["words"] += filled["words_made"] if filled else 0
                # The turns of DEFAULT move into their months.
                connection.execute("select robot_brain_api.make_month()")

    with ThreadPoolExecutor(3) as threads:
        working = [threads.submit(writes, "one"), threads.submit(writes, "two"), threads.submit(fills)]
        try:
            wait_until(lambda: done["write"] > 20 or any(each.done() for each in working))
            yield done
        finally:
            stop.set()
        for each in working:
            each.result()


def walked(connection: Connection, query: str, **parameters: object) -> Walked:
    """Walk, with the moments before and after each page."""
    pages = []
    began = time.monotonic()
    for page in walk(connection, query, **parameters):
        pages.append((began, page, time.monotonic()))
        began = time.monotonic()
    return Walked(pages)


@without_pooler
def test_a_walk_finds_each_turn_that_matches_once(database: Database) -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")
    chance, history, changes = random.Random(seed), History(), threading.Semaphore(100)
    hits = pages = 0
    with database.admin() as admin, database.app() as connection:
        store(admin, chance, history)
        fill_all(connection)

        def ask() -> None:
            nonlocal hits, pages
            query = random_query(chance)
            known = history.known()
            filters = random_filters(
                chance, sorted({place[0] for place, _ in known}), [version.created_at for _, version in known]
            )
            parameters = {
                **filters.parameters(),
                "in": query.part,
                "prefix": query.prefix,
                "order": chance.choice(("newest", "newest", "relevance")),
                "limit": chance.choice((3, 20, 50)),
            }
            result = walked(connection, query.text(), **parameters)
            assert result.faults(history, query, filters) == [], (
                f"{query.text()} {parameters} {[(page.complete, len(page.hits)) for _, page, _ in result.pages]}"
            )
            assert result.pages[-1][1].complete
            hits += sum(len(page.hits) for _, page, _ in result.pages)
            pages += len(result.pages)

        with beside(database, seed, history, changes) as done:
            for _ in range(QUERIES):
                changes.release(CHANGES)
                ask()
        print(f"{dict(done)}, {hits} hits on {pages} pages")
        fill_all(connection)
        assert queued(admin) == 0
        assert wrong_words(admin) == []
        for _ in range(30):
            ask()
    # Otherwise the walks met nothing.
    assert min(done[kind] for kind in ("write", "edit", "remove", "erase", "words")) > 5, done
    assert hits > 1000
