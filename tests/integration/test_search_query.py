"""What a person types becomes a query of the words that the turns have."""

import psycopg
import pytest

from tests.integration.searched import NO_WORD, use_language
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler

QUERIES = [
    ("coffee", "'coffee'"),
    ("Coffee MILK", "'coffee' & 'milk'"),
    ('"hot milk" tea', "'hot' <-> 'milk' & 'tea'"),
    ("coffee -milk", "'coffee' & !'milk'"),
    ('coffee -"hot milk"', "'coffee' & !( 'hot' <-> 'milk' )"),
    ("coffee - milk", "'coffee' & 'milk'"),
    ("--verbose -v x", "'verbose' & !'v' & 'x'"),
    ("a b or c d", "'a' & 'b' | 'c' & 'd'"),
    ("a OR b Or c", "'a' | 'b' | 'c'"),
    ("or a", "'or' & 'a'"),
    ("a or", "'a' & 'or'"),
    ("a or or b", "'a' | 'or' & 'b'"),
    ("a or !!! b", "'a' | 'b'"),
    ('a "or" b', "'a' & 'or' & 'b'"),
    ('the "end', "'the' & 'end'"),
    ('5" disk', "'5' & 'disk'"),
    ('say"hot milk"now', "'say' & 'hot' <-> 'milk' & 'now'"),
    ("state-of-the-art", "'state' <-> 'of' <-> 'the' <-> 'art'"),
    ("snake_case", "'snake' <-> 'case'"),
    ("/usr/lib/x.so", "'usr' <-> 'lib' <-> 'x' <-> 'so'"),
    ("bob@example.com", "'bob' <-> 'example' <-> 'com'"),
    ("https://a.b/c?d=e#f", "'https' <-> 'a' <-> 'b' <-> 'c' <-> 'd' <-> 'e' <-> 'f'"),
    ("1.2.3 v1.2", "'1' <-> '2' <-> '3' & 'v1' <-> '2'"),
    ("C++ c# .NET", "'c' & 'net'"),
    ("+5 1,5 1e5", "'5' & '1' <-> '5' & '1e5'"),
    ("don't", "'don' <-> 't'"),
    ("AT&T; &lt;", "'at' <-> 't' & 'lt'"),
    ("<b>bold</b>", "'b' <-> 'bold' <-> 'b'"),
    ("b a b -a -a or b b", "'b' & 'a' & !'a' | 'b'"),
    ("a & b | !c", "'a' & 'b' & 'c'"),
    ("x' y\\ 'z':*A", "'x' & 'y' & 'z' <-> 'a'"),
    ("“coffee”—tea…", "'coffee' <-> 'tea'"),
    ("great😀", "'great'"),
    ("東京 タ", "'東' <-> '京' & 'タ'"),
    ("東京abc", "'東' <-> '京' <-> 'abc'"),
    ("ภาษา", "'ภ' <-> 'า' <-> 'ษ' <-> 'า'"),
    ("안녕 السلام", "'안녕' & 'السلام'"),
    ("cafe\u0301", "'café'"),
    ("\u1112\u1161\u11ab", "'한'"),
    ("\x01local\x02s \x05", "'local' <-> 's'"),
]

WITHOUT_WORD = [
    *("", " ", "()", "&&&", "!!!", '""', '"', "-", "-coffee", '-"hot milk"', "-a -b", "a or -b", "-a or b", "<>", "😀"),
    *("…", "".join(map(chr, range(1, 32))), "-" * 1000, '"' * 1000, ":*", "\\"),
]
# Parts of queries of 1,000 signs.
PARTS = ['"a" or ', "a-", "-a b ", '-"a b" c ', "中", "a or ", "é ", "x_y@z.w "]


def asked(admin: psycopg.Connection, text: str, text_of: str | None = None, prefix: bool = False) -> str:
    """Return the query for `text`."""
    row = admin.execute("select robot_brain.search_query(%s, %s, %s)::text", [text, text_of, prefix]).fetchone()
    assert row is not None
    return str(row[0])


def test_words_phrases_negations_and_alternatives_are_understood(database: Database) -> None:
    with database.admin() as admin:
        assert [asked(admin, text) for text, _ in QUERIES] == [query for _, query in QUERIES]


def test_a_query_of_nothing_or_of_negations_alone_is_refused(database: Database) -> None:
    with database.admin() as admin:
        for text in WITHOUT_WORD:
            for prefix in (False, True):
                with pytest.raises(psycopg.Error) as refused:
                    asked(admin, text, prefix=prefix)
                assert refused.value.sqlstate == NO_WORD


PREFIXES = [
    ("hot cof", "'hot' & 'cof':*"),
    ("snake_ca", "'snake' <-> 'ca':*"),
    ("1.2", "'1' <-> '2':*"),
    ("東京", "'東' <-> '京':*"),
    ("hot cof ", "'hot' & 'cof'"),
    ('"hot cof', "'hot' <-> 'cof'"),
    ('"hot cof"', "'hot' <-> 'cof'"),
    ("hot -cof", "'hot' & !'cof'"),
    ("tea or", "'tea' & 'or':*"),
]


def test_a_prefix_is_the_last_word_that_is_not_quoted_or_excluded(database: Database) -> None:
    with database.admin() as admin:
        assert [asked(admin, text, prefix=True) for text, _ in PREFIXES] == [query for _, query in PREFIXES]


def test_a_query_for_one_of_the_texts_gives_each_word_its_weight(database: Database) -> None:
    with database.admin() as admin:
        assert asked(admin, "a -b or c d", "user", True) == "'a':A & !'b':A | 'c':A & 'd':*A"
        assert asked(admin, '"x\'y" or z', "robot") == "'x':D <-> 'y':D | 'z':D"


def test_a_query_of_1000_signs_is_read(database: Database) -> None:
    with database.admin() as admin:
        for part in PARTS:
            text = (part * 1000)[:1000]
            for prefix in (False, True):
                assert len(asked(admin, text, prefix=prefix)) >= len("'a'")


def test_words_of_a_language_are_stemmed_and_stop_words_are_left_out(database: Database) -> None:
    with database.admin() as admin:
        use_language(admin, "pg_catalog.english")
        assert asked(admin, "a cup of the coffees") == "'cup' & 'coffe'"
        assert asked(admin, '"cup of coffees"') == "'cup' <2> 'coffe'"
        assert asked(admin, "-the coffee") == "'coffe'"
        assert asked(admin, "the or coffee") == "'coffe'"
        # A beginning of a word is no stop word: theatre.
        assert asked(admin, "the", prefix=True) == "'the':*"
        assert asked(admin, "coffees", prefix=True) == "'coffees':* | 'coffe':*"
        with pytest.raises(psycopg.Error) as refused:
            asked(admin, "the of")
        assert refused.value.sqlstate == NO_WORD


def test_a_long_query_ranks_and_marks_by_its_first_16_words(database: Database) -> None:
    def bounded(query: str) -> str:
        row = admin.execute("select robot_brain.bounded_query(%s::tsquery)::text", [query]).fetchone()
        assert row is not None
        return str(row[0])

    with database.admin() as admin:
        assert bounded("'a' <-> 'b' & !'c' & ('d' | 'e':*A)") == "'a' <-> 'b' & ( 'd' | 'e':*A )"
        eight = " & ".join(f"'{letter}'" for letter in "abcdefgh")
        assert bounded(eight) == eight
        assert bounded(f"{eight} & 'i' <-> 'x''y\\\\z':*D & !'k' & 'a'") == (
            f"{eight} & 'i' & 'x''y\\\\z':*D".replace("&", "|")
        )
        many = [f"'w{n}'" for n in range(300)]
        assert bounded(" <-> ".join(many)) == " | ".join(many[:16])
