"""GET /search at its limits: bad parameters, the longest ones, and the largest answers."""

import json
from collections.abc import Iterator

import pytest

from robot_brain.limits import MAX_ANSWER_BYTES, MAX_CURSOR_LENGTH, MAX_FILTER_LENGTH, MAX_HITS, MAX_QUERY_LENGTH
from tests.integration.answered_search import SEARCH
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem, other
from tests.support.bundle import Bundle, deployed, turn
from tests.support.searching import CUT_SHORT, hits, make_words, whole
from tests.support.servers.databases import Database, Template


@pytest.fixture(scope="module")
def empty(embedded_template: Template) -> Iterator[Bundle]:
    """The functions on a database without a turn."""
    with (
        embedded_template.clone("embedded") as database,
        deployed({"DATABASE_URL": database.app_url}) as functions,
    ):
        yield functions


@pytest.mark.parametrize(
    ("query", "loc", "kind"),
    [
        ("", "q", "missing"),
        ("q=", "q", "text"),
        ("q=" + "x" * (MAX_QUERY_LENGTH + 1), "q", "text"),
        ("q=a%00", "q", "text"),
        ("q=a\ud83d", "q", "text"),
        ("q=%20%20", "q", "no_word"),
        ("q=()", "q", "no_word"),
        ("q=%26%26%26", "q", "no_word"),
        ("q=-mocha", "q", "no_word"),
        ("q=-mocha+-%22dirty+cup%22", "q", "no_word"),
        ("q=mocha+or+-milk", "q", "no_word"),
        ("q=-moc&prefix=true", "q", "no_word"),
        ("q=a&session_id=", "session_id", "session_id_length"),
        ("q=a&session_id=a%2Fb", "session_id", "session_id_characters"),
        ("q=a&user_id=", "user_id", "user_id"),
        ("q=a&personality=" + "x" * 51, "personality", "text"),
        ("q=a&personality=%00", "personality", "text"),
        ("q=a&metadata=", "metadata", "json_object"),
        ("q=a&metadata={}", "metadata", "json_object"),
        ("q=a&metadata=[1]", "metadata", "json_object"),
        ("q=a&metadata={%22a%22:NaN}", "metadata", "json_object"),
        ("q=a&metadata={%22a%22:1e999}", "metadata", "json_object"),
        ("q=a&metadata={%22a%22:1e-999}", "metadata", "json_object"),
        ("q=a&metadata={%22a%22:%22%5Cu0000%22}", "metadata", "json_object"),
        ("q=a&metadata={%22%5Cud83d%22:1}", "metadata", "json_object"),
        ('q=a&metadata={"\ud83d":1}', "metadata", "json_object"),
        ("q=a&metadata={%22a%22:" + "[" * 65 + "]" * 65 + "}", "metadata", "json_object"),
        ("q=a&metadata=" + "[" * MAX_FILTER_LENGTH, "metadata", "json_object"),
        ("q=a&metadata={%22a%22:%22" + "x" * MAX_FILTER_LENGTH + "%22}", "metadata", "json_object"),
        ("q=a&metadata={%22a%22:[]}", "metadata", "scalars"),
        ("q=a&metadata={%22a%22:1,%22b%22:{}}", "metadata", "scalars"),
        ("q=a&from=2026-11-28T12:00:00", "from", "time"),
        ("q=a&to=infinity", "to", "time"),
        ("q=a&in=", "in", "choice"),
        ("q=a&in=User", "in", "choice"),
        ("q=a&order=oldest", "order", "choice"),
        ("q=a&prefix=1", "prefix", "flag"),
        ("q=a&limit=0", "limit", "whole_number"),
        (f"q=a&limit={MAX_HITS + 1}", "limit", "whole_number"),
        ("q=a&cursor=", "cursor", "cursor"),
        ("q=a&tenant_id=b", "tenant_id", "unknown_parameter"),
    ],
)
def test_a_bad_parameter_of_the_search_is_422(empty: Bundle, query: str, loc: str, kind: str) -> None:
    reply = other("search", query)(empty)
    assert_problem(reply, 422, empty.context.aws_request_id)
    assert_documented(SEARCH, reply)
    assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", loc], kind)]


def test_sql_bounds_the_page_and_the_query_as_http_does(embedded_database: Database) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions, embedded_database.app() as app:
        assert functions.write("s", {"messages": [turn(user_message="kumquat")] * (MAX_HITS + 1)}).status == 201
        make_words(embedded_database)

        def found(query: str, limit: int) -> int:
            body = CUT_SHORT
            while CUT_SHORT in body:
                row = app.execute("select body from robot_brain_api.search('local', %s, %s)", [query, limit]).fetchone()
                assert row is not None
                body = row[0]
            return len(json.loads(body)["hits"])

        for limit, count in ((10**6, MAX_HITS), (0, 1), (-1, 1)):
            assert found("kumquat", limit) == count
        longest = "kumquat" + " " * (MAX_QUERY_LENGTH - 7)
        assert (found(longest + "x", 1), found(longest[:-1] + "x", 1)) == (1, 0)
        # Of a longer query only the beginning is read, so it costs no more.
        assert found(longest + '"a_' * 300_000, 1) == 1


def test_parameters_of_the_most_characters_are_searched(empty: Bundle) -> None:
    longest = '{"a":"' + "\U0001f916" * (MAX_FILTER_LENGTH - 8) + '"}'
    assert len(longest) == MAX_FILTER_LENGTH
    for query in (
        {"q": "x" * MAX_QUERY_LENGTH},
        {"q": "x " * (MAX_QUERY_LENGTH // 2)},
        {"q": "天" * MAX_QUERY_LENGTH},
        {"q": "x", "session_id": "\U0001f916" * 100, "user_id": "\U0001f916" * 255, "personality": "\U0001f916" * 50},
        {"q": "x", "metadata": longest},
    ):
        assert whole(lambda query=query: empty.search(**query)).json["hits"] == []  # type: ignore[misc]


@pytest.mark.parametrize("order", ["newest", "relevance"])
def test_the_cursor_of_the_longest_session_ids_is_accepted(embedded_database: Database, order: str) -> None:
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        for number in range(3):
            session = f"{number}" + '"' * 10 + "\U0001f916" * 89
            assert functions.write(session, turn(user_message="kumquat")).status == 201
        assert functions.write("\U0001f916" * 100, turn(user_message="kumquat")).status == 201
        cursor = whole(lambda: functions.search("kumquat", order=order, limit=1)).json["page"]["cursor"]
        assert len(cursor) <= MAX_CURSOR_LENGTH
        assert len(hits(functions, "kumquat", order=order, limit=1)) == 4


def test_a_page_of_the_largest_snippets_fits_into_an_answer(embedded_database: Database) -> None:
    # PostgreSQL and Lambda escape this character to seven bytes, the most of all characters. A headline leaves out
    # a gap of over 2,046 bytes.
    said = "kumquat" + ("\x1f" * 2_000 + "a") * 8 + "kumquat"
    body = {"messages": [turn(user_message=said, robot_personality="\x1f" * 50)] * 10}
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        for number in range(MAX_HITS // 10):
            assert functions.write(f"{number}" + "\U0001f916" * 99, body).status == 201
        make_words(embedded_database)
        reply = whole(lambda: functions.search("kumquat", limit=MAX_HITS, order="relevance", **{"in": "user"}))
    assert len(reply.json["hits"]) == MAX_HITS
    assert len(reply.json["hits"][0]["snippet"]) > 4_000
    answer = {"statusCode": 200, "headers": dict(reply.headers), "body": reply.body}
    assert len(json.dumps(answer, ensure_ascii=False).encode()) < MAX_ANSWER_BYTES
