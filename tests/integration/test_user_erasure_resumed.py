"""An erasure of a user that no request repeats ends all the same, and its trace goes after an hour."""

import json
from collections.abc import Callable
from itertools import pairwise

import psycopg
import pytest

from ops.recount import recount
from tests.integration.audited import left_in_trail
from tests.integration.refresh_state import make_old
from tests.integration.user_rows import Connection, fill, step, stored
from tests.support.bundle import Bundle, turn
from tests.support.figures import compare, keep_history
from tests.support.servers.databases import Database

USER = "kim-4711"
NEXT = "select count(*) from robot_brain.user_erasures"
AGE = "update robot_brain.user_erasures set erased_at = erased_at - interval '61 minutes'"
CREATE = "select replayed from robot_brain_api.create_user('local', %s, '{}')"
WRITE = """
select robot_brain_api.write_message(
  'local', 's', %s, p_first_id => 'b9d1a5a4-8f0e-4f4e-9d4c-1f0e8f4e9d4c', p_repeated => %s, p_as_user => %s
)
"""


def by_refresh(bundle: Bundle, database: Database, number: int) -> None:
    """Refresh, as the schedule does."""
    bundle.refresh()


def by_reader(bundle: Bundle, database: Database, number: int) -> None:
    """Read statistics that are old, so that the reader refreshes them."""
    assert bundle.write("other", turn()).status == 201
    make_old(database)
    assert bundle.stats().status == 200


def by_session(bundle: Bundle, database: Database, number: int) -> None:
    """Erase a session of another user."""
    assert bundle.write(f"small {number}", turn()).status == 201
    assert bundle.erase(f"small {number}").status == 204


def by_removal(bundle: Bundle, database: Database, number: int) -> None:
    """Remove no turn of another session."""
    assert bundle.remove("other", 9).status == 200


def by_user(bundle: Bundle, database: Database, number: int) -> None:
    """Erase another user."""
    assert bundle.user("PUT", f"user {number}", {}).status == 201
    assert bundle.user("DELETE", f"user {number}").status == 204


def by_itself(bundle: Bundle, database: Database, number: int) -> None:
    """Take one step by the same request again, as a client does after 202."""
    with database.app() as app:
        step(app, USER)


def sessions_of_user(admin: Connection) -> int:
    """Count the sessions of the user."""
    row = admin.execute("select count(*) from robot_brain.sessions where user_id = %s", [USER]).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    "goes_on", [by_refresh, by_reader, by_session, by_removal, by_user, by_itself], ids=lambda each: each.__name__
)
def test_an_unfinished_erasure_goes_on_a_step_at_a_time(
    bundle: Bundle, database: Database, goes_on: Callable[[Bundle, Database, int], None]
) -> None:
    with database.admin() as admin, database.app() as app:
        keep_history(admin)
        assert bundle.user("PUT", USER, {"email": "kim@example.com"}).status == 201
        # Each of these takes a step, because it has more than 5,000 turns.
        fill(admin, USER, 2, 5_010)
        fill(admin, USER, 120, 0, prefix="empty ")
        assert bundle.write("other", {"messages": [turn()] * 3}).status == 201
        assert step(app, USER) == "erasing"
        left = [sessions_of_user(admin)]
        turns = [stored(admin)["messages"]]
        while left[-1] > 0:
            goes_on(bundle, database, len(left))
            left.append(sessions_of_user(admin))
            turns.append(stored(admin)["messages"])
            assert len(left) < 30
        # No step took all, and each took something.
        assert len(left) > 3
        assert all(before - 5_010 <= after <= before + 10 for before, after in pairwise(turns))
        assert bundle.user("DELETE", USER).status == 404
        assert bundle.user("PUT", USER, {"email": "kim@example.com"}).status == 201
        bundle.refresh()
        assert compare(admin, "local", refreshed=True).wrong == []
    assert [each for each in recount(database.direct_url, dry_run=True) if each] == []


def test_the_trace_of_an_erasure_has_no_id_and_goes_after_an_hour(bundle: Bundle, database: Database) -> None:
    with database.admin() as admin:
        assert bundle.user("PUT", USER, {}).status == 201
        fill(admin, USER, 2, 1)
        assert bundle.user("DELETE", USER).status == 204
        bundle.refresh()
        assert admin.execute(NEXT).fetchone() == (1,)
        assert left_in_trail(database, USER) == ["INSERT", "ERASE"]
        admin.execute(AGE)
        bundle.refresh()
        assert admin.execute(NEXT).fetchone() == (0,)


def test_the_trace_of_an_unfinished_erasure_stays_although_an_earlier_one_ended_long_ago(
    bundle: Bundle, database: Database
) -> None:
    with database.admin() as admin, database.app() as app:
        fill(admin, USER, 1, 1)
        assert bundle.user("DELETE", USER).status == 204
        admin.execute(AGE)
        fill(admin, USER, 301, 1, prefix="again ")
        assert step(app, USER) == "erasing"
        admin.execute("select robot_brain.next_erasure()")
        assert admin.execute(NEXT).fetchone() == (1,)
        assert bundle.user("PUT", USER, {}).status == 409
        assert bundle.user("DELETE", USER).status == 204
        assert left_in_trail(database, USER) == ["ERASE", "ERASE"]


@pytest.mark.parametrize("finished", [True, False], ids=["erased", "being erased"])
def test_an_attempt_to_create_a_user_that_comes_after_its_erasure_creates_nothing(
    bundle: Bundle, database: Database, finished: bool
) -> None:
    """The first attempt stood still. Its retry has made the user, who was then erased."""
    with database.admin() as admin, database.app() as app:
        assert app.execute(CREATE, [USER]).fetchone() == (False,)
        assert app.execute(CREATE, [USER]).fetchone() == (True,)
        fill(admin, USER, 301, 1)
        assert step(app, USER) == "erasing"
        if finished:
            assert bundle.user("DELETE", USER).status == 204
        with pytest.raises(psycopg.Error) as late:
            app.execute(CREATE, [USER])
        assert late.value.sqlstate == ("RB409" if finished else "RB429")
        assert bundle.user("GET", USER).status == 404
        users = admin.execute("select count(*) from robot_brain.users").fetchone()
        assert users == (0,)


def test_a_late_write_of_an_erased_person_is_refused(database: Database) -> None:
    """A retry wrote the turn, and the person was erased. Then the first attempt arrives."""
    turns = json.dumps([{**turn(), "metadata": {}}])
    with database.admin() as admin, database.app() as app:
        app.execute(WRITE, [turns, True, USER])
        assert step(app, USER) == "erased"
        for repeated in (False, True):
            with pytest.raises(psycopg.Error) as late:
                app.execute(WRITE, [turns, repeated, USER])
            assert late.value.sqlstate == "RB409"
        assert stored(admin) == {"sessions": 0, "messages": 0, "interactions": 0}
