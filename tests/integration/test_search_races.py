"""What was edited, removed or erased is not found after the answer, also if its words are made at the same moment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import psycopg
import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.integration.months import make_months, month_name
from tests.integration.user_rows import finish, left_of, step
from tests.support.marks import without_pooler
from tests.support.search_calls import (
    Connection,
    erase,
    fill,
    fill_all,
    found,
    queued,
    refresh,
    remove,
    replace,
    search,
    turn,
    write,
    wrong_words,
)
from tests.support.servers.databases import Database
from tests.support.servers.gate import wait_for_pid

pytestmark = without_pooler

# Each takes the word `old` from the turn 2 of the session s, whose user is ann.
CHANGES: dict[str, Callable[[Connection], object]] = {
    "an edit": lambda client: replace(client, "s", 2, turn("new")),
    "a removal": lambda client: remove(client, "s", 1),
    "an erasure": lambda client: erase(client, "s"),
    "an erasure of the user": lambda client: step(client, "ann"),
}


def prepare(client: Connection) -> None:
    """Write two turns, and queue them. The second one has the word `old`."""
    write(client, "s", turn("first"), turn("old"), as_user="ann")
    refresh(client)


def into_default(database: Database) -> str:
    """Move the turns of this month into DEFAULT, drop the month, and return its name."""
    with database.admin() as admin, admin.transaction():
        name = month_name(admin)
        admin.execute(f"alter table robot_brain.conversations detach partition robot_brain.{name}".encode())
        admin.execute(f"insert into robot_brain.conversations select * from robot_brain.{name}".encode())
        admin.execute(f"drop table robot_brain.{name}".encode())
    return name


def check(database: Database, kind: str) -> None:
    """Assert that the change is seen, that the words are exact, and that no turn is left without words."""
    with database.admin() as admin, database.app() as client:
        assert found(client, "old") == []
        assert found(client, "new") == ([("s", 2)] if kind == "an edit" else [])
        fill_all(client)
        assert found(client, "old") == []
        assert found(client, "first") == ([] if "erasure" in kind else [("s", 1)])
        assert (wrong_words(admin), queued(admin)) == ([], 0)


@pytest.fixture
def clients(database: Database) -> Iterator[list[Connection]]:
    """Two connections of the functions."""
    with ExitStack() as stack:
        yield [stack.enter_context(database.app()) for _ in range(2)]


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_that_waits_for_the_filler_deletes_the_words_that_it_makes(
    database: Database, clients: list[Connection], kind: str
) -> None:
    changer, filler = clients
    prepare(changer)
    with database.admin() as holder, ThreadPoolExecutor(2) as threads:
        with holder.transaction():
            holder.execute("lock table robot_brain.turn_words in access exclusive mode")
            filling = threads.submit(fill, filler)
            wait_for_waiter(holder)
            changing = threads.submit(CHANGES[kind], changer)
            wait_for_pid(holder, "select pid from pg_locks where pid = %s and not granted", [changer.info.backend_pid])
        assert filling.result(120) == {"words_made": 2, "has_more": True}
        changing.result(120)
    check(database, kind)


@pytest.mark.parametrize("kind", CHANGES)
def test_the_filler_waits_for_a_change_that_is_not_committed(
    database: Database, clients: list[Connection], kind: str
) -> None:
    changer, filler = clients
    prepare(changer)
    with ThreadPoolExecutor(1) as threads:
        with changer.transaction():
            CHANGES[kind](changer)
            assert fill(filler, wait=False) is None
            assert found(filler, "old") == [("s", 2)]
            filling = threads.submit(fill, filler)
            wait_for_waiter(changer)
        filling.result(120)
    check(database, kind)


@pytest.mark.parametrize("level", ["repeatable read", "serializable"])
def test_no_change_keeps_words_in_another_isolation_level(
    database: Database, clients: list[Connection], level: str
) -> None:
    """The transaction of the change begins before the words are made, so it would not see them."""
    changer, filler = clients
    prepare(changer)
    changer.execute(f"set default_transaction_isolation = '{level}'".encode())
    changer.execute("begin")
    changer.execute("select count(*) from robot_brain_api.health()")
    fill_all(filler)
    with pytest.raises(psycopg.errors.SerializationFailure):
        replace(changer, "s", 2, turn("new"))
    changer.execute("rollback")
    for call in (fill, lambda client: search(client, "old")):
        with pytest.raises(psycopg.errors.SerializationFailure):
            call(changer)
    changer.execute("reset default_transaction_isolation")
    replace(changer, "s", 2, turn("new"))
    check(database, "an edit")


def test_an_erasure_and_a_refresh_that_change_the_same_rows_end(database: Database, clients: list[Connection]) -> None:
    """The refresh has locked the rows of one session, and waits for those of another one that is erased."""
    eraser, refresher = clients
    write(eraser, "second", turn("old"))
    write(eraser, "first", turn("old"))
    with ThreadPoolExecutor(1) as threads:
        with eraser.transaction():
            erase(eraser, "first")
            refreshing = threads.submit(refresh, refresher)
            wait_for_pid(
                eraser, "select pid from pg_locks where pid = %s and not granted", [refresher.info.backend_pid]
            )
            erase(eraser, "second")
        refreshing.result(120)
    fill_all(eraser)
    with database.admin() as admin:
        assert (wrong_words(admin), queued(admin)) == ([], 0)


@pytest.mark.parametrize("kind", ["an erasure", "an erasure of the user"])
@pytest.mark.parametrize("stage", ["uncounted", "queued", "filled", "edited"])
def test_nothing_of_a_session_stays_in_words_or_queues_after_its_erasure(
    database: Database, clients: list[Connection], kind: str, stage: str
) -> None:
    client, _ = clients
    write(client, "secret-session", turn("secretword"), turn("old"), as_user="ann")
    if stage != "uncounted":
        refresh(client)
    if stage in ("filled", "edited"):
        fill_all(client)
    if stage == "edited":
        replace(client, "secret-session", 1, turn("secretword secretword"))
    if kind == "an erasure":
        assert erase(client, "secret-session") == "erased"
    elif step(client, "ann") != "erased":
        finish(client, "ann")
    assert [table for table, _ in left_of(database, "secretword")] == []
    # The audit trail keeps the ids of what was erased.
    assert {table for table, _ in left_of(database, "secret-session")} <= {"robot_brain.audit_logs"}
    with database.admin() as admin:
        assert (wrong_words(admin), queued(admin)) == ([], 0)


def test_a_step_of_an_erasure_takes_the_words_of_its_turns(database: Database, clients: list[Connection]) -> None:
    client, _ = clients
    for _ in range(60):
        write(client, "long", *[turn("old")] * 100)
    fill_all(client)
    with database.admin() as admin:
        assert erase(client, "long") == "erasing"
        # The session is unknown at once, before its last turn is gone.
        assert found(client, "old") == []
        assert wrong_words(admin) == []
        assert erase(client, "long") == "erased"
        assert (wrong_words(admin), queued(admin)) == ([], 0)
        assert admin.execute("select count(*) from robot_brain.turn_words").fetchone() == (0,)


def test_making_a_month_and_making_words_do_not_end_in_a_deadlock(
    database: Database, clients: list[Connection]
) -> None:
    """The filler has read the turns, and a month would take some of them from DEFAULT."""
    client, maker = clients
    prepare(client)
    name = into_default(database)
    with client.transaction():
        fill(client)
        assert make_months(maker) == ([], [])
    assert name.removeprefix("conversations_").replace("_", "-") in make_months(maker)[0]
    assert found(client, "old") == [("s", 2)]
    replace(client, "s", 2, turn("new"))
    check(database, "an edit")


def test_a_backup_does_not_keep_the_filler_out(database: Database, clients: list[Connection]) -> None:
    client, _ = clients
    prepare(client)
    with database.admin() as backup, backup.transaction():
        backup.execute(
            "lock table robot_brain.word_filling, robot_brain.search_queue, robot_brain.turn_words,"
            " robot_brain.search_state in access share mode"
        )
        assert fill(client, wait=False) == {"words_made": 2, "has_more": True}
