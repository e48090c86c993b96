"""The check of words finds each banned word in each kind of prose, and leaves code alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests import words

# An example of each pattern of words.BANNED, in its order.
EXAMPLES = (
    "told",
    "door",
    "whoever",
    "whom",
    "where",
    "who waits",
    "for who",
    "is none",
    "nobody",
    "seen from here",
    "nothing of",
    "anew",
    "mends",
    "for ever",
    "kept connection",
    "at the most",
    "of ours",
    "held beside",
)
PLACES = {
    "docstring.py": '"""First.\n\nA text {} in it.\n"""\n',
    "docstring_of_member.py": 'class A:\n    a: int\n    """A text {} in it."""\n',
    "comment.py": "a = 1\n# A text {} in it.\n",
    "comment_after_code.py": "a = 1  # A text {} in it.\n",
    "message.py": 'raise ValueError("A text {} in it.")\n',
    "f_string.py": 'raise ValueError(f"A text {} in {{a}}.")\n',
    "sql_comment_in_string.py": 'a = """\nselect 1\n-- A text {} in it.\n"""\n',
    "comment.sql": "select 1\n-- A text {} in it.\nfrom a where b;\n",
    "message.sql": "raise exception 'A text {} in it';\n",
    "hint.sql": "raise sqlstate 'RB409' using message = 'short', hint = 'A text {} in it.';\n",
    "paragraph.md": "# Title\n\nA text {} in it.\n",
    "table.md": "| a | b |\n| --- | --- |\n| c | A text {} in it. |\n",
    "comment.yaml": "a: 1\n# A text {} in it.\n",
    "description.yaml": "Parameters:\n  A:\n    Description: A text {} in it.\n",
    "folded.yaml": "Parameters:\n  A:\n    Description: >-\n      First.\n      A text {} in it.\n    Type: String\n",
    "Makefile": "run:  ## A text {} in it\n",
    "comment.toml": "# A text {} in it.\n",
    "message.toml": 'msg = "A text {} in it"\n',
}
CODE = {
    "fenced.md": "```sql\nselect a from b where c;\n```\n",
    "backquotes.md": "The condition `where a` and ``told``.\n",
    "link.md": "See [this](where/told.md), https://example.com/where and a path such as /where/it/is.\n",
    "names.py": "def door(told: str) -> str:\n    return told\n",
    "sql.py": 'A = "select a from b where c = 1"\nB = f"{A} where a = 1"\n',
    "sql_with.py": 'A = """\nwith a as (select 1)\nselect 2 where true"""\n',
    "fragment.py": 'A = "where tenant_id = %s and b"\n',
    "short.py": 'A = "told"\nB = {"where": "nobody here"}\n',
    "where.sql": "select a from b where c is null;\n",
    "dynamic.sql": "execute 'select a from b where c = 1';\n",
    "nobody.sql": "select 'nobody';\n",
    "value.yaml": "Where: told\nb: [nobody]\n",
    "commands.mk": "where:\n\ttold door\n",
}


def banned(path: str, text: str) -> list[str]:
    """Return the banned words that the check finds."""
    return [finding.split('"')[1] for finding in words.check(path, text)[0]]


@pytest.mark.parametrize("word", EXAMPLES)
@pytest.mark.parametrize("path", PLACES)
def test_a_banned_word_is_found_once_in_each_place_at_its_line(path: str, word: str) -> None:
    text = PLACES[path].format(word)
    assert banned(path, text) == [word]
    line = next(number for number, line in enumerate(text.splitlines(), 1) if word in line)
    assert words.check(path, text)[0][0].startswith(f"{path}:{line}: ")


def test_each_pattern_has_an_example_and_says_what_to_write() -> None:
    hints = [words.check("a.md", example)[0][0].split(": write ")[1] for example in EXAMPLES]
    assert hints == list(words.BANNED.values())


@pytest.mark.parametrize("path", CODE)
def test_code_is_not_prose(path: str) -> None:
    assert banned(path, CODE[path]) == []


def test_a_phrase_is_found_over_the_end_of_a_line() -> None:
    assert banned("a.py", "# There is\n# none of it.\n") == ["is none"]
    assert words.check("a.md", "First.\nThere is\nnone.\n")[0][0].startswith("a.md:2: ")


def test_a_capital_letter_changes_nothing() -> None:
    assert banned("a.md", "Where and Nobody.") == ["Where", "Nobody"]


def test_a_name_of_a_test_is_read_as_words() -> None:
    assert banned("a.py", "def test_a_client_is_told_once() -> None: ...\n") == ["told"]
    assert banned("a.py", "def test_a_table_where_rows_are() -> None: ...\n") == []


def sentences(path: str, text: str) -> list[str]:
    """Return the line and count of each long sentence."""
    return [" ".join(finding.split(":")[1:3]).removesuffix(" words") for finding in words.check(path, text)[1]]


LONG = " ".join(["word"] * 26) + "."
SHORT = " ".join(["word"] * 25) + "."


@pytest.mark.parametrize(
    ("path", "text", "found"),
    [
        pytest.param("a.md", SHORT, [], id="25 words"),
        pytest.param("a.md", LONG, ["1  26"], id="26 words"),
        pytest.param("a.md", f"{SHORT}\n{SHORT} {SHORT}", [], id="sentences of one paragraph"),
        pytest.param("a.md", f"One.\n{LONG}", ["2  26"], id="the line at which it begins"),
        pytest.param("a.md", f"e.g. {LONG} i.e. {SHORT}", ["1  27", "1  26"], id="abbreviations end no sentence"),
        pytest.param("a.md", f"0.5 {LONG}", ["1  27"], id="a decimal point ends no sentence"),
        pytest.param("a.md", "- some words of it\n" * 10, [], id="items without a full stop"),
        pytest.param("a.md", f"| {LONG} |\n", [], id="a table"),
        pytest.param("a.md", f"# {LONG}\n", [], id="a heading"),
        pytest.param("a.md", f"`{LONG}` is short.", [], id="code is one word"),
        pytest.param("a.md", f"{SHORT[:-1]} — … -", [], id="a dash is no word"),
        pytest.param("a.sql", f"--   p_a   {SHORT[5:-1]}\n--   p_b   {SHORT[5:]}\n", [], id="parameters of SQL"),
        pytest.param("a.py", f'"""{LONG}"""\n# {LONG}\n', ["1  26", "2  26"], id="docstring and comment"),
        pytest.param("a.py", f"a = 1  # {SHORT[:-1]}\n# {SHORT}\n", [], id="a comment after code stands alone"),
        pytest.param("a.py", f"def test_{'a_' * 30}() -> None: ...\n", [], id="a name"),
    ],
)
def test_sentences_of_over_25_words_are_listed(path: str, text: str, found: list[str]) -> None:
    assert sentences(path, text) == found


def test_the_command_fails_on_a_word_and_not_on_a_sentence(tmp_path: Path) -> None:
    def run(text: str, *arguments: str) -> tuple[int, str]:
        (tmp_path / "a.md").write_text(text)
        command = [sys.executable, "-m", "tests.words", *arguments]
        environment = {"PYTHONPATH": str(Path(words.__file__).parents[1])}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.stderr == ""
        return done.returncode, done.stdout

    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    summary = "sentences of over 25 words (--long lists them)\n"
    assert run(LONG) == (0, f"0 banned words, 1 {summary}")
    assert run(LONG, "--long") == (0, f"a.md:1: 26 words: {LONG}\n0 banned words, 1 {summary}")
    assert run("Nothing of it.") == (
        1,
        f'a.md:1: "Nothing of": write "no ..." with the noun\n1 banned words, 0 {summary}',
    )
    assert run("Nothing of it.", "b") == (0, f"0 banned words, 0 {summary}")
