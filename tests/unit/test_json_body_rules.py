"""NUL, lone surrogates and nesting are found in the text of a body as a look at each value finds them."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError
from robot_brain.http import json_body

# Pieces of strings in JSON: half and whole pairs of surrogates, NUL, backslashes before them, quotes and brackets.
_PIECES = (
    "\\ud83d",
    "\\ude00",
    "\\uD83D",
    "\\udE00",
    "\\u0000",
    "\\u0041",
    "\\\\",
    '\\"',
    "\\n",
    "u",
    "d83d",
    "[",
    "}",
    "é",
)


def walked(text: str) -> Any:
    """Return the place and the kind of the rule that `text` breaks, by a look at each value, or None."""
    try:
        json_body._walk(json.loads(text))
    except InvalidRequestError as error:
        return [(found["loc"], found["type"]) for found in error.errors]
    return None


def parsed(text: str) -> Any:
    """Return the place and the kind of the rule for which `parse` refuses `text`, or None."""
    try:
        json_body.parse(text, False)
    except InvalidRequestError as error:
        return [(found["loc"], found["type"]) for found in error.errors]
    return None


@given(st.lists(st.lists(st.sampled_from(_PIECES), max_size=7).map("".join), min_size=1, max_size=3))
def test_a_body_of_any_escapes_is_refused_exactly_if_a_look_at_each_value_finds_a_fault(strings: list[str]) -> None:
    text = '{"a": [' + ", ".join(f'{{"{each}": "{each}"}}' for each in strings) + "]}"
    assert parsed(text) == walked(text)


@given(st.integers(55, 70), st.lists(st.sampled_from(["[", "{"]), min_size=70, max_size=70), st.integers(0, 3))
def test_a_body_of_any_brackets_is_refused_exactly_if_a_look_at_each_value_finds_it_too_deep(
    depth: int, kinds: list[str], beside: int
) -> None:
    inner = '"]}\\"[{"'
    for kind in kinds[:depth]:
        inner = f'{{"]": {inner}, "n": [-1.5e3, true, false, null]}}' if kind == "{" else f"[{inner}, {{}}, 0]"
    text = f'{{"a": {inner}, "b": [' + ", ".join(['{"c": [[]]}'] * beside) + "]}"
    assert parsed(text) == walked(text)
    # Around the innermost brackets are `depth` others and the object itself.
    assert (parsed(text) is None) == (depth + 2 <= 64)


@pytest.mark.parametrize(
    ("first", "second"),
    [('"\\u0000"', "1"), ('"\\ud83d"', "1"), ("[" * 70 + "]" * 70, "1")],
)
def test_only_the_last_value_of_a_repeated_key_is_judged(first: str, second: str) -> None:
    assert json_body.parse(f'{{"a": {first}, "a": {second}}}', False) == {"a": 1}
    ((_, kind),) = parsed(f'{{"a": {second}, "a": {first}}}')
    assert kind in ("forbidden_character", "nesting")
