"""A turn is found right after its 201, also while the filler runs and after it was killed at each of its steps."""

import contextlib
import itertools
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, LiteralString

import psycopg
import pytest

from tests.faults.counting_server import PASSWORD, counting_server
from tests.support.bundle import Bundle, deployed, turn
from tests.support.neon import commits
from tests.support.search_calls import fill, fill_all, queued, refresh, wrong_words
from tests.support.searching import places
from tests.support.servers.authority import Authority
from tests.support.servers.crash import crash
from tests.support.servers.databases import APP
from tests.support.servers.gate import wait_for_pid
from tests.support.servers.postgres import Postgres
from tests.support.waiting import PATIENCE_SECONDS, wait_until

DATABASE = "filling"
TURNS = 1000
# What the filler waits for at a step, as a lock of another transaction.
STEPS: dict[str, LiteralString] = {
    "before it has its lock": "lock table robot_brain.word_filling in access exclusive mode",
    "before it reads the queue": "lock table robot_brain.search_queue in access exclusive mode",
    "before it reads the turns": "lock table robot_brain.conversations in access exclusive mode",
    "before it inserts words": "lock table robot_brain.turn_words in access exclusive mode",
    "before it takes the turns off the queue": "select from robot_brain.search_queue for update",
}
WAITS = "select pid from pg_locks where pid = %s and not granted"


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Postgres]:
    """A server of its own, because it is killed."""
    with counting_server("embedded", authority, DATABASE) as postgres:
        yield postgres


@pytest.fixture
def url(server: Postgres) -> str:
    """The functions' DATABASE_URL."""
    return server.address.url(APP, PASSWORD, DATABASE)


@pytest.fixture
def functions(url: str) -> Iterator[Bundle]:
    """The functions."""
    with deployed({"DATABASE_URL": url}) as made:
        yield made


def write_and_find(functions: Bundle, words: Iterator[str], number: int) -> list[str]:
    """Write turns, each with a word of its own, and find each right after its 201. Return the words."""
    written = list(itertools.islice(words, number))
    for each, word in enumerate(written):
        session = f"{word[:8]}-{each % 7}"
        reply = functions.write(session, turn(user_message=f"who knows {word}", robot_response="nobody"))
        assert reply.status == 201
        assert places(functions, word) == [(session, reply.json["messages"][0]["seq"])], word
    return written


def check(server: Postgres, url: str, functions: Bundle, words: list[str]) -> None:
    """Assert that each turn is found once, before and after the rest of the words is made."""
    for word in words:
        assert len(places(functions, word)) == 1, word
    with psycopg.connect(url, autocommit=True) as filler, server.admin(DATABASE) as admin:
        fill_all(filler)
        assert (wrong_words(admin), queued(admin)) == ([], 0)
        counted = admin.execute(
            "select (select count(*) from robot_brain.turn_words), (select count(*) from robot_brain.conversations)"
        ).fetchone()
        assert counted is not None
        assert counted[0] == counted[1]
    for word in words:
        assert len(places(functions, word)) == 1, word


def random_words() -> Iterator[str]:
    """Yield words that no other turn has."""
    seed = secrets.token_hex(4)
    return (f"w{seed}x{n}" for n in itertools.count())


@contextmanager
def filling(url: str) -> Iterator[None]:
    """Refresh and make words all the time."""
    stop = threading.Event()

    def work() -> None:
        with psycopg.connect(url, autocommit=True) as filler:
            while not stop.wait(0.01):
                refresh(filler)
                fill(filler)

    with ThreadPoolExecutor(1) as threads:
        working = threads.submit(work)
        try:
            yield
        finally:
            stop.set()
        working.result(PATIENCE_SECONDS)


def start_filling(threads: ThreadPoolExecutor, url: str) -> "tuple[int, Future[Any]]":
    """Begin to make words. Return the pid of the backend, and a future that is done when it ends."""
    pids: Future[int] = Future()

    def work() -> None:
        with psycopg.connect(url, autocommit=True) as filler:
            pids.set_result(filler.info.backend_pid)
            fill(filler)

    working = threads.submit(work)
    return pids.result(PATIENCE_SECONDS), working


def kill(server: Postgres, pid: int) -> None:
    """Kill a backend with SIGKILL. Return when the server has recovered."""
    with server.admin(DATABASE) as witness:
        crash(witness, pid)
    wait_until(lambda: answers(server))


def answers(server: Postgres) -> bool:
    try:
        server.admin(DATABASE).close()
    except psycopg.OperationalError:
        return False
    return True


def test_each_turn_is_found_right_after_its_201_while_the_filler_runs(
    server: Postgres, url: str, functions: Bundle
) -> None:
    with filling(url):
        written = write_and_find(functions, random_words(), TURNS)
    check(server, url, functions, written[::10])


@pytest.mark.parametrize("step", STEPS)
def test_a_filler_that_is_killed_loses_no_turn_and_makes_no_words_twice(
    server: Postgres, url: str, functions: Bundle, step: str
) -> None:
    words = random_words()
    written = write_and_find(functions, words, 20)
    functions.refresh()
    written += write_and_find(functions, words, 20)
    with ThreadPoolExecutor(1) as threads, server.admin(DATABASE) as admin:
        with psycopg.connect(url, autocommit=True) as refresher:
            refresh(refresher)
        assert queued(admin) >= 20
        with contextlib.suppress(psycopg.OperationalError):
            holder = psycopg.connect(server.admin_url(DATABASE))
            holder.execute(STEPS[step])
            pid, working = start_filling(threads, url)
            wait_for_pid(admin, WAITS, [pid])
            kill(server, pid)
            holder.close()
        assert isinstance(working.exception(PATIENCE_SECONDS), psycopg.OperationalError)
    written += write_and_find(functions, words, 20)
    check(server, url, functions, written)


def test_a_filler_that_is_killed_in_its_commit_loses_no_turn_and_makes_no_words_twice(
    server: Postgres, url: str, functions: Bundle
) -> None:
    words = random_words()
    written = write_and_find(functions, words, 20)
    with psycopg.connect(url, autocommit=True) as refresher:
        refresh(refresher)
    commits.stall(server.admin_url(DATABASE))
    try:
        with ThreadPoolExecutor(1) as threads, server.admin(DATABASE) as admin:
            pid, working = start_filling(threads, url)
            wait_for_pid(admin, "select pid from pg_stat_activity where pid = %s and wait_event = 'SyncRep'", [pid])
            # A search sees the words neither twice nor never.
            for word in written:
                assert len(places(functions, word)) == 1
            kill(server, pid)
            assert working.exception(PATIENCE_SECONDS) is not None
    finally:
        commits.release(server.admin_url(DATABASE))
    written += write_and_find(functions, words, 20)
    check(server, url, functions, written)
