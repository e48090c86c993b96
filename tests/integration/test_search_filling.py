"""A call of the filler is short, and what it leaves stays queued."""

from tests.support.marks import without_pooler
from tests.support.search_calls import fill, fill_all, found, queued, refresh, turn, write, wrong_words
from tests.support.servers.databases import Database

pytestmark = without_pooler


def test_a_call_of_the_filler_is_short_so_that_a_change_does_not_wait_long(database: Database) -> None:
    with database.app() as client, database.admin() as admin:
        long = "a " * 30_000
        for _ in range(3):
            write(client, "long", *[turn(long, long)] * 2)
        for _ in range(30):
            write(client, "short", *[turn("old")] * 100)
        refresh(client)
        made = []
        while (done := fill(client)) is not None and done["has_more"]:
            made.append(done["words_made"])
            # Each turn has words or is queued, also if a row of the queue is half done.
            rows = admin.execute(
                "select (select count(*) from robot_brain.turn_words)"
                " + (select sum(to_seq - from_seq + 1) from robot_brain.search_queue)"
            ).fetchone()
            assert rows in ((3006,), (None,))
        assert wrong_words(admin) == []
        assert (max(made), sum(made)) == (1000, 3006)


def test_a_row_of_the_queue_that_has_too_many_bytes_for_a_call_is_done_in_parts(database: Database) -> None:
    with database.app() as client, database.admin() as admin:
        long = "a " * 30_000
        write(client, "long", *[turn(f"{long} n{n}", long) for n in range(1, 21)])
        refresh(client)
        made = [fill(client)["words_made"]]  # type: ignore[index]
        left = admin.execute("select from_seq, to_seq from robot_brain.search_queue").fetchall()
        assert left == [(made[0] + 1, 20)]
        # 120,000 bytes a turn, and 1,000,000 a call
        assert made == [8]
        assert found(client, "n20") == [("long", 20)]
        fill_all(client)
        assert (wrong_words(admin), queued(admin)) == ([], 0)
