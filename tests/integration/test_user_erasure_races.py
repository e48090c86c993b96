"""Erasures of users beside all that changes their sessions: no deadlock, nothing half, and what was before is gone."""

import itertools
import json
import random
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import psycopg
import pytest

from ops.recount import recount
from tests.integration.user_rows import TURN, Connection, dry_run, fill, finish, stored
from tests.support.figures import compare, keep_history
from tests.support.search_calls import fill_all, wrong_words
from tests.support.servers.databases import Database
from tests.support.waiting import wait_until

# Kinds of answers that requests may get beside an erasure: conflicts, a key of another request, and the like.
REFUSED = {"RB404", "RB410", "RB419", "RB422", "RB425", "RB429"}
USERS = ("ann", "bob")
THREADS, ROUNDS = 6, 200


@dataclass(frozen=True)
class Call:
    """A statement of a random client."""

    name: str
    statement: str
    values: tuple[object, ...]


class Chance:
    """Random calls of two users, of a service and of the schedule."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)
        self._numbers = itertools.count()

    def call(self) -> Call:
        """Return one call."""
        chance = self._random
        user, other = chance.sample(USERS, 2)
        session = f"{chance.choice(USERS)}{chance.randint(1, 8)}"
        turns = json.dumps([{**TURN, "user_message": str(next(self._numbers))}] * chance.choice((1, 3)))
        key = chance.choice((None, f"key {chance.randint(1, 5)}"))
        calls = {
            "write": ("write_message('local', %s, %s, p_key => %s, p_as_user => %s)", (session, turns, key, user)),
            "service": ("write_message('local', %s, %s, p_key => %s)", (session, turns, key)),
            "patch": ("patch_session('local', %s, '{\"a\": 1}', p_as_user => %s)", (session, user)),
            "give": ("patch_session('local', %s, null, %s, true)", (session, user)),
            "erase": ("erase_user('local', %s)", (user,)),
            "erase session": ("erase_session('local', %s)", (session,)),
            "remove": ("remove_turns('local', %s, 0)", (session,)),
            "replace": ("replace_turn('local', %s, 1, %s)", (session, json.dumps(TURN))),
            "save": ("save_user('local', %s, %s, p_email_key => 'kim')", (user, '{"email": "Kim"}')),
            "create": (
                "create_user('local', %s, %s, p_email_key => 'kim', p_key => %s)",
                (f"made {next(self._numbers)}", '{"email": "Kim"}', key),
            ),
            "refresh": ("continue_erasure()", ()),
            "count": ("refresh_stats()", ()),
            "fill": ("fill_search(%s)", (chance.random() < 0.5,)),
            "search": ("search('local', 'q or a', p_as_user => %s)", (user,)),
            "export": ("export_user('local', %s)", (other,)),
        }
        weights = [4, 3, 1, 5, 5, 2, 1, 1, 2, 1, 2, 2, 2, 1, 2]
        (name,) = chance.choices(list(calls), weights)
        return Call(name, f"select robot_brain_api.{calls[name][0]}", calls[name][1])


@pytest.fixture
def clients(database: Database) -> Iterator[list[Connection]]:
    """A connection for each thread."""
    with ExitStack() as stack:
        yield [stack.enter_context(database.app()) for _ in range(THREADS)]


def send(client: Connection, call: Call, barrier: threading.Barrier) -> str:
    """Send a call at the same moment as the others. Returns its outcome."""
    barrier.wait()
    try:
        client.execute(call.statement.encode(), call.values)
    except psycopg.Error as error:
        if error.sqlstate not in REFUSED:
            raise AssertionError(f"{call}: {error.sqlstate} {error}") from error
        return f"{call.name} {error.sqlstate}"
    return call.name


@pytest.mark.parametrize("database", ["embedded", "tls"], indirect=True)
def test_random_calls_beside_erasures_end_in_no_deadlock_and_leave_nothing_half(
    database: Database, clients: list[Connection]
) -> None:
    seed = secrets.token_hex(4)
    print(f"seed {seed}")
    chance, outcomes = Chance(seed), Counter[str]()
    barrier = threading.Barrier(THREADS)
    with database.admin() as admin, ThreadPoolExecutor(THREADS) as threads:
        keep_history(admin)
        for number in range(ROUNDS):
            if number % 20 == 0:
                for user in USERS:
                    fill(admin, user, 110, 1, prefix=f"{user} {number} ")
            if number % 5 == 0:
                # A key is used again after it expired. Its row may then belong to what is being erased.
                admin.execute("update robot_brain.idempotency_keys set expires_at = now() where session_id is not null")
            calls = [chance.call() for _ in clients]
            outcomes.update(threads.map(send, clients, calls, itertools.repeat(barrier)))
        for user in USERS:
            finish(clients[0], user)
        found = compare(admin, "local", refreshed=False)
        assert found.wrong == []
        for user in USERS:
            if clients[0].execute("select robot_brain_api.erase_user('local', %s)", [user]).fetchone() != ("unknown",):
                finish(clients[0], user)
            assert dry_run(clients[0], user) is None
        owned = admin.execute("select count(*) from robot_brain.sessions where user_id = any (%s)", [list(USERS)])
        assert owned.fetchone() == (0,)
        fill_all(clients[0])
        assert wrong_words(admin) == []
        clients[0].execute("select robot_brain_api.refresh_view()")
        assert compare(admin, "local", refreshed=True).wrong == []
    assert [each for each in recount(database.direct_url, dry_run=True) if each] == []
    # Otherwise the erasures met nothing.
    assert outcomes["erase"] > 50
    assert sum(number for name, number in outcomes.items() if name.endswith(("RB429", "RB419"))) > 0, outcomes


def wait_for(ended: dict[str, float], writing: "list[Future[None]]") -> None:
    """Return when 20 more writes have ended. Raises the error of a writer that failed."""
    enough = len(ended) + 20
    wait_until(lambda: len(ended) >= enough or any(each.done() for each in writing))
    for each in writing:
        if each.done():
            each.result()


@pytest.mark.parametrize("erasers", [1, 2])
def test_what_was_written_before_an_erasure_is_gone_and_what_began_after_it_stays(
    database: Database, clients: list[Connection], erasers: int
) -> None:
    """Writers never stop. Each turn has a text of its own, so a turn that is stored shows which write it is from."""
    began: dict[str, float] = {}
    ended: dict[str, float] = {}
    stop = threading.Event()
    numbers = itertools.count()
    erasing: list[tuple[float, float]] = []

    def write(client: Connection, session: str) -> None:
        while not stop.is_set():
            text = f"text {next(numbers)}"
            began[text] = time.monotonic()
            # Each third write begins a session.
            to = f"{session} {text}" if len(began) % 3 == 0 else session
            call = Call(text, "select robot_brain_api.write_message('local', %s, %s, p_as_user => 'ann')", (
                to, json.dumps([{**TURN, "user_message": text}]))
            )  # fmt: skip
            if send(client, call, threading.Barrier(1)) == text:
                ended[text] = time.monotonic()

    def erase(client: Connection) -> None:
        first = time.monotonic()
        state = client.execute("select robot_brain_api.erase_user('local', 'ann')").fetchone()
        assert state in (("erased",), ("erasing",), ("unknown",))
        if state != ("unknown",):
            finish(client, "ann")
            erasing.append((first, time.monotonic()))

    with database.admin() as admin, ThreadPoolExecutor(THREADS) as threads:
        for number in range(3):
            stop.clear()
            fill(admin, "ann", 250, 1, prefix=f"old {number} ")
            writing = [threads.submit(write, client, f"s{n}") for n, client in enumerate(clients[erasers:])]
            wait_for(ended, writing)
            for each in [threads.submit(erase, client) for client in clients[:erasers]]:
                each.result()
            wait_for(ended, writing)
            stop.set()
            for each in writing:
                each.result()
            first, last = max(erasing), max(end for _, end in erasing)
            rows = admin.execute("select user_message from robot_brain.conversations").fetchall()
            left = {text for (text,) in rows}
            assert {text for text in left if text in ended and ended[text] < first[0]} == set()
            assert "a text" not in left
            assert {text for text in ended if began[text] > last} <= left
        assert len(erasing) >= 3
        assert stored(admin)["messages"] == len(left)
