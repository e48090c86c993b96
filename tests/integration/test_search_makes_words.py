"""A search that finds many turns without their words makes some after it has its answer, and answers all the same."""

import psycopg
import pytest

from tests.integration.answered_search import SEARCH
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem
from tests.integration.test_refresh import emitted
from tests.support.bundle import Bundle, deployed, turn
from tests.support.log_lines import logged
from tests.support.searching import hits, whole
from tests.support.servers.databases import APP, Database

# The most turns that wait without making a search slower.
QUEUED = 100
COUNTS = """
select (select count(*) from robot_brain.turn_words),
  (select count(*) from robot_brain.search_queue) + (select count(*) from robot_brain.uncounted)
"""


def counts(database: Database) -> tuple[int, int]:
    """Return the number of turns that have words, and of rows whose turns wait for them."""
    with database.admin() as admin:
        row = admin.execute(COUNTS).fetchone()
    assert row is not None
    return row[0], row[1]


def fill(bundle: Bundle, turns: int = QUEUED + 1) -> None:
    """Write turns, a hundred at a time."""
    while turns > 0:
        assert bundle.write("s", {"messages": [turn(user_message="kumquat")] * min(turns, 100)}).status == 201
        turns -= 100


def test_a_search_makes_the_words_of_many_waiting_turns_and_of_few_it_makes_none(
    bundle: Bundle, database: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    fill(bundle, QUEUED)
    assert bundle.search("kumquat").status == 200
    assert counts(database) == (0, 1)
    fill(bundle, 1)
    capfd.readouterr()
    assert len(whole(lambda: bundle.search("kumquat", limit=50)).json["hits"]) == 50
    assert counts(database) == (QUEUED + 1, 0)
    lines, _ = emitted(capfd)
    assert next(line for line in lines if line["message"] == "answered")["FillsOnSearching"] == [1.0]
    # The same turns are found, each once.
    assert [hit["seq"] for hit in hits(bundle, "kumquat")] == list(range(QUEUED + 1, 0, -1))


def test_a_search_makes_words_for_every_tenant(embedded_database: Database) -> None:
    for tenant in ("red", "blue"):
        with deployed({"DATABASE_URL": embedded_database.app_url, "TENANT_ID": tenant}) as bundle:
            fill(bundle)
    with deployed({"DATABASE_URL": embedded_database.app_url, "TENANT_ID": "blue"}) as bundle:
        assert bundle.search("kumquat").status == 200
    assert counts(embedded_database) == (2 * (QUEUED + 1), 0)


def test_a_search_does_not_wait_for_another_call_that_makes_words(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle, embedded_database.admin() as other:
        fill(bundle)
        with other.transaction(), logged() as lines:
            other.execute("lock table robot_brain.word_filling in share row exclusive mode")
            assert bundle.search("kumquat").status == 200
            assert counts(embedded_database)[0] == 0
        # The other call was not a failure.
        assert [line["level"] for line in lines()] == ["INFO"]


@pytest.mark.parametrize("fault", ["it raises", "it takes too long"])
def test_words_that_cannot_be_made_cost_the_searcher_nothing(
    bundle: Bundle, database: Database, capfd: pytest.CaptureFixture[str], fault: str
) -> None:
    fill(bundle)
    bundle.context.milliseconds = 4_000
    with database.admin() as admin, database.admin() as busy:
        capfd.readouterr()
        if fault == "it raises":
            admin.execute("alter function robot_brain.fill_words rename to gone")
            reply = whole(lambda: bundle.search("kumquat"))
            admin.execute("alter function robot_brain.gone rename to fill_words")
        else:
            with busy.transaction():
                busy.execute("lock table robot_brain.turn_words in share row exclusive mode")
                reply = whole(lambda: bundle.search("kumquat"))
        logs, metrics = emitted(capfd)
    assert len(reply.json["hits"]) == 20
    assert [line["level"] for line in logs[:2]] == ["WARNING", "INFO"]
    assert logs[0]["error"] == ("SchemaOutdatedError" if fault == "it raises" else "DeadlineExceededError")
    assert metrics["FillFailures"] == [1.0]
    assert bundle.search("kumquat").status == 200
    assert counts(database)[0] == QUEUED + 1


def test_a_read_only_server_answers_searches_and_makes_no_words(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
        fill(bundle)
    with embedded_database.admin() as admin:
        admin.execute(
            f"alter role {APP} in database {embedded_database.name} set default_transaction_read_only = on".encode()
        )
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle, logged() as lines:
        assert len(whole(lambda: bundle.search("kumquat")).json["hits"]) == 20
    assert counts(embedded_database)[0] == 0
    assert {line["level"] for line in lines()} == {"INFO"}


def switch_off(admin: psycopg.Connection) -> None:
    """Switch the search off, as a migration does."""
    admin.execute("update robot_brain.search_state set language = null")
    admin.execute(
        "create or replace function robot_brain.search_language() returns regconfig language sql immutable"
        " parallel safe return null::regconfig"
    )


def test_a_search_that_is_off_answers_501_with_what_to_do_and_turns_are_still_written(
    embedded_database: Database,
) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
        assert bundle.write("s", turn()).status == 201
        with embedded_database.admin() as admin:
            switch_off(admin)
        with logged() as lines:
            for query in ({}, {"user_id": "ann"}, {"order": "relevance"}):
                reply = bundle.search("answer", **query)
                assert_problem(reply, 501, bundle.context.aws_request_id)
                assert_documented(SEARCH, reply)
                assert reply.json["title"] == "Search off"
                assert "make migrate SEARCH=on" in reply.json["detail"]
        assert [(line["error"], line["status"]) for line in lines()] == [("SearchOffError", 501)] * 3
        assert all("make migrate SEARCH=on" in line["reason"] for line in lines())
        assert bundle.search("", limit=1).status == 422
        assert bundle.write("s", turn(2)).status == 201
        assert bundle.replace("s", 1, {"user_message": "a", "robot_response": "b"}).status == 200
        assert bundle.erase("s").status == 204
