"""A snippet is HTML that shows a part of a turn's texts: only <mark> is a tag, and it marks what matches."""

import html
import random
import re
import secrets
import unicodedata
from html.parser import HTMLParser

from tests.integration.random_texts import random_text
from tests.integration.searched import Searching, use_language
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler

TURNS = 60
GAP = " … "


class Marks(HTMLParser):
    """The tags, the text and the marked texts of a snippet."""

    def __init__(self, snippet: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.marked: list[str] = []
        self.feed(snippet)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the tag. Only the tag mark begins a marked text."""
        assert attrs == []
        self.tags.append(tag)
        self.marked.append("")

    def handle_endtag(self, tag: str) -> None:
        """Note the tag."""
        self.tags.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        """Add to the text, and to the marked text that is open."""
        self.text += data
        if self.tags and self.tags[-1] == "mark":
            self.marked[-1] += data


def snippet(
    database: Database, user: str, robot: str, query: str, text_of: str | None = None, *, prefix: bool = False
) -> str:
    """Return the snippet of a turn."""
    with database.admin() as admin:
        return snippet_of(Searching(admin), user, robot, query, text_of, prefix=prefix)


def snippet_of(
    searched: Searching, user: str, robot: str, query: str, text_of: str | None = None, *, prefix: bool = False
) -> str:
    """Return the snippet of a turn, over an open connection."""
    call = "select robot_brain.snippet(%s, %s, robot_brain.search_query(%s, %s, %s), %s)"
    (found,) = searched.one(call, [user, robot, query, text_of, prefix, text_of])
    return str(found)


def test_the_words_of_a_query_are_marked_and_all_else_is_escaped(database: Database) -> None:
    turn = ("Is <b>Coffee</b> & 'tea' in a_snake?", 'Say "new york" and 東京タワーへ.')
    assert snippet(database, *turn, "coffee snake") == (
        "Is &lt;b&gt;<mark>Coffee</mark>&lt;/b&gt; &amp; &#39;tea&#39; in a_<mark>snake</mark>?"
        "\nSay &quot;new york&quot; and 東京タワーへ"
    )
    assert snippet(database, *turn, "york", "robot") == ("Say &quot;new <mark>york</mark>&quot; and 東京タワーへ")
    assert "東京<mark>タワー</mark>へ" in snippet(database, *turn, "タワー")
    assert "a_<mark>snake</mark>" in snippet(database, *turn, "sna", prefix=True)
    assert "<mark>" not in snippet(database, *turn, "york", "user")
    # An excluded word is not marked.
    assert "<mark>tea" not in snippet(database, *turn, "coffee or york -tea")


def test_words_in_other_forms_are_marked_as_they_are_written(database: Database) -> None:
    with database.admin() as admin:
        use_language(admin, "pg_catalog.english")
        searched = Searching(admin)
        assert snippet_of(searched, "He was Running.", "", "runs") == "He was <mark>Running</mark>"
        assert snippet_of(searched, "cafe\u0301 ole\u0301", "", "caf\u00e9") == "<mark>caf\u00e9</mark> ol\u00e9"


def test_a_match_far_behind_the_beginning_is_shown(database: Database) -> None:
    filler = "lorem ipsum " * 1_300
    assert "needle" in snippet(database, filler + "needle", filler, "needle")
    assert "<mark>needle</mark> here" in snippet(database, filler, f"{filler} needle here {filler}", "needle")
    both = snippet(database, f"first {filler}", f"{filler} second", "first second")
    assert "<mark>first</mark>" in both or "<mark>second</mark>" in both
    assert snippet(database, filler * 3 + "needle", "", "needle").startswith("lorem ipsum")
    assert snippet(database, "", "", "needle") == ""


def test_a_snippet_of_random_texts_is_html_of_the_texts(database: Database) -> None:
    seed = secrets.randbits(32)
    print(f"SEED={seed}")
    chance = random.Random(seed)
    with database.admin() as admin:
        searched = Searching(admin)
        for _ in range(TURNS):
            (user, asks), (robot, answers) = random_text(chance, 40), random_text(chance, 40)
            text_of = chance.choice([None, "user", "robot"])
            chunk = chance.choice({"user": asks, "robot": answers}.get(text_of or "", asks + answers))
            query = '"' + chunk.replace('"', " ") + '"'
            made = snippet_of(searched, user, robot, query, text_of)
            marks = Marks(made)
            assert marks.tags == ["mark", "/mark"] * (len(marks.tags) // 2), made
            assert marks.marked, (query, made, user, robot)
            # Besides <mark> all five signs that HTML uses are references.
            assert not re.search("[<>\"']", re.sub("</?mark>", "", made)), made
            shown = {"user": user, "robot": robot}.get(text_of or "", f"{user}\n{robot}")
            text = re.sub("[\x02\x03\x04]", " ", unicodedata.normalize("NFC", shown))
            for part in marks.text.split(GAP):
                assert part in text, (part, text)
            for marked in marks.marked:
                assert chunk_has(chunk, marked), (chunk, marked)
            assert html.unescape(re.sub("</?mark>", "", made)) == marks.text


def chunk_has(chunk: str, marked: str) -> bool:
    """Return whether each word of a marked text is in the chunk that was searched for. A word may have one sign."""
    known = unicodedata.normalize("NFC", chunk).lower()
    return all(
        word in known or (not word.isascii() and set(word) <= set(known)) for word in re.findall(r"\w+", marked.lower())
    )
