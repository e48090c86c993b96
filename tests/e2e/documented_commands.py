"""The commands of the documents, and what a document says that they print.

A fenced block `sh` is run, unless the line above it begins with one of MARKS. A block of kind http, json or text
below a line `Output:` is what the command before it prints. There the following is compared:

- http: the status line, the headers that are shown, and the body as JSON
- json: names and values, but for times, ids and what depends on the moment (MOMENTARY)
- text: each line that is shown, in this order; a number stands for any number, and `…` for anything
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local.settings import ROOT

# Why a block is not run, as readers see it too. test_sam_local_documented.py runs those of DOCKER.
DOCKER = "Docker:"
MARKS = ("Unverified:", "Long:", DOCKER)
OUTPUT = "Output:"
SHOWN = ("http", "json", "text")
# What a fenced block may be. A block without a kind would be checked by no test.
# The tests of the clients run those of Python.
KINDS = ("sh", *SHOWN, "mermaid", "python", "sql", "yaml")
# Members whose values depend on the moment, the machine or the release: their types are compared.
MOMENTARY = {
    "age_seconds",
    "avg_response_length",
    "cursor",
    "failures",
    "hash",
    "latency_ms",
    "n",
    "opened",
    "reasons",
    "request_id",
    "retired",
    "retries",
    "reused",
    "schema_version",
    "server_version",
    "version",
    "wakes",
}
_FENCE = re.compile(r"^\s*```(.*)$")
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<id>"),
    (re.compile(r'"(\d+)\.[0-9a-f]{1,32}"'), r'"\1.<version>"'),
    # The entity tag of a user has no seq.
    (re.compile(r'(etag: )"[0-9a-f]{1,32}"', re.IGNORECASE), r'\1"<version>"'),
)
_NUMBER = re.compile(r"\d+(\.\d+)?")
_MAKE = re.compile(r"\bmake((?: +(?:[A-Z_]+=[\w./:-]*|[a-z.][\w./-]*))+)")


@dataclass(frozen=True)
class Block:
    """A fenced block: its kind, its text, the last line of words above it, and its first line's number."""

    document: Path
    line: int
    kind: str
    text: str
    above: str

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"

    @property
    def marked(self) -> bool:
        """Whether a command says why it is not run."""
        return self.above.startswith(MARKS)


@dataclass(frozen=True)
class Command:
    """A block of commands, and the block that shows its output, if any does."""

    block: Block
    output: Block | None


def blocks(document: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a Markdown file."""
    above, kind, begun, inside = "", None, 0, list[str]()
    for number, line in enumerate(document.read_text(encoding="utf-8").splitlines(), start=1):
        fence = _FENCE.match(line)
        if fence and kind is None:
            kind, begun, inside = fence[1].strip(), number + 1, []
        elif fence and kind is not None:
            yield Block(document, begun, kind, "\n".join(inside), above)
            above, kind = "", None
        elif kind is not None:
            inside.append(line)
        elif line.strip():
            above = line.strip()
    assert kind is None, f"{document}: the block of line {begun} has no end"


def commands(document: Path) -> list[Command]:
    """Return the commands of a document in order, each with its output."""
    found: list[Command] = []
    for block in blocks(document):
        if block.kind == "sh":
            found.append(Command(block, None))
        elif block.above == OUTPUT:
            assert block.kind in SHOWN, f"{block}: an output is one of {', '.join(SHOWN)}"
            assert found, f"{block}: there is no command above this output"
            assert found[-1].output is None, f"{block}: the command above has an output already"
            found[-1] = Command(found[-1].block, block)
    return found


def make_calls(document: Path) -> set[tuple[str, ...]]:
    """Return the arguments of each `make …` in the document's commands and code spans."""
    text = document.read_text(encoding="utf-8")
    spans = re.findall(r"(?<!`)`([^`\n]+)`(?!`)", text)
    code = [block.text for block in blocks(document) if block.kind == "sh"] + spans
    return {tuple(call[1].split()) for part in code for call in _MAKE.finditer(part)}


def difference(shown: Block, stdout: str, stderr: str) -> str | None:
    """Return how an output differs from what the document shows, or None if it does not."""
    if shown.kind == "text":
        return _text_difference(shown.text, f"{stdout}\n{stderr}")
    if shown.kind == "json":
        return _json_difference(json.loads(shown.text), json.loads(stdout))
    head, _, body = shown.text.partition("\n\n")
    real_head, _, real_body = stdout.replace("\r\n", "\n").partition("\n\n")
    status, *headers = _normal(head).splitlines()
    real_status, *real_headers = _normal(real_head).splitlines()
    if status != real_status:
        return f"{status} is {real_status}"
    missing = [header for header in headers if header.lower() not in {real.lower() for real in real_headers}]
    if missing:
        return f"{missing} are not among {real_headers}"
    return _json_difference(json.loads(body), json.loads(real_body)) if body else None


def _normal(text: str) -> str:
    for pattern, name in _VOLATILE:
        text = pattern.sub(name, text)
    return text


def _text_difference(shown: str, printed: str) -> str | None:
    rest = printed
    for line in filter(None, map(str.strip, shown.splitlines())):
        words = [r"\d+(\.\d+)?".join(map(re.escape, _split_numbers(part))) for part in line.split("…")]
        found = re.search(".*".join(words), rest)
        if found is None:
            return f"{line!r} is not in the rest of\n{printed}"
        rest = rest[found.end() :]
    return None


def _split_numbers(text: str) -> list[str]:
    """Return what stands between the numbers of a text."""
    return _NUMBER.sub("\0", text).split("\0")


def _json_difference(shown: Any, real: Any, name: str = "", path: str = "$") -> str | None:
    if isinstance(shown, dict) and isinstance(real, dict):
        if list(shown) != list(real):
            return f"{path} has {list(real)}, and the document {list(shown)}"
        found = (_json_difference(shown[key], real[key], key, f"{path}.{key}") for key in shown)
    elif isinstance(shown, list) and isinstance(real, list) and name not in MOMENTARY:
        if len(shown) != len(real):
            return f"{path} has {len(real)} items, and in the document {len(shown)}"
        found = (
            _json_difference(one, other, name, f"{path}[{number}]")
            for number, (one, other) in enumerate(zip(shown, real, strict=True))
        )
    else:
        # The words of a report's status are of the moment as well; the numbers of HTTP are not. The id of an entry of
        # the audit trail is a number; other ids are texts that the document chose, or random.
        momentary = (
            name in MOMENTARY
            or (name == "status" and isinstance(shown, str))
            or (name == "id" and isinstance(shown, int))
        )
        one, other = (_kind(value) if momentary else _plain(value) for value in (shown, real))
        return None if one == other else f"{path} is {real!r}, and in the document {shown!r}"
    return next(filter(None, found), None)


def _kind(value: Any) -> str:
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _plain(value: Any) -> Any:
    return _normal(value) if isinstance(value, str) else value
