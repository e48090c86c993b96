"""A standby answers a search, and makes no words."""

import psycopg
import pytest

from tests.support.bundle import deployed, turn
from tests.support.search_calls import fill_all, queued, search, write, wrong_words
from tests.support.search_calls import turn as stored
from tests.support.searching import places
from tests.support.servers.standby import DATABASE, Pair, address_of


def test_a_standby_answers_a_search_of_words_and_of_queued_turns_and_writes_nothing(
    pair: Pair, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(pair.direct_app_url, autocommit=True) as app:
        write(app, "s", stored("tea filled"))
        fill_all(app)
        # So many turns that a search at the primary makes their words.
        for _ in range(2):
            write(app, "t", *[stored("tea queued")] * 100)
        pair.catch_up()
    pair.relay.turn(address_of(pair.standby))
    with deployed({"DATABASE_URL": pair.url}) as functions:
        expected = {("s", 1), *(("t", seq) for seq in range(1, 201))}
        assert set(places(functions, "tea", limit=50)) == expected
        assert set(places(functions, "tea", limit=50, order="relevance")) == expected
        assert places(functions, "filled") == [("s", 1)]
        assert functions.write("s", turn()).status == 503
    output = capsys.readouterr().out
    assert "FillsOnSearching" not in output
    assert "FillFailures" not in output
    with pair.primary.admin(DATABASE) as admin:
        assert queued(admin) == 2


def test_a_promoted_standby_goes_on_with_the_words(pair: Pair) -> None:
    with psycopg.connect(pair.direct_app_url, autocommit=True) as app:
        write(app, "s", stored("tea filled"))
        fill_all(app)
        write(app, "s", stored("tea queued"))
        pair.catch_up()
    pair.primary.process.kill()
    pair.promote()
    pair.turn()
    with deployed({"DATABASE_URL": pair.url}) as functions:
        assert functions.write("s", turn(user_message="tea after")).status == 201
        assert places(functions, "tea") == [("s", 3), ("s", 2), ("s", 1)]
        with psycopg.connect(pair.direct_app_url, autocommit=True) as app:
            fill_all(app)
            page = search(app, "queued")
            assert page.places == [("s", 2)]
        assert places(functions, "tea") == [("s", 3), ("s", 2), ("s", 1)]
        with pair.primary.admin(DATABASE) as admin:
            assert (wrong_words(admin), queued(admin)) == ([], 0)
