"""Each word of a turn finds it, two neighbours do as a phrase, and each word excludes it, whatever the signs are."""

import random
import secrets
from collections.abc import Iterator

import psycopg
import pytest

from tests.integration.random_texts import random_text
from tests.integration.searched import NO_WORD, Searching, unicode_database, use_language
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database, Template
from tests.support.servers.postgres import Postgres

TURNS = 15


@pytest.fixture(params=["C", "C.UTF-8", "english", "russian", "PostgreSQL of the distribution"])
def searched(request: pytest.FixtureRequest) -> Iterator[Searching]:
    """A search in databases of several locales and languages."""
    if request.param == "C.UTF-8":
        server: Postgres = request.getfixturevalue("embedded_server")
        with unicode_database(server, f"test_{secrets.token_hex(6)}") as database, database.admin() as admin:
            yield Searching(admin)
        return
    kind = "tls_template" if request.param == "PostgreSQL of the distribution" else "embedded_template"
    template: Template = request.getfixturevalue(kind)
    with template.clone(kind) as database, database.admin() as admin:
        if request.param in ("english", "russian"):
            use_language(admin, f"pg_catalog.{request.param}")
        yield Searching(admin)


def quoted(text: str) -> str:
    """Return a phrase for a text."""
    return '"' + text.replace('"', " ") + '"'


def matches(searched: Searching, turn: tuple[str, str], query: str, text_of: str | None = None) -> bool | None:
    """Return whether a turn has the words of a query, None if the query has no word (english: a stop word)."""
    call = "select robot_brain.words_of('t', 's', now(), 'p', %s, %s, '{}') @@ robot_brain.search_query(%s, %s, false)"
    try:
        (found,) = searched.one(call, [*turn, query, text_of])
    except psycopg.Error as error:
        if error.sqlstate == NO_WORD:
            return None
        raise
    return bool(found)


def upper(text: str) -> str:
    """Return a text in capital letters, but for signs such as ß, whose capital letter has another small letter."""
    return "".join(sign.upper() if sign.upper().lower() == sign else sign for sign in text)


def test_each_word_and_each_pair_of_neighbours_finds_a_text_and_excludes_it(searched: Searching) -> None:
    seed = secrets.randbits(32)
    print(f"SEED={seed}")
    chance = random.Random(seed)
    asked = 0
    # Before PostgreSQL 17 a database of the locale C knows the capital letters of ASCII only.
    folds = searched.connection.info.server_version >= 170_000
    for _ in range(TURNS):
        (user, asks), (robot, answers) = random_text(chance, 12), random_text(chance, 12)
        for text_of, chunks in (("user", asks), ("robot", answers)):
            for n, chunk in enumerate(chunks):
                word, phrase = quoted(chunk), quoted(" ".join(chunks[n : n + 2]))
                for query in (word, phrase, upper(phrase) if folds else phrase):
                    assert matches(searched, (user, robot), query) is not False, (query, user, robot)
                    assert matches(searched, (user, robot), query, text_of) is not False, (query, user, robot)
                if matches(searched, (user, robot), word):
                    assert matches(searched, (user, robot), f"zzzz or {word}")
                    asked += 1
                    assert not matches(searched, (user, robot), f"{phrase} -{word}"), (word, user, robot)
        assert not matches(searched, (user, robot), "zzzz")
        assert not matches(searched, (user, ""), quoted(asks[0]), "robot")
        assert not matches(searched, ("", robot), quoted(answers[0]), "user")
    assert asked > TURNS * 20


@without_pooler
def test_no_phrase_goes_from_the_user_message_into_the_robot_response(database: Database) -> None:
    with database.admin() as admin:
        searched = Searching(admin)
        assert matches(searched, ("hot", "milk"), "hot milk")
        assert not matches(searched, ("hot", "milk"), '"hot milk"')
        assert matches(searched, ("hot", "milk"), '-"hot milk" hot')
