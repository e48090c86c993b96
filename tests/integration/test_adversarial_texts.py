"""A turn of any text is written, filled and found. No step reaches the statement_timeout of the functions' role."""

from tests.integration.adversarial_texts import MOST_BYTES, large_texts
from tests.integration.searched import Searching
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.searching import hits, make_words, places
from tests.support.servers.databases import Database

pytestmark = without_pooler

TEXTS = large_texts()


def test_a_turn_of_any_256_kib_is_written_filled_and_found(bundle: Bundle, database: Database) -> None:
    for n, text in enumerate(TEXTS.values()):
        assert len(text.encode()) <= MOST_BYTES
        assert bundle.write(f"s{n}", turn(user_message=text, robot_response=f"needle w{n}x")).status == 201
    # 20 turns are found before they are filled, because each of them is parsed.
    assert places(bundle, "w7x", session_id="s7") == [("s7", 1)]
    make_words(database)
    assert sorted(places(bundle, "needle")) == sorted((f"s{n}", 1) for n in range(len(TEXTS)))
    for n, (name, text) in enumerate(TEXTS.items()):
        (hit,) = hits(bundle, f"needle w{n}x")
        assert "<mark>needle</mark> <mark>" in hit["snippet"], name
        whole = bundle.search(text[:1000], session_id=f"s{n}", order="relevance")
        # Combining marks or emoji alone are no word.
        assert whole.status in (200, 422), (name, whole.body)


def test_a_turn_with_too_many_words_is_found_by_those_of_its_beginning(database: Database) -> None:
    first, second = ("".join(map(chr, range(low, low + 0x10000))) for low in (0x20000, 0x30000))
    with database.admin() as admin:
        searched = Searching(admin)
        searched.write("full", (first, second))
        searched.write("next", ("the next", "turn"))
        assert searched.fill() == 2
        assert searched.found("next") == {("next", 1)}
        # Both texts have over 1 MB of words, so 8,192 signs of each count.
        assert searched.found(f"{first[100]} {second[100]}") == {("full", 1)}
        assert searched.found(first[9_000]) == set()


def test_each_word_of_a_text_counts_up_to_65536_signs_and_none_behind(database: Database) -> None:
    with database.admin() as admin:
        searched = Searching(admin)
        text = "early " + "x" * 65_524 + " late after"
        searched.write("s", (text, ""), (text[6:], ""))
        for _ in range(2):
            assert searched.found("early") == {("s", 1)}
            assert searched.found("late") == {("s", 1), ("s", 2)} if "late" in text[:65_536] else {("s", 2)}
            assert searched.found("after") == {("s", 2)}
            searched.fill()


def test_a_phrase_counts_in_the_first_16383_words_and_its_words_count_behind(database: Database) -> None:
    with database.admin() as admin:
        searched = Searching(admin)
        words = [f"w{n:x}" for n in range(12_000)]
        searched.write("s", (" ".join(words[:9_000]), " ".join(words[9_000:])), ("x " * 20_000 + "hot milk", ""))
        searched.fill()
        assert searched.found(f'"{words[7_000]} {words[7_001]}"') == {("s", 1)}
        assert searched.found(f'"{words[11_000]} {words[11_001]}"') == {("s", 1)}
        assert searched.found("hot milk") == {("s", 2)}
        assert searched.found('"hot milk"') == set()


def test_a_word_of_over_2047_bytes_is_left_out_and_its_neighbours_are_found(database: Database) -> None:
    with database.admin() as admin:
        searched = Searching(admin)
        searched.write("s", (f"before {'x' * 2_046} {'y' * 2_047} {'z' * 2_048} after", ""))
        searched.fill()
        assert searched.found("before after") == {("s", 1)}
        assert searched.found("x" * 900, p_prefix=True) == {("s", 1)}
        assert searched.found("y" * 900, p_prefix=True) == set()


def test_a_name_or_metadata_of_the_most_bytes_does_not_stop_the_filling(database: Database) -> None:
    with database.admin() as admin:
        searched = Searching(admin)
        metadata = {f"{n:x}": n for n in range(900)}
        searched.write("\U0001f916" * 100, ("hot", "milk"), robot_personality="\U0001f916" * 50, metadata=metadata)
        searched.fill()
        found = searched.found("hot", p_personality="\U0001f916" * 50, p_metadata='{"a": 10}')
        assert found == {("\U0001f916" * 100, 1)}
