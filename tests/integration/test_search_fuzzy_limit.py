"""gin_fuzzy_search_limit lets a GIN index leave out matches at random. A search has all of them, whatever it is.

Each login may set it, and a pooler keeps it for the next client.
"""

import json

from tests.support.bundle import deployed, turn
from tests.support.searching import make_words
from tests.support.servers.databases import Database

TURNS = 2_000
# The first day of a month is searched with many days beside it. A query of few days has rare words, the days, and the
# limit is only for queries of which each word is frequent.
TO_THE_FIRST = """
update robot_brain.conversations
set created_at = date_trunc('month', created_at, 'UTC') + seq * interval '1 millisecond';
update robot_brain.sessions set created_at = date_trunc('month', created_at, 'UTC')
"""


def test_a_search_finds_each_turn_whatever_limit_another_client_has_set(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        body = {"messages": [turn(user_message="kumquat")] * 100}
        assert {functions.write("s", body).status for _ in range(TURNS // 100)} == {201}
    with embedded_database.admin() as admin, embedded_database.app() as app:
        admin.execute(TO_THE_FIRST)
        make_words(embedded_database)
        # Now the planner takes the index of the words, and not the primary key.
        admin.execute("vacuum analyze robot_brain.turn_words")
        app.execute("set gin_fuzzy_search_limit = 1")
        found: list[int] = []
        cursor: str | None = ""
        while cursor is not None:
            row = app.execute(
                "select body from robot_brain_api.search('local', 'kumquat', 50, nullif(%s, ''), p_session_id => 's')",
                [cursor],
            ).fetchone()
            assert row is not None
            page = json.loads(row[0])
            found += [hit["seq"] for hit in page["hits"]]
            cursor = page["page"]["cursor"]
    assert found == list(range(TURNS, 0, -1))
