"""An erasure of a user that meets sessions which other transactions have locked."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from tests.integration.held_locks import wait_for_waiter
from tests.integration.user_rows import TURNS, Connection, fill, finish, step, stored
from tests.support.bundle import Bundle, deployed, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import APP, Database

USER = "kim"
LOCK = "select from robot_brain.sessions where id = %s for update"
MARKED = "select count(*) from robot_brain.sessions where erasing_at is not null"
BEGUN = "select count(*) from robot_brain.user_erasures"
COUNT = "select count(*) from robot_brain.sessions"
IDS = "select string_agg(id, ' ' order by id) from robot_brain.sessions"


def one(connection: Connection, question: str) -> object:
    """Return the value of a query of one value."""
    row = connection.execute(question.encode()).fetchone()
    assert row is not None
    return row[0]


@without_pooler
def test_the_first_step_waits_for_a_write_and_erases_what_it_wrote(database: Database) -> None:
    with database.admin() as admin, closing(database.app()) as eraser, database.app() as writer:
        fill(admin, USER, 3, 1)
        with ThreadPoolExecutor(1) as thread:
            with writer.transaction():
                writer.execute("select robot_brain_api.write_message('local', 'kim2', %s)", [TURNS])
                erasing = thread.submit(step, eraser, USER)
                wait_for_waiter(writer)
            assert erasing.result() == "erased"
        assert stored(admin) == {"sessions": 0, "messages": 0, "interactions": 0}


@without_pooler
def test_a_first_step_that_waited_too_long_is_409_and_changed_nothing(database: Database) -> None:
    with database.admin() as admin:
        fill(admin, USER, 300, 1)
        admin.execute(f"alter role {APP} in database {database.name} set lock_timeout = '100ms'")
        with deployed({"DATABASE_URL": database.app_url}) as bundle:
            assert bundle.user("PUT", USER, {"email": "kim@example.com"}).status == 201
            before = stored(admin)
            with admin.transaction():
                admin.execute(LOCK, ["kim200"])
                refused = bundle.user("DELETE", USER)
            assert (refused.status, "retry-after" in refused.headers) == (409, True)
            assert (one(admin, MARKED), one(admin, BEGUN), stored(admin)) == (0, 0, before)
            assert bundle.user("GET", USER).json["email"] == "kim@example.com"
            assert bundle.read("kim200").status == 200
            assert bundle.user("DELETE", USER).status == 204


@without_pooler
def test_a_later_step_waits_for_the_last_session_and_does_not_return_at_once(database: Database) -> None:
    """Otherwise a request would call step after step without a pause, until the other transaction ends."""
    with database.admin() as admin, closing(database.app()) as eraser, closing(database.admin()) as holder:
        fill(admin, USER, 150, 1)
        assert step(eraser, USER) == "erasing"
        with ThreadPoolExecutor(1) as thread:
            with holder.transaction():
                holder.execute(LOCK, ["kim7"])
                while one(admin, COUNT) != 1:
                    assert step(eraser, USER, continues=True) == "erasing"
                last = thread.submit(step, eraser, USER, continues=True)
                wait_for_waiter(holder)
            assert last.result() == "erased"


def test_a_refresh_and_another_removal_skip_a_session_that_is_locked(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin, database.app() as app, closing(database.admin()) as holder:
        fill(admin, USER, 150, 1)
        assert bundle.write("other", turn()).status == 201
        assert step(app, USER) == "erasing"
        with holder.transaction():
            holder.execute(LOCK, ["kim7"])
            # A step ends after a time, so on a busy machine it takes fewer sessions, but always one of the unlocked.
            left = int(str(one(admin, COUNT)))
            while left > 2:
                bundle.refresh()
                before, left = left, int(str(one(admin, COUNT)))
                assert left < before
            # Each of these steps finds only the locked one.
            for _ in range(3):
                bundle.refresh()
                assert bundle.remove("other", 9).status == 200
            assert one(admin, IDS) == "kim7 other"
        assert bundle.remove("other", 9).status == 200
        assert one(admin, IDS) == "other"


@without_pooler
@pytest.mark.parametrize("gives", ["own write", "patch"])
def test_a_first_step_waits_until_a_new_session_of_the_person_is_committed(database: Database, gives: str) -> None:
    ask, values = {
        "own write": (
            "select robot_brain_api.write_message('local', 'new', %s, p_as_user => %s)",
            [TURNS, USER],
        ),
        "patch": ("select robot_brain_api.patch_session('local', 'new', null, %s, true)", [USER]),
    }[gives]
    with database.admin() as admin, closing(database.app()) as eraser, database.app() as writer:
        fill(admin, USER, 2, 1)
        with ThreadPoolExecutor(1) as thread:
            with writer.transaction():
                writer.execute(ask.encode(), values)
                erasing = thread.submit(step, eraser, USER)
                wait_for_waiter(writer)
            assert erasing.result() == "erased"
        assert stored(admin) == {"sessions": 0, "messages": 0, "interactions": 0}


@without_pooler
def test_a_session_that_another_user_gets_while_the_first_step_waits_for_it_stays(database: Database) -> None:
    with database.admin() as admin, closing(database.app()) as eraser, database.app() as patcher:
        fill(admin, USER, 3, 1)
        with ThreadPoolExecutor(1) as thread:
            with patcher.transaction():
                patcher.execute("select robot_brain_api.patch_session('local', 'kim2', null, 'lee', true)")
                erasing = thread.submit(step, eraser, USER)
                wait_for_waiter(patcher)
            if erasing.result() != "erased":
                finish(eraser, USER)
        assert one(admin, "select string_agg(id || ' of ' || user_id, ', ') from robot_brain.sessions") == "kim2 of lee"
        assert stored(admin) == {"sessions": 1, "messages": 1, "interactions": 1}
