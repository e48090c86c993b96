"""The text of a body becomes a JSON object. Unreadable text is 400, a broken rule is 422."""

import base64
import json
import math
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError, MalformedRequestError, RequestTooLargeError
from robot_brain.http import json_body
from robot_brain.limits import MAX_REQUEST_BYTES
from tests.support.json_values import texts, values

objects = st.dictionaries(texts, values, max_size=4)


def refusal(text: str) -> tuple[list[str | int], str]:
    """Return the place and the kind of the one rule that `text` breaks."""
    with pytest.raises(InvalidRequestError) as error:
        json_body.parse(text, False)
    (violation,) = error.value.errors
    return violation["loc"], violation["type"]


@given(objects, st.booleans(), st.booleans())
def test_every_json_object_reads_back_equal(sent: dict[str, Any], ascii_only: bool, as_base64: bool) -> None:
    text = json.dumps(sent, ensure_ascii=ascii_only)
    body = base64.b64encode(text.encode()).decode() if as_base64 else text
    assert json_body.parse(body, as_base64) == sent


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for is_base64 in (False, True):
        with suppress(MalformedRequestError, InvalidRequestError):
            assert isinstance(json_body.parse(text, is_base64), dict)


@given(st.binary())
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with suppress(MalformedRequestError, InvalidRequestError):
        assert isinstance(json_body.parse(base64.b64encode(data).decode(), True), dict)


def test_the_last_value_of_a_repeated_key_counts() -> None:
    assert json_body.parse('{"a": 1, "b": 2, "a": 3}', False) == {"a": 3, "b": 2}


@pytest.mark.parametrize("number", ["0", "-0", "1.5", "1e308", "-1.7976931348623157e308", "5e-324", "9" * 308])
def test_a_number_within_a_double_is_read(number: str) -> None:
    assert float(json_body.parse(f'{{"x": {number}}}', False)["x"]) == float(number)


@pytest.mark.parametrize(
    "number", ["3e-324", "-4.9406564584124654e-324", "0.0", "-0.0", "0e-400", "0.000E-999", "-0e400", "0." + "0" * 500]
)
def test_a_number_near_zero_that_a_double_holds_is_read(number: str) -> None:
    assert json_body.parse(f'{{"x": {number}}}', False) == {"x": float(number)}


@pytest.mark.parametrize(
    "number",
    ["1e-400", "-1e-400", "1E-400", "2e-324", "0.1e-400", "1e-99999999999", "0." + "0" * 400 + "1", "9" * 99 + "e-999"],
)
def test_a_number_that_a_double_rounds_to_zero_is_malformed(number: str) -> None:
    for text in (f'{{"x": {number}}}', f'{{"x": [{{"y": {number}}}]}}', number):
        with pytest.raises(MalformedRequestError, match="too near to zero"):
            json_body.parse(text, False)


def test_a_long_integer_keeps_its_digits() -> None:
    largest = int(1.7976931348623157e308)
    for number in (2**53 + 1, largest, -largest):
        assert json_body.parse(f'{{"x": {number}}}', False) == {"x": number}
    assert math.isinf(float("9" * 309))


@pytest.mark.parametrize(
    "number",
    ["NaN", "Infinity", "-Infinity", "1e309", "-1e400", "1.8e308", "9" * 309, "-" + "9" * 309, "1" * 311, "7" * 5000],
)
def test_a_number_that_no_double_holds_is_malformed(number: str) -> None:
    for text in (f'{{"x": {number}}}', f'{{"x": [{{"y": {number}}}]}}', number):
        with pytest.raises(MalformedRequestError):
            json_body.parse(text, False)


def test_a_syntax_error_names_its_position_and_quotes_nothing() -> None:
    with pytest.raises(MalformedRequestError) as error:
        json_body.parse('{"secret": hush}', False)
    assert str(error.value) == "the body is not JSON: Expecting value at character 11"
    assert error.value.__cause__ is None
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "b\n"}', "Invalid control character at character 8"),
        ('{"a": "b', "Unterminated string starting at character 6"),
        ('{"a": "\\x"}', "Invalid \\escape at character 7"),
        ('{"a": "\\u00"}', "Invalid \\uXXXX escape at character 8"),
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("\ufeff", "it is empty"),
    ],
)
def test_the_message_of_a_syntax_error_is_one_sentence(text: str, message: str) -> None:
    with pytest.raises(MalformedRequestError) as error:
        json_body.parse(text, False)
    assert str(error.value) == f"the body is not JSON: {message}"


@pytest.mark.parametrize("as_base64", [False, True])
def test_one_byte_order_mark_before_the_json_is_skipped(as_base64: bool) -> None:
    def parse(text: str) -> dict[str, Any]:
        return json_body.parse(base64.b64encode(text.encode()).decode() if as_base64 else text, as_base64)

    assert parse('\ufeff{"a": "\ufeff"}') == {"a": "\ufeff"}
    for text in ('\ufeff\ufeff{"a": 1}', ' \ufeff{"a": 1}', '{"a": 1}\ufeff', '{\ufeff"a": 1}'):
        with pytest.raises(MalformedRequestError):
            parse(text)


@pytest.mark.parametrize("text", ["[]", "5", '"a"', "null", "true"])
def test_json_other_than_an_object_breaks_a_rule(text: str) -> None:
    assert refusal(text) == (["body"], "object")


@pytest.mark.parametrize("escape", ["\\u0000", "\\ud800", "\\udfff", "\\ude00\\ud83d", "a\\uD83Dz", "\\ud83d\\n"])
@pytest.mark.parametrize(
    ("text", "loc"),
    [
        ('{"a": "%s"}', ["body", "a"]),
        ('{"a": [0, {"b": "%s"}]}', ["body", "a", 1, "b"]),
        ('{"a": {"%s": 1}}', ["body", "a"]),
        ('{"%s": 1}', ["body"]),
    ],
)
def test_nul_and_half_a_surrogate_pair_break_a_rule(text: str, loc: list[str | int], escape: str) -> None:
    assert refusal(text % escape) == (loc, "forbidden_character")


def test_a_whole_surrogate_pair_is_one_character() -> None:
    assert json_body.parse('{"a": "\\ud83e\\udd16"}', False) == {"a": "\U0001f916"}


def test_nesting_of_64_is_read_and_65_breaks_a_rule() -> None:
    for opening, closing in (("[", "]"), ('{"a":', "}")):
        inside = 63
        text = '{"a":' + opening * inside + ("0" if opening != "[" else "") + closing * inside + "}"
        assert json_body.parse(text, False)
        deeper = '{"a":' + opening * (inside + 1) + ("0" if opening != "[" else "") + closing * (inside + 1) + "}"
        loc, kind = refusal(deeper)
        assert (loc[:2], kind) == (["body", "a"], "nesting")
        assert len(loc) <= 8


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert json_body.parse(json.dumps({"a": [[]] * 1000, "b": "[{" * 1000}), False)


@pytest.mark.parametrize("depth", [1_000, 100_000, 2_000_000])
def test_very_deep_nesting_is_refused_without_another_error(depth: int) -> None:
    for text in (
        "[" * depth,
        "[" * depth + "]" * depth,
        '{"a":' * (depth // 5),
        '{"a":' + "[" * depth + "]" * depth + "}",
    ):
        with pytest.raises((InvalidRequestError, MalformedRequestError)):
            json_body.parse(text, False)


def test_4_mib_is_read_and_a_byte_more_is_too_large() -> None:
    text = '{"a": 1}'.ljust(MAX_REQUEST_BYTES)
    assert json_body.parse(text, False) == {"a": 1}
    assert json_body.parse(base64.b64encode(text.encode()).decode(), True) == {"a": 1}
    for longer in (text + " ", "é" * (MAX_REQUEST_BYTES // 2) + " "):
        with pytest.raises(RequestTooLargeError):
            json_body.parse(longer, False)
        with pytest.raises(RequestTooLargeError):
            json_body.parse(base64.b64encode(longer.encode()).decode(), True)


@pytest.mark.parametrize(
    "body", ["%%%", "eyJhIjogMX0", "eyJhIjog\nMX0=", "eyJhIjog-_0=", "é", "=", "eyJhIjogMX0=eyJhIjogMX0="]
)
def test_a_body_that_is_not_base64_is_malformed(body: str) -> None:
    with pytest.raises(MalformedRequestError, match="base64"):
        json_body.parse(body, True)


@pytest.mark.parametrize(
    "data", [b"\xff", b'{"a": "\xe9"}', b'{"a": "\xed\xa0\xbd"}', b'{"a": "\xc0\x80"}', '{"a": 1}'.encode("utf-16")]
)
def test_a_body_that_is_not_utf_8_is_malformed(data: bytes) -> None:
    with pytest.raises(MalformedRequestError, match="UTF-8"):
        json_body.parse(base64.b64encode(data).decode(), True)


def test_a_body_with_an_unescaped_surrogate_is_not_utf_8() -> None:
    with pytest.raises(MalformedRequestError, match="UTF-8"):
        json_body.parse('{"a": "\ud83d"}', False)
