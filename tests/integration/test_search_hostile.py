"""GET /search answers each query with 200 or 422, whatever its signs are, and each forged cursor with 422 or a page."""

import itertools
import json
import os
import random
import secrets
from collections import Counter
from collections.abc import Iterator

import pytest

from robot_brain.limits import MAX_QUERY_LENGTH
from tests.integration.answered_search import SEARCH
from tests.integration.documented_answers import assert_documented
from tests.integration.edge import assert_problem
from tests.support.bundle import Bundle, deployed, turn
from tests.support.searching import hits, make_words, whole
from tests.support.servers.databases import Database

QUERIES = 400
SEED = os.environ.get("SEARCH_SEED") or secrets.token_hex(4)
# What has a meaning for websearch_to_tsquery, tsquery's text form, regular expressions or the parser of words.
SIGNS = (
    *"\"'-()\\:&|!<>*_/@#$%^~`+=?,.;[]{} \t\n\r\x01\x02\x03\x04\x05\x06\x1f\x7f\x85\xa0\xad",
    *("or", "OR", "and", "not", "a", "mocha", "1e9", "-1.5", "<->", "<2>", ":*", ":A", "a@b.c", "/x/y", "http://a/b?c"),
    *("\u200b", "\u200f", "\u202e", "\u2028", "\ufeff", "\ufffe", "\U0010ffff", "\ue000", "e\u0301", "\u0345"),
    *(
        "\U0001f916",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467",
        "今天天气",
        "กาแฟ",
        "سلام",
        "שלום",
        "İ",
        "ß",
        "ﬁ",
        "Ⅷ",
    ),
    *("<a>", "<!--", "</mark>", "&amp;", "\\x01", "\\'", "''", '""', "--", '-"', '"-', "-(", "$$", "E'", "\\\\"),
)
PARAMETERS: dict[str, list[str]] = {
    "in": ["user", "robot"],
    "order": ["newest", "relevance"],
    "prefix": ["true", "false"],
    "session_id": ["demo", "'", "\U0001f916" * 100],
    "user_id": ["ann", "'", "x" * 255],
    "personality": ["barista", "\\'", "\x01local", "\U0001f916" * 50],
    "metadata": ['{"mood":"good"}', '{"":null}', '{"a":1e308,"b":-0.0}', '{"\\u0001":"\\u0006"}', '{"x":true}'],
    "from": ["0001-01-01", "2026-11-28", "9999-12-31T23:59:59.999999Z"],
    "to": ["0001-01-01", "2026-11-28T12:00:00-23:59", "9999-12-31T23:59:59.999999Z"],
    "limit": ["1", "50"],
}
# What stands in a forged cursor in place of a number or a text.
VALUES: list[object] = [
    *(-1, 0, -(2**63), 2**63 - 1, 2**63, 10**30, 1e300, -1e300, 0.5, 1e-300, True, None),
    *("", "x", "9" * 19, "-1", "1.5", " 1", "1\n", "NaN", "Infinity", "-Infinity", "\x01", "\0", "\ud83d", [], {}, [1]),
]
ODD = ["", "0", "zz", "é", "ff", "5b" * 500, "%", "5b5d", "22", "6e756c6c", "5b" * 1250, "a" * 2501]


def hostile(chance: random.Random) -> str:
    """Return a query of 1 to the most signs, from a small choice of signs so that they repeat."""
    choice = chance.sample(SIGNS, chance.randint(1, 8))
    length = chance.choice([1, 2, 3, 5, 8, 13, 34, 144, MAX_QUERY_LENGTH])
    text = "".join(chance.choice(choice) for _ in range(length))
    return text[:length]


@pytest.fixture
def filled(embedded_database: Database) -> Iterator[Bundle]:
    """The functions on a database whose turns have such texts, too."""
    chance = random.Random(f"texts {SEED}")
    with deployed({"DATABASE_URL": embedded_database.app_url}) as functions:
        for number in range(60):
            texts = {"user_message": f"mocha {hostile(chance)} a b", "robot_response": hostile(chance)}
            assert functions.write(f"s{number % 3}", turn(number, **texts)).status == 201
        yield functions


def test_a_query_of_any_signs_is_200_or_422(filled: Bundle, embedded_database: Database) -> None:
    print(f"SEARCH_SEED={SEED}")
    chance = random.Random(f"queries {SEED}")
    seen: Counter[int] = Counter()
    for number in range(QUERIES):
        if number == QUERIES // 2:
            make_words(embedded_database)
        text = hostile(chance)
        query = {name: chance.choice(PARAMETERS[name]) for name in chance.sample(sorted(PARAMETERS), number % 4)}
        reply = filled.search(text, **query)
        seen[reply.status] += 1
        assert reply.status in (200, 422), (text, query, reply.body)
        assert_documented(SEARCH, reply)
        if reply.status == 422:
            assert_problem(reply, 422, filled.context.aws_request_id)
            assert [(error["loc"], error["type"]) for error in reply.json["errors"]] == [(["query", "q"], "no_word")]
    assert set(seen) == {200, 422}


@pytest.mark.parametrize("name", ["from", "to"])
@pytest.mark.parametrize("order", ["newest", "relevance"])
@pytest.mark.parametrize(
    "time",
    ["0001-01-01", "0001-01-01T00:00:00-23:59", "9999-12-31T23:59:59.999999Z", "2026-11-28T12:00:00+23:59"],
)
def test_a_time_at_a_limit_of_rfc_3339_is_searched(filled: Bundle, name: str, order: str, time: str) -> None:
    found = hits(filled, "mocha", order=order, limit=50, **{name: time})
    assert len(found) in (0, 60)


def forged(*parts: object) -> str:
    """Return a cursor of these parts, as make_search_cursor writes them."""
    return json.dumps(parts, ensure_ascii=False).encode(errors="surrogatepass").hex()


@pytest.mark.parametrize("order", ["newest", "relevance"])
def test_a_forged_cursor_is_422_or_a_place_in_the_search_and_never_500(filled: Bundle, order: str) -> None:
    made = whole(lambda: filled.search("mocha", order=order, limit=1)).json["page"]["cursor"]
    place, searched = json.loads(bytes.fromhex(made))
    assert (len(place) > 3) == (order == "relevance")
    wrong = [*ODD, *(forged(place, each) for each in (None, "", "x", searched + "x", 1))]
    for number, value in itertools.product(range(len(place)), VALUES):
        wrong.append(forged([value if at == number else each for at, each in enumerate(place)], searched))
    wrong += [forged(place[:length], searched) for length in range(len(place))]
    wrong += [forged([*place, 1], searched), forged(searched, place), forged({"0": place}, searched)]
    seen: Counter[int] = Counter()
    for cursor in wrong:
        reply = filled.search("mocha", order=order, limit=1, cursor=cursor)
        seen[reply.status] += 1
        assert reply.status in (200, 422), (cursor, reply.body)
        assert_documented(SEARCH, reply)
        if reply.status == 422:
            assert [(each["loc"], each["type"]) for each in reply.json["errors"]] == [(["query", "cursor"], "cursor")]
    assert seen[422] > 50
