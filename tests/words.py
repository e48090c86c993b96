"""Find words that make the project's prose hard to read: `python -m tests.words [--long] [paths]`.

Prose is Markdown, docstrings, comments, messages and the names of tests. Code and text in backquotes are exempt.
Any banned word makes the exit code 1. Sentences of over 25 words are counted, and listed with `--long`.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

# Each pattern with what to write instead. A space in a pattern is any white space, also a line's end.
WRONG_IN_NAMES = {
    "told": '"gets", "receives", "is reported" or "is distinguished by"',
    "doors?": '"SQL function", "entry" or the name of the thing',
    "whoever": '"a client that", "a user who"',
    "whom": "a second sentence that repeats the noun",
}
BANNED = WRONG_IN_NAMES | {
    "where": '"if" for a condition, otherwise "in which", "when" or "at which"',
    "who (?:is|waits|comes|does|asks)": 'a noun: "a client that waits", "the caller"',
    "(?:and|by|for|from|of|than|to|with) who": 'a noun: "for the client that", "by the process that"',
    "(?:is|are|was|were|has|have|had) none": '"no ... exists", "without", "missing" or "empty"',
    "nobody": 'the thing: "no client", "no process"; or the opposite: "is unknown", "never"',
    "seen from here": "what this code sees",
    "nothing (?:about|of|that)": '"no ..." with the noun',
    "anew": '"again"',
    "mend(?:s|ed|ing)?": '"repair", "correct" or "fix"',
    "for ever": '"forever", "indefinitely" or "without a limit"',
    "kept connections?": '"reused connection"',
    "at the most": '"at most"',
    "of (?:ours|theirs)": '"our", "their" or "its own"',
    "(?:held|hold|holds) beside": '"compared with", "compares with"',
}
LONGEST_SENTENCE = 25
# Made by a command, old on purpose, or about these words. The base migration cannot change: databases hold its SHA-256.
EXEMPT = re.compile(r".*/schemas\.py|sql/migrations/0001_base\.sql|tests/(.*/schemas/2/.*|(unit/test_)?words\.py)")

_ANY = re.compile("|".join(rf"(?<![\w/]){word}(?![\w/])" for word in BANNED).replace(" ", r"\s+"), re.I)
_IN_NAMES = re.compile("|".join(rf"\b{word}\b" for word in WRONG_IN_NAMES))
_MESSAGE = re.compile(r"[A-Za-z]{2,}[,:;]?\s+\S*[A-Za-z]\S*\s+\S*[A-Za-z]")
_CODE = re.compile(r"(`+)[^`](?:.|\n)*?\1|\]\([^)\s]*\)|https?://\S+")
# A string that is SQL, and one that is Python.
_SQL = re.compile(
    r"""(?xs)\s*(?:--[^\n]*\n\s*)*\(?(?:select|insert\ into|update\ [\w.{}"%]+\s+set|delete\ from|with\ \w+\ (?:as|\()
    |grant|revoke|(?:create|alter|drop)\ (?:(?:or|unlogged|temp\w*|materialized)\ )*(?:table|role|schema|index|database
    |view|function|policy|user|publication|unique|replace)|set\ (?:local|session)|do\ \$|explain|comment\ on|lock\ table
    |(?:where|and|from|on)\ [\w.{}]+\s*[=<>])|.*\bwhere\s+[\w.("{}]+\s*(?:[=<>]|(?:in|is|like|not|between)\b)"""
)
_PYTHON = re.compile(r"\s*(?:import|from [\w.]+ import|async def|def|class) ")
_SQL_PARTS = re.compile(r"--(?P<comment>[^\n]*)|/\*.*?\*/|'(?P<text>(?:[^']|'')*)'|\"[^\"]*\"", re.S)
# A line that begins an item of a list, of a table or of a tree, or a word that the rest of its line explains.
_ITEM = re.compile(r"\s*(?:[-*+>]|\d+[.)]|#+|\||[│├└])(?:\s|$)|\s*[`\w][\w, *`|().=/-]*\s{2,}\S|\s*[A-Z_]+:")
_SENTENCE_END = re.compile(r"(?<![eg]\.[ge]\.)(?<!\bi\.e\.)(?<!\betc\.)(?<!\bvs\.)(?<!\bcf\.)(?<=[.!?])[\"')\]*]*\s+")
_YAML_TEXT = re.compile(r"\s*(?:- )?(?:\w*Description|ErrorMessage|name|default): *(?P<text>.*)")


class Prose(NamedTuple):
    """A paragraph, an item of a list or a message, or else the name of a test."""

    line: int
    text: str
    name: bool = False


def paragraphs(lines: Iterable[tuple[int, str]]) -> Iterator[Prose]:
    """Put numbered lines together that belong to one paragraph or item. One with a form feed stands alone."""
    held: list[str] = []
    first = 0
    for number, line in [*lines, (-1, "")]:
        last = held[-1] if held else ""
        dedent = len(line) - len(line.lstrip()) < len(last) - len(last.lstrip())
        if held and (not line.strip() or _ITEM.match(line) or dedent or "\f" in last or number != first + len(held)):
            yield Prose(first, "\n".join(held))
            held = []
        if line.strip():
            first = first if held else number
            held.append(line)


def markdown(text: str) -> Iterator[Prose]:
    """Return the paragraphs outside fenced code."""
    plain = re.sub(r"^( *)(```|~~~).*?^ *\2[ `~]*$", lambda code: "\n" * code[0].count("\n"), text, flags=re.S | re.M)
    return paragraphs(enumerate(plain.splitlines(), 1))


def sql(text: str, before: int = 0) -> Iterator[Prose]:
    """Return the comments and messages of SQL that follows line `before`."""
    comments = []
    for part in _SQL_PARTS.finditer(text):
        line = before + 1 + text.count("\n", 0, part.start())
        if part["comment"] is None:
            if part["text"] and _MESSAGE.search(part["text"]) and not _SQL.match(part["text"]):
                yield Prose(line, part["text"])
        else:
            comments.append((line, "\f" * bool(text[: part.start()].rpartition("\n")[2].strip()) + part["comment"]))
    yield from paragraphs(comments)


def python(source: str) -> Iterator[Prose]:
    """Return docstrings, comments, messages, the names of tests, and the prose of SQL in strings."""
    nodes = list(ast.walk(ast.parse(source)))
    within = {
        id(part) for node in nodes if isinstance(node, ast.JoinedStr) for part in ast.walk(node) if part is not node
    }
    documents = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        line, text = getattr(node, "lineno", 1), ""
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Prose(line, node.name.replace("_", " "), name=True)
        elif isinstance(node, ast.JoinedStr):
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in within:
            text = node.value
        if id(node) in documents:
            yield from paragraphs(enumerate(text.splitlines(), line))
        elif _SQL.match(text):
            yield from sql(text, line - 1)
        elif _MESSAGE.search(text) and not _PYTHON.match(text):
            yield Prose(line, text)
    comments = (c for c in tokenize.generate_tokens(io.StringIO(source).readline) if c.type == tokenize.COMMENT)
    yield from paragraphs(
        (c.start[0], "\f" * bool(c.line[: c.start[1]].strip()) + c.string.lstrip("#:")) for c in comments
    )


def hashed(text: str) -> Iterator[Prose]:
    """Return the comments and quoted messages of a Makefile, a shell script or TOML."""
    comments = []
    for number, line in enumerate(text.splitlines(), 1):
        code, mark, comment = re.sub(r"(?<!\S)#+", "\0", line, count=1).partition("\0")
        yield from (Prose(number, quoted) for quoted in re.findall(r'"([^"]*)"', code) if _MESSAGE.search(quoted))
        comments += [(number, "\f" * bool(code.strip()) + comment)] * bool(mark)
    yield from paragraphs(comments)


def yaml(text: str) -> Iterator[Prose]:
    """Return the comments, descriptions, messages and names of steps."""
    yield from hashed(text.replace('"', " "))
    lines, folded = [], -1
    for number, line in enumerate(text.splitlines(), 1):
        found = _YAML_TEXT.match(line)
        indent = len(line) - len(line.lstrip())
        if found:
            folded = indent if found["text"].startswith((">", "|")) else -1
        elif line.strip() and indent <= folded:
            folded = -1
        lines.append((number, found["text"] if found else line if folded >= 0 else ""))
    yield from paragraphs(lines)


READERS = {".md": markdown, ".py": python, ".sql": sql, ".yaml": yaml, ".yml": yaml, ".toml": hashed, ".mk": hashed}
READERS |= dict.fromkeys(("Makefile", "run", ".sh", ".gitattributes", ".gitignore", ".txt"), hashed)


def check(path: str, text: str) -> tuple[list[str], list[str]]:
    """Return a line for each banned word and for each long sentence of a file."""
    banned, long = [], []
    for prose in READERS[Path(path).suffix or Path(path).name](text):
        plain = _CODE.sub(lambda code: "code" + "\n" * code[0].count("\n"), prose.text)
        for found in (_IN_NAMES if prose.name else _ANY).finditer(plain):
            word = " ".join(found[0].split())
            hint = next(hint for pattern, hint in BANNED.items() if re.fullmatch(pattern, word, re.I))
            banned.append(f'{path}:{prose.line + plain.count(chr(10), 0, found.start())}: "{word}": write {hint}')
        no_sentences = prose.name or plain.lstrip()[:1] in "|#│├└"
        ends = [] if no_sentences else [0, *(found.end() for found in _SENTENCE_END.finditer(plain)), len(plain)]
        for start, end in pairwise(ends):
            words = plain[start:end].split()
            if (count := sum(bool(re.search(r"\w", word)) for word in words)) > LONGEST_SENTENCE:
                long.append(f"{path}:{prose.line + plain.count(chr(10), 0, start)}: {count} words: {' '.join(words)}")
    return banned, long


def files(paths: list[str]) -> list[str]:
    """Return the project's files below `paths`, or all of them, without the exempt ones."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths]
    names = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines())
    known = (name for name in names if (Path(name).suffix or Path(name).name) in READERS and Path(name).is_file())
    return sorted(name for name in known if not EXEMPT.fullmatch(name))


def main(arguments: list[str]) -> int:
    """Print the banned words. Return 1 if there are any."""
    results = [check(path, Path(path).read_text("utf-8")) for path in files([a for a in arguments if a != "--long"])]
    banned, long = ([line for result in results for line in result[kind]] for kind in (0, 1))
    summary = f"{len(banned)} banned words, {len(long)} sentences of over {LONGEST_SENTENCE} words (--long lists them)"
    print(*banned, *(long if "--long" in arguments else []), summary, sep="\n")
    return 1 if banned else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
