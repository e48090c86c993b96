"""An upgrade from a schema without the search, while clients write: in the end each turn is found once."""

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest

from ops.logins import APP
from ops.migrate import migrate
from robot_brain.database.failures import while_calling
from tests.integration.earlier_commits import before_the_first, checked_out
from tests.integration.migrations import finish, migrating
from tests.integration.user_rows import fill as store
from tests.support.search_calls import (
    Connection,
    Place,
    erase,
    fill,
    fill_all,
    found,
    queued,
    remove,
    replace,
    turn,
    walk,
    write,
    wrong_words,
)
from tests.support.servers.postgres import Postgres
from tests.support.waiting import wait_until

PASSWORD = "app"  # of a server that ends with the test
WRITERS = 3


@dataclass
class Client:
    """A client that writes, edits, removes and erases. Each text has a word of its own, and `tea`."""

    name: str
    url: str
    # The place of each word, and the words that are gone.
    there: dict[str, Place] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)
    done: int = 0

    def work(self, stop: threading.Event) -> None:
        """Change something until `stop`. Make a call again if the layer would, which knows that it was not done."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            for number in itertools.count():
                while not stop.is_set() and not self._is_done(connection, number):
                    pass
                if stop.is_set():
                    return
                self.done += 1

    def _is_done(self, connection: Connection, number: int) -> bool:
        try:
            self._change(connection, number)
        except psycopg.Error as error:
            if not while_calling(error).repeat:
                raise
            return False
        return True

    def _change(self, connection: Connection, number: int) -> None:
        word = f"{self.name}w{number}"
        session = f"{self.name} {number // 10}"
        if number % 10 < 6:
            [answer] = write(connection, session, turn(f"tea {word}"))
            self.there[word] = (session, answer["seq"])
        elif number % 10 < 8:
            replace(connection, session, number % 5 + 1, turn(f"tea {word}"))
            self._goes(session, number % 5 + 1)
            self.there[word] = (session, number % 5 + 1)
        elif number % 10 == 8:
            remove(connection, session, 3)
            for seq in (4, 5, 6):
                self._goes(session, seq)
        elif number % 30 == 9:
            assert erase(connection, session) == "erased"
            for seq in (1, 2, 3):
                self._goes(session, seq)

    def _goes(self, session: str, seq: int) -> None:
        for word in [word for word, place in self.there.items() if place == (session, seq)]:
            self.gone.append(word)
            del self.there[word]


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ops/ and sql/ of the last commit without the search."""
    return checked_out(
        before_the_first("sql/functions/robot_brain/fill_words.sql"), tmp_path_factory.mktemp("before"), "ops", "sql"
    )


@pytest.fixture
def app_url(empty_cluster: Postgres, admin: Connection, direct_url: str, before: Path) -> str:
    """The functions' URL of a database without the search."""
    with migrating(direct_url, before) as process:
        assert finish(process)
    admin.execute(f"alter role {APP} login password '{PASSWORD}'".encode())
    return empty_cluster.address.url(APP, PASSWORD, admin.info.dbname)


def through(clients: list[Client], work: Callable[[], object]) -> None:
    """Do `work` while the clients write, before and after it too."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(clients)) as threads:
        working = [threads.submit(client.work, stop) for client in clients]

        def go_on() -> None:
            enough = [client.done + 40 for client in clients]
            wait_until(
                lambda: (
                    all(c.done > most for c, most in zip(clients, enough, strict=True))
                    or any(each.done() for each in working)
                )
            )

        try:
            go_on()
            work()
            go_on()
        finally:
            stop.set()
        for each in working:
            each.result(120)


def test_each_turn_from_before_during_and_after_an_upgrade_is_found_once(
    admin: Connection, direct_url: str, app_url: str
) -> None:
    clients = [Client(f"c{n}", app_url) for n in range(WRITERS)]
    store(admin, "ann", sessions=30, turns=40, text="tea stored", apart="9 days")
    through(clients, lambda: migrate(direct_url))
    with psycopg.connect(app_url, autocommit=True) as app:
        # What is written now is found at once. The other turns have no words yet, and the last page says so.
        [answer] = write(app, "now", turn("tea now"))
        assert found(app, "now") == [("now", answer["seq"])]
        first = list(walk(app, "tea", limit=50))
        assert (first[-1].cursor, first[-1].complete) == (None, False)

        assert fill(app) is not None
        assert not list(walk(app, "tea"))[-1].complete
        fill_all(app)
        pages = list(walk(app, "tea"))
        assert pages[-1].complete
        places = [place for page in pages for place in page.places]
        there = [place for client in clients for place in client.there.values()]
        expected = {*there, ("now", answer["seq"]), *((f"ann{s}", n) for s in range(1, 31) for n in range(1, 41))}
        assert len(places) == len(set(places))
        assert set(places) == expected
        assert (wrong_words(admin), queued(admin)) == ([], 0)
        for client in clients:
            assert {word: found(app, word) for word in client.there} == {w: [at] for w, at in client.there.items()}
            assert [word for word in client.gone if found(app, word)] == []
            assert len(client.gone) > 10
