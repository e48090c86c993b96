"""Many writers to one session: the database keeps the turns in order."""

import json
import threading
import uuid

import psycopg

from tests.support.servers.databases import Database

WRITERS = 32
WRITES = 6
WRITE = "select body from robot_brain_api.write_message('local', %s, %s, null, %s, %s, %s, %s)"
READ = "select body from robot_brain_api.read_session('local', 's', 50, %s, null, null, '{}')"


def turns(text: str, number: int = 1) -> str:
    """Return `number` turns with this text, as JSON."""
    one = {"robot_personality": "p", "user_message": text, "robot_response": "", "metadata": {}}
    return json.dumps([one] * number)


def in_parallel(database: Database, work: list[object], run: object) -> None:
    """Call run(connection, item) for all items at once, each with its own connection. Raises the first failure."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(len(work))

    def one(item: object) -> None:
        try:
            with database.app() as connection:
                barrier.wait(60)
                run(connection, item)  # type: ignore[operator]  # a callable of two
        except BaseException as error:
            failures.append(error)
            barrier.abort()

    threads = [threading.Thread(target=one, args=(item,)) for item in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_32_writers_to_one_session_leave_no_gap_no_duplicate_and_times_in_order(database: Database) -> None:
    answers: list[dict[str, object]] = []
    done = threading.Event()
    walks: list[list[int]] = []

    def walk() -> None:
        # A reader that follows `before` during the writes gets each turn once, down to the first one.
        with database.app() as connection:
            while not done.is_set() or not walks:
                seen: list[int] = []
                before: int | None = None
                while True:
                    row = connection.execute(READ, (before,)).fetchone()
                    if row is None or row[0] is None:
                        break
                    page = json.loads(row[0])
                    seen[:0] = [message["seq"] for message in page["messages"]]
                    before = page["page"]["before"]
                    if before is None:
                        break
                if seen:
                    walks.append(seen)

    def write(connection: psycopg.Connection, writer: object) -> None:
        for number in range(WRITES):
            size = 3 if number % 3 == 0 else 1
            row = connection.execute(
                WRITE, ("s", turns(f"{writer}/{number}", size), None, None, str(uuid.uuid4()), False)
            ).fetchone()
            assert row is not None
            answers.append(json.loads(row[0]))

    reader = threading.Thread(target=walk)
    reader.start()
    try:
        in_parallel(database, list(range(WRITERS)), write)
    finally:
        done.set()
        reader.join()

    total = WRITERS * sum(3 if number % 3 == 0 else 1 for number in range(WRITES))
    with database.admin() as admin:
        stored = admin.execute(
            "select seq, extract(epoch from created_at), user_message from robot_brain.conversations order by seq"
        ).fetchall()
        counter = admin.execute(
            "select message_count, extract(epoch from last_active) from robot_brain.sessions"
        ).fetchone()
    assert [seq for seq, _, _ in stored] == list(range(1, total + 1))
    assert counter == (total, stored[-1][1])
    times = [created_at for _, created_at, _ in stored]
    assert times == sorted(times)
    # The writers' answers name each stored turn once, and the turns of a batch have consecutive seqs.
    text_of = {seq: text for seq, _, text in stored}
    answered = [message["seq"] for answer in answers for message in answer["messages"]]  # type: ignore[attr-defined]  # JSON
    assert sorted(answered) == list(range(1, total + 1))
    for answer in answers:
        seqs = [message["seq"] for message in answer["messages"]]  # type: ignore[attr-defined]  # JSON
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
        assert len({text_of[seq] for seq in seqs}) == 1
    assert walks
    for seen in walks:
        assert seen == list(range(1, len(seen) + 1))


def test_a_request_sent_32_times_at_once_is_written_once(database: Database) -> None:
    bodies: list[str] = []

    def write(connection: psycopg.Connection, _: object) -> None:
        row = connection.execute(WRITE, ("s", turns("once"), None, "one key", None, False)).fetchone()
        assert row is not None
        bodies.append(row[0])

    in_parallel(database, list(range(WRITERS)), write)
    assert len(set(bodies)) == 1
    with database.admin() as admin:
        assert admin.execute("select count(*) from robot_brain.conversations").fetchone() == (1,)


def test_writes_with_one_key_to_8_sessions_at_once_are_stored_in_one_session(database: Database) -> None:
    refused: list[str | None] = []

    def write(connection: psycopg.Connection, session: object) -> None:
        try:
            connection.execute(WRITE, (f"session {session}", turns("x"), None, "one key", None, False))
        except psycopg.Error as error:
            refused.append(error.sqlstate)

    in_parallel(database, list(range(8)), write)
    assert refused == ["RB422"] * 7
    with database.admin() as admin:
        row = admin.execute(
            "select count(*), (select count(*) from robot_brain.sessions) from robot_brain.conversations"
        ).fetchone()
    assert row == (1, 1)


def test_only_one_of_16_writers_with_the_same_if_match_succeeds(database: Database) -> None:
    outcomes: list[str | None] = []

    def write(connection: psycopg.Connection, writer: object) -> None:
        try:
            connection.execute(WRITE, ("s", turns(str(writer)), "0", None, str(uuid.uuid4()), False))
            outcomes.append("written")
        except psycopg.Error as error:
            outcomes.append(error.sqlstate)

    in_parallel(database, list(range(16)), write)
    assert sorted(map(str, outcomes)) == ["RB412"] * 15 + ["written"]
