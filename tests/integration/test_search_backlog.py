"""A search says honestly that some turns have no words yet: after an upgrade, and after a restore of some tables."""

from collections.abc import Iterator

import pytest

from tests.integration.months import drop_month, move_to
from tests.support.marks import without_pooler
from tests.support.search_calls import (
    Connection,
    Found,
    Place,
    fill,
    fill_all,
    found,
    queued,
    search,
    turn,
    walk,
    write,
    wrong_words,
)
from tests.support.servers.databases import Database

pytestmark = without_pooler
ORDERS = ("newest", "relevance")


@pytest.fixture
def app(database: Database) -> Iterator[Connection]:
    """A connection of the functions. Three sessions have the word `tea`, one of them three months ago."""
    with database.app() as connection:
        for session in ("old", "s", "t"):
            write(connection, session, turn("tea"), turn("milk tea"), turn("milk"))
        move_to(database, "old", "now() - interval '3 months'")
        fill_all(connection)
        yield connection


@pytest.fixture
def admin(database: Database, app: Connection) -> Iterator[Connection]:
    """A superuser's connection. Nothing has words, as after an upgrade."""
    with database.admin() as connection:
        connection.execute("truncate robot_brain.turn_words, robot_brain.search_queue")
        fill_again(connection)
        yield connection


def fill_again(admin: Connection) -> None:
    """Let all words be made again."""
    admin.execute(
        "update robot_brain.search_state"
        " set filled_from = 'infinity', place_tenant = null, place_session = null, place_seq = null"
    )


def every_tea() -> set[Place]:
    return {(session, seq) for session in ("old", "s", "t") for seq in (1, 2)}


@pytest.mark.parametrize("order", ORDERS)
def test_a_walk_ends_where_turns_have_no_words_yet_and_says_so(app: Connection, admin: Connection, order: str) -> None:
    assert search(app, "tea", order=order) == Found([], None, False)
    seen: set[Place] = set()
    while fill(app) != {"words_made": 0, "has_more": False}:
        pages = list(walk(app, "tea", order=order, limit=1))
        places = [place for page in pages for place in page.places]
        assert len(places) == len(set(places))
        assert seen <= set(places)
        seen = set(places)
        assert pages[-1].cursor is None
        assert seen == every_tea() or not pages[-1].complete
    assert set(found(app, "tea", order=order)) == every_tea()
    assert list(walk(app, "tea", order=order))[-1].complete
    assert (wrong_words(admin), queued(admin)) == ([], 0)


@pytest.mark.parametrize("order", ORDERS)
def test_a_search_that_can_match_no_session_answers_while_words_lack(
    app: Connection, admin: Connection, order: str
) -> None:
    page = search(app, "tea", user_id="unknown", order=order)
    assert page.hits == []
    fill_all(app)
    places = [place for page in walk(app, "tea", page.cursor, user_id="unknown", order=order) for place in page.places]
    assert places == []


@pytest.mark.parametrize("order", ORDERS)
def test_a_search_without_its_state_says_that_it_is_not_complete(
    app: Connection, admin: Connection, order: str
) -> None:
    """A restore of some tables may leave out search_state."""
    fill_all(app)
    admin.execute("create table public.kept as table robot_brain.search_state")
    admin.execute("delete from robot_brain.search_state")
    page = search(app, "tea", order=order)
    assert (page.complete, page.cursor) == (False, None)
    assert fill(app) == {"words_made": 0, "has_more": False}
    admin.execute("insert into robot_brain.search_state table public.kept")
    assert set(found(app, "tea", order=order)) == every_tea()


@pytest.mark.parametrize(
    "lost", ["drop table robot_brain.{}", "alter table robot_brain.turn_words detach partition robot_brain.{}"]
)
def test_words_of_a_lost_month_are_made_again(
    database: Database, app: Connection, admin: Connection, lost: str
) -> None:
    fill_all(app)
    row = admin.execute(
        "select to_char((now() - interval '3 months') at time zone 'UTC', '\"turn_words_\"YYYY_MM')"
    ).fetchone()
    assert row is not None
    admin.execute(lost.format(row[0]).encode())
    assert set(found(app, "tea")) == every_tea() - {("old", 1), ("old", 2)}
    admin.execute(f"drop table if exists robot_brain.{row[0]}".encode())
    fill_again(admin)
    fill_all(app)
    assert set(found(app, "tea")) == every_tea()
    assert wrong_words(admin) == []


def test_turns_of_default_get_the_words_of_their_month(database: Database, app: Connection, admin: Connection) -> None:
    drop_month(database, 2)
    move_to(database, "s", "date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' + interval '2 months'")
    move_to(database, "t", "date_trunc('month', now() at time zone 'UTC') at time zone 'UTC' - interval '1 us'")
    fill_all(app)
    assert found(app, "tea") == [("s", 2), ("s", 1), ("t", 2), ("t", 1), ("old", 2), ("old", 1)]
    assert (wrong_words(admin), queued(admin)) == ([], 0)
