"""No request fails while a month is missing, while its turns are in the default partition, or while it is made."""

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.integration.months import (
    INTERACTING,
    TABLES,
    check_page,
    drop_month,
    is_month,
    make_months,
    month_name,
    move_to,
    places,
    write,
)
from tests.support.bundle import Bundle, turn
from tests.support.servers.databases import Database

MAKE = "select robot_brain.make_month((now() at time zone 'UTC')::date)"
SESSIONS = ("a", "b", "c", "d")
# Longer than any test runs, so that a wait ends by a state and not by a timeout.
PATIENT = "alter function robot_brain.make_month set lock_timeout = '60s'"


def lose_this_month(database: Database, number: int, **fields: Any) -> str:
    """Drop this month, write `number` turns to each session and return the month's name.

    The turns land in the default partition.
    """
    name = drop_month(database)
    with database.app() as connection:
        for session in SESSIONS:
            write(connection, session, number, **fields)
    assert places(database) == {"conversations_default": number * len(SESSIONS)}
    return name


def test_a_read_while_the_month_is_made_lacks_no_turn(database: Database) -> None:
    name = lose_this_month(database, 100)
    with database.app() as reader, database.admin() as maker, ThreadPoolExecutor(1) as threads:
        with maker.transaction():
            assert maker.execute(MAKE).fetchone() == (True,)
            reading = threads.submit(check_page, reader, "a")
            wait_for_waiter(maker)
        assert reading.result(30) == 100
    assert places(database) == {name: 400}


def test_a_write_while_the_month_is_made_is_written_once(database: Database) -> None:
    name = lose_this_month(database, 10)
    with database.app() as writer, database.admin() as maker, ThreadPoolExecutor(1) as threads:
        with maker.transaction():
            assert maker.execute(MAKE).fetchone() == (True,)
            writing = threads.submit(write, writer, "a")
            wait_for_waiter(maker)
        body, etag = writing.result(30)
        assert body["last_seq"] == 11
        assert etag.startswith('"11.')
        assert check_page(writer, "a") == 11
    assert places(database) == {name: 41}


def test_making_a_month_waits_until_running_requests_have_ended(database: Database) -> None:
    name = lose_this_month(database, 10)
    with database.app() as one, database.app() as other, database.admin() as maker, ThreadPoolExecutor(1) as threads:
        maker.execute(PATIENT)
        with one.transaction(), other.transaction():
            assert check_page(one, "a") == 10
            write(other, "b")
            making = threads.submit(maker.execute, MAKE)
            wait_for_waiter(one)
            # The two transactions hold their locks already, so the waiting make_month does not block the same requests.
            assert check_page(one, "a") == 10
            write(other, "b")
        assert making.result(30).fetchone() == (True,)
        assert check_page(one, "b") == 12
    assert places(database) == {name: 42}


@pytest.mark.parametrize("seed", [1, 2])
def test_sixteen_writers_and_readers_continue_while_the_month_is_made(database: Database, seed: int) -> None:
    print(f"seed {seed}")
    kept = drop_month(database, table="robot_interactions")
    name = lose_this_month(database, 100, **INTERACTING)
    assert places(database, "robot_interactions") == {"robot_interactions_default": 400}
    written = [0] * 8
    interactions = [0] * 8
    read = [0] * 8
    stop = threading.Event()
    failures: list[BaseException] = []

    def work(number: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        try:
            with database.app() as connection:
                while not stop.is_set():
                    session = chance.choice(SESSIONS)
                    if number % 2:
                        fields = INTERACTING if chance.random() < 0.8 else {}
                        number_of_turns = chance.choice((1, 1, 3))
                        write(connection, session, number_of_turns, **fields)
                        written[number // 2] += 1
                        interactions[number // 2] += number_of_turns * bool(fields)
                    else:
                        check_page(connection, session, chance.choice((1, 50, 200)))
                        read[number // 2] += 1
        except BaseException as error:
            failures.append(error)
            stop.set()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    try:
        with database.app() as maker, database.admin() as admin:
            _until(lambda: stop.is_set() or min(written + read) >= 2)
            while not stop.is_set() and not (is_month(admin, name) and is_month(admin, kept)):
                assert make_months(maker)[1] == []
            before = list(written + read)
            _until(
                lambda: stop.is_set() or all(now >= then + 2 for now, then in zip(written + read, before, strict=True))
            )
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    with database.app() as connection:
        total = sum(check_page(connection, session) for session in SESSIONS)
    assert places(database) == {name: total}
    assert places(database, "robot_interactions") == {kept: 400 + sum(interactions)}


@pytest.mark.parametrize("seed", [1, 2])
def test_months_are_made_and_dropped_in_rounds_without_a_deadlock(database: Database, seed: int) -> None:
    """Write and read several months in rounds, while two connections make months."""
    print(f"seed {seed}")
    chance = random.Random(seed)
    with database.admin() as admin:
        ahead = [month_name(admin, months, table) for months in range(3) for table in TABLES]
        admin.execute(PATIENT)
    for number in range(6):
        session = f"s{number}"
        with database.app() as connection:
            for table in TABLES:
                for months in chance.sample(range(3), 2):
                    drop_month(database, months, table)
            write(connection, session, 5, **INTERACTING)
        if chance.random() < 0.5:
            move_to(database, session, f"now() + interval '{chance.randrange(3)} months'")

        def request(kind: int, session: str = session) -> None:
            with database.app() as connection:
                for _ in range(8):
                    if kind == 0:
                        check_page(connection, session)
                    elif kind == 1:
                        write(connection, session, **INTERACTING)
                    else:
                        assert make_months(connection)[1] == []

        with ThreadPoolExecutor(6) as threads:
            for done in [threads.submit(request, kind) for kind in (0, 0, 1, 1, 2, 2)]:
                done.result(120)
        with database.app() as connection, database.admin() as admin:
            make_months(connection)
            assert all(is_month(admin, name) for name in ahead)
            assert check_page(connection, session) == 21
            count = "select count(*) from robot_brain.robot_interactions where session_id = %s"
            assert admin.execute(count, [session]).fetchone() == (21,)
    assert "conversations_default" not in places(database)
    assert "robot_interactions_default" not in places(database, "robot_interactions")


def test_a_turn_written_while_make_month_waits_for_the_default_partition_is_moved_later(database: Database) -> None:
    name = drop_month(database)
    with database.app() as writer, database.admin() as maker, ThreadPoolExecutor(1) as threads:
        maker.execute(PATIENT)
        with writer.transaction():
            write(writer, "a")
            making = threads.submit(make_months, maker)
            # The turn in the default partition is not visible yet. So make_month waits for the default partition only.
            wait_for_waiter(writer)
        assert making.result(30) == ([], [])
        assert not is_month(maker, name)
        assert check_page(writer, "a") == 1
        assert make_months(maker) == ([name.removeprefix("conversations_").replace("_", "-")], [])
        assert check_page(writer, "a") == 1
    assert places(database) == {name: 1}


@pytest.mark.parametrize("table", ["conversations", "conversations_default"])
def test_during_a_dump_requests_succeed_and_the_month_is_made_afterwards(
    bundle: Bundle, database: Database, table: str
) -> None:
    name = lose_this_month(database, 3)
    with database.admin() as dump, database.admin() as admin:
        with dump.transaction():
            dump.execute(f"lock table only robot_brain.{table} in access share mode".encode())
            # make_month now waits for the dump, and requests wait for make_month, until its lock_timeout ends.
            with database.app() as maker, ThreadPoolExecutor(1) as threads:
                making = threads.submit(make_months, maker)
                wait_for_waiter(dump)
                assert bundle.write("a", turn()).status == 201
                assert len(bundle.read("a").json["messages"]) == 4
                assert making.result(30) == ([], [])
            assert bundle.refresh()["months_made"] == 0
            assert not is_month(admin, name)
        assert bundle.refresh()["months_made"] == 1
        assert is_month(admin, name)
    assert bundle.stats().json["totals"]["messages"] == 13


def test_a_write_does_not_wait_while_a_month_without_turns_is_made(database: Database) -> None:
    drop_month(database, 2)
    with database.app() as connection, database.admin() as maker, maker.transaction():
        write(connection, "a")
        made = maker.execute("select robot_brain.make_month((now() + interval '2 months')::date)").fetchone()
        assert made == (True,)
        connection.execute("set lock_timeout = '1ms'")
        write(connection, "a")
        assert check_page(connection, "a") == 2


def _until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.005)
