"""The parameters of a search: texts, choices and JSON."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError, RobotBrainError
from robot_brain.http import filters, json_body

# JSON, and texts that nearly are JSON.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
TEXTS = st.dictionaries(st.text(), VALUES, max_size=3).map(json.dumps) | st.text(alphabet='{}[]":,\\u0d8c1e-9a ')


def place_of(error: InvalidRequestError) -> list[tuple[list[str | int], str]]:
    """Return the place and the type of each broken rule."""
    return [(each["loc"], each["type"]) for each in error.errors]


@pytest.mark.parametrize("text", ["a", "x" * 10, "\U0001f916" * 10, " ", "\t\n", "\x01", "\x7f\x85", '"()\\'])
def test_a_text_has_any_characters_but_nul_and_surrogates(text: str) -> None:
    assert filters.text({"q": text}, "q", 10) == filters.required_text({"q": text}, "q", 10) == text


@pytest.mark.parametrize("text", ["", "x" * 11, "\U0001f916" * 11, "a\0", "\ud83d", "a\udd16b"])
def test_a_text_that_breaks_a_rule_is_refused(text: str) -> None:
    for read in (filters.text, filters.required_text):
        with pytest.raises(InvalidRequestError) as raised:
            read({"q": text}, "q", 10)
        assert place_of(raised.value) == [(["query", "q"], "text")]


def test_only_a_required_text_may_not_be_missing() -> None:
    assert filters.text({"p": "a"}, "q", 10) is None
    with pytest.raises(InvalidRequestError) as raised:
        filters.required_text({"p": "a"}, "q", 10)
    assert place_of(raised.value) == [(["query", "q"], "missing")]


def test_a_choice_is_one_of_its_words_and_nothing_else() -> None:
    assert filters.choice({}, "in", "user", "robot") is None
    assert [filters.choice({"in": word}, "in", "user", "robot") for word in ("user", "robot")] == ["user", "robot"]
    for text in ("", "User", "user ", "both", "user,robot"):
        with pytest.raises(InvalidRequestError) as raised:
            filters.choice({"in": text}, "in", "user", "robot")
        assert place_of(raised.value) == [(["query", "in"], "choice")]
        assert raised.value.errors[0]["msg"] == "must be user or robot"


def accepted_body(text: str) -> Any:
    """Return the object that a body of this text is, or None if it is refused."""
    try:
        return json_body.parse(text, False)
    except RobotBrainError:
        return None


@given(TEXTS)
def test_a_parameter_is_the_object_that_a_body_of_the_same_text_is(text: str) -> None:
    body = accepted_body(text)
    if body and len(text) <= 500:
        assert filters.json_object({"metadata": text}, "metadata", 500) == body
    else:
        with pytest.raises(InvalidRequestError) as raised:
            filters.json_object({"metadata": text}, "metadata", 500)
        assert place_of(raised.value) == [(["query", "metadata"], "json_object")]


@pytest.mark.parametrize("text", ["", "{}", "[]", "1", "null", '"a"', "{", '{"a":NaN}', '{"a":"\0"}', '{"\ud83d":1}'])
def test_a_parameter_that_is_no_object_with_a_member_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        filters.scalars({"metadata": text}, "metadata", 500)
    assert place_of(raised.value) == [(["query", "metadata"], "json_object")]


@pytest.mark.parametrize("text", ['{"a":1e400}', '{"a":1e-400}'])
def test_the_message_for_a_number_that_no_double_holds_names_this_rule(text: str) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        filters.scalars({"metadata": text}, "metadata", 500)
    assert "numbers fit into a double" in raised.value.errors[0]["msg"]


@pytest.mark.parametrize("length", [1, 500, 501])
def test_a_parameter_is_bounded_whatever_it_is(length: int) -> None:
    text = '{"a":' + "[" * length
    with pytest.raises(InvalidRequestError):
        filters.json_object({"metadata": text}, "metadata", 500)
    long = '{"a":"' + "x" * (length + 7) + '"}'
    with pytest.raises(InvalidRequestError):
        filters.json_object({"metadata": long}, "metadata", len(long) - 1)
    assert filters.json_object({"metadata": long}, "metadata", len(long)) == {"a": "x" * (length + 7)}


def test_scalars_are_the_same_values_as_text_and_no_others() -> None:
    values = {"a": None, "b": True, "c": 1, "d": 1.5, "e": "\u00e9 \U0001f916", "": ""}
    found = filters.scalars({"metadata": json.dumps(values, ensure_ascii=False)}, "metadata", 500)
    assert found is not None
    assert json.loads(found) == values
    assert filters.scalars({}, "metadata", 500) is None
    wrongs: list[dict[str, Any]] = [{"a": []}, {"a": {}}, {"a": 1, "b": [1]}]
    for wrong in wrongs:
        with pytest.raises(InvalidRequestError) as raised:
            filters.scalars({"metadata": json.dumps(wrong)}, "metadata", 500)
        assert place_of(raised.value) == [(["query", "metadata"], "scalars")]
