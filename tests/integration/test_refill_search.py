"""`make ops DO=refill-search` finds words that are missing or wrong, and makes them again."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.__main__ import main
from ops.errors import MigrationError
from ops.migrate import migrate
from ops.refill_search import refill
from tests.integration.probes import probe
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.searching import places
from tests.support.servers.databases import Database

pytestmark = without_pooler

Run = Callable[..., tuple[int, str]]
TURNS = 60
WORDS = "select count(*)::int from robot_brain.turn_words"
LOST = "Without words: {}, of which the next refreshes make 0."


@pytest.fixture
def filled(bundle: Bundle, database: Database) -> Bundle:
    """The functions on a database with words of 60 turns, some of the month before."""
    for session in ("a", "b", "c"):
        bundle.write(session, {"messages": [turn(n, user_message="coffee") for n in range(TURNS // 3)]})
    bundle.refresh()
    with database.admin() as admin:
        admin.execute("truncate robot_brain.turn_words")
        admin.execute(
            "update robot_brain.conversations set created_at = created_at - interval '1 month' where session_id = 'c'"
        )
        admin.execute("update robot_brain.search_state set filled_from = clock_timestamp()")
    assert bundle.refresh()["words_made"] >= TURNS
    return bundle


@pytest.fixture
def run(database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command, and return its exit status and what it prints."""
    monkeypatch.setenv("DIRECT_DATABASE_URL", database.direct_url)

    def command(*options: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["refill-search", *options])
        return status, capsys.readouterr().out

    return command


DAMAGE = {
    "a part of the words": ("delete from robot_brain.turn_words where seq % 2 = 0", LOST.format(30)),
    "all words": ("truncate robot_brain.turn_words", LOST.format(60)),
    "a month": (
        "do $$ begin execute (select 'drop table ' || max(inhrelid::regclass::text) from pg_inherits"
        " where inhparent = 'robot_brain.turn_words'::regclass); end $$",
        LOST.format(40),
    ),
    "the state": ("truncate robot_brain.search_state, robot_brain.turn_words", LOST.format(60)),
    "turns": (
        "delete from robot_brain.conversations where session_id = 'a'",
        "Turns: 40. Without words: 0, of which the next refreshes make 0. Words without a turn: 20.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_what_is_missing_is_counted_and_made_again(filled: Bundle, database: Database, run: Run, name: str) -> None:
    statement, counted = DAMAGE[name]
    with database.admin() as admin:
        admin.execute(statement.encode())
        before = admin.execute("select count(*) from robot_brain.turn_words").fetchone()
        status, text = run("--dry-run")
        assert (status, counted in text) == (1, True), text
        assert admin.execute("select count(*) from robot_brain.turn_words").fetchone() == before
        (left,) = admin.execute("select count(*)::int from robot_brain.conversations").fetchone() or (0,)
        status, text = run()
        assert (status, f"All {left} turns have words." in text) == (0, True), text
        assert admin.execute(WORDS).fetchone() == (left,)
    assert run("--dry-run")[0] == 0
    assert len(places(filled, "coffee")) == left
    assert probe(filled).json["search"]["filled_from"] is None


def test_turns_that_a_refresh_will_fill_are_not_missing(bundle: Bundle, database: Database, run: Run) -> None:
    bundle.write("uncounted", turn())
    assert "Without words: 1, of which the next refreshes make 1." in run("--dry-run")[1]
    with database.app() as app:
        app.execute("select robot_brain_api.refresh_stats()")
    assert run("--dry-run") == (
        0,
        "Turns: 1. Without words: 1, of which the next refreshes make 1. Words without a turn: 0. "
        "Words of another text: 0. Nothing was changed.\n",
    )
    with database.admin() as admin:
        admin.execute("truncate robot_brain.search_queue")
        admin.execute("update robot_brain.search_state set filled_from = clock_timestamp()")
    status, text = run("--dry-run")
    assert (status, "of which the next refreshes make 1." in text) == (0, True)
    assert run()[1] == "Words were made of 1 turns. All 1 turns have words.\n"


def test_words_of_another_text_are_found_and_replaced(filled: Bundle, database: Database, run: Run) -> None:
    """As after a restore of older turns alone."""
    with database.admin() as admin:
        admin.execute("update robot_brain.conversations set user_message = 'tea' where session_id = 'a' and seq = 1")
    status, text = run("--dry-run")
    assert (status, "Words of another text: 1." in text, "REPLACE=1" in text) == (1, True, True)
    assert places(filled, "tea") == []
    assert run("--replace") == (0, "Words were made of 60 turns. All 60 turns have words.\n")
    assert places(filled, "tea") == [("a", 1)]
    assert run("--dry-run")[0] == 0


def test_a_part_of_a_month_that_the_filler_has_passed_is_missing(filled: Bundle, database: Database, run: Run) -> None:
    with database.admin() as admin:
        admin.execute("truncate robot_brain.turn_words")
        admin.execute(
            "update robot_brain.search_state set filled_from = clock_timestamp(),"
            " place_tenant = 'local', place_session = 'a', place_seq = 10"
        )
        assert "Without words: 60, of which the next refreshes make 50." in run("--dry-run")[1]
        run()
        assert admin.execute(WORDS).fetchone() == (TURNS,)


class Stopping:
    """A progress that is interrupted after the first words."""

    def show(self, line: str, *, at_once: bool = False) -> None:
        if line.startswith("Words of "):
            signal.raise_signal(signal.SIGTERM)

    def clear(self) -> None:
        """Nothing is shown."""


def test_a_command_that_was_stopped_goes_on_with_the_turns_that_are_left(
    filled: Bundle, database: Database, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def stopping() -> Iterator[Stopping]:
        yield Stopping()

    with database.admin() as admin:
        admin.execute("truncate robot_brain.turn_words")
        with monkeypatch.context() as patched:
            patched.setattr("ops.refill_search.progress", stopping)
            assert main(["refill-search"]) == 128 + signal.SIGTERM
        assert "Run it again to go on." in capsys.readouterr().err
        made = (admin.execute(WORDS).fetchone() or (0,))[0]
        assert 0 < made < TURNS
        assert run() == (0, f"Words were made of {TURNS - made} turns. All 60 turns have words.\n")


def test_writes_edits_and_removals_go_on_meanwhile(filled: Bundle, database: Database) -> None:
    ended = threading.Event()
    statuses: list[int] = []

    def change() -> None:
        number = 0
        while not ended.is_set():
            number += 1
            statuses.append(filled.write("d", turn(user_message=f"coffee {number}")).status)
            edited = {"user_message": f"coffee {number}", "robot_response": "ok"}
            reply = filled.replace("b", 1 + number % 20, edited)
            statuses.append(reply.status)
            if number % 5 == 0:
                statuses.append(filled.remove("d", number - 1).status)

    class Quiet(Stopping):
        def show(self, line: str, *, at_once: bool = False) -> None:
            """Nothing stops it."""

    writer = threading.Thread(target=change)
    writer.start()
    try:
        with psycopg.connect(database.direct_url, autocommit=True) as connection:
            for replace in (True, False, True):
                connection.execute("set role robot_brain_search")
                refill(connection, Quiet(), replace=replace)  # type: ignore[arg-type]
    finally:
        ended.set()
        writer.join()
    assert set(statuses) <= {200, 201}
    assert len(statuses) > 3
    filled.refresh()
    with database.admin() as admin:
        row = admin.execute(
            "select (select count(*) from robot_brain.conversations) = (select count(*) from robot_brain.turn_words)"
        ).fetchone()
    assert row == (True,)


def test_the_command_is_refused_if_the_search_is_off(
    database: Database, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIRECT_DATABASE_URL", database.direct_url)
    migrate(database.direct_url, search="off")
    assert main(["refill-search"]) == MigrationError.exit_status
    assert "Run `make migrate SEARCH=on` first." in capsys.readouterr().err
