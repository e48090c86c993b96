"""Path, query and header parameters: examples, and valid values compared with the standard library."""

import re
import unicodedata
from urllib.parse import parse_qsl, quote, quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError, MalformedRequestError
from robot_brain.http import parameters

LOC: list[str | int] = ["path", "session_id"]

# All texts that UTF-8 can encode: no surrogates.
texts = st.text(st.characters(exclude_categories=["Cs"]))


def violation(error: pytest.ExceptionInfo[InvalidRequestError]) -> tuple[list[str | int], str]:
    """Return the place and the kind of the one broken rule."""
    (broken,) = error.value.errors
    return broken["loc"], broken["type"]


@given(st.dictionaries(texts, texts, max_size=5))
def test_a_query_is_parsed_as_the_standard_library_parses_it(sent: dict[str, str]) -> None:
    for raw in (urlencode(sent), urlencode(sent, quote_via=quote)):
        expected = dict(parse_qsl(raw, keep_blank_values=True, strict_parsing=bool(raw)))
        assert parameters.query(raw, sent) == expected == sent


@given(texts, texts)
def test_a_query_need_not_be_encoded_if_it_is_unambiguous(name: str, value: str) -> None:
    raw = re.sub("[%&+=]", "", name) + "=" + re.sub("[%&+]", "", value)
    assert parameters.query(raw, {raw.partition("=")[0]}) == {raw.partition("=")[0]: raw.partition("=")[2]}


@given(st.text())
def test_any_query_is_read_or_refused(raw: str) -> None:
    try:
        found = parameters.query(raw, {"limit", ""})
    except (MalformedRequestError, InvalidRequestError):
        return
    assert set(found) <= {"limit", ""}


@given(st.binary(min_size=1, max_size=6))
def test_percent_encoded_bytes_are_utf_8_or_refused(data: bytes) -> None:
    raw = "limit=" + "".join(f"%{byte:02x}" for byte in data)
    try:
        expected = data.decode()
    except UnicodeDecodeError:
        with pytest.raises(MalformedRequestError, match="UTF-8"):
            parameters.query(raw, {"limit"})
    else:
        assert parameters.query(raw, {"limit"}) == {"limit": expected}


def test_every_unknown_and_repeated_parameter_is_named() -> None:
    with pytest.raises(InvalidRequestError) as error:
        parameters.query("a=1&limit=1&b=2&limit=2", {"limit", "before"})
    assert [(found["loc"], found["type"]) for found in error.value.errors] == [
        (["query", "a"], "unknown_parameter"),
        (["query", "b"], "unknown_parameter"),
        (["query", "limit"], "repeated_parameter"),
    ]
    assert error.value.errors[0]["msg"] == "unknown parameter; known: before, limit"


@pytest.mark.parametrize("raw", ["%", "a=%", "a=%1", "a=%g0", "a=%0g", "a=%%41", "a=1%", "%E2%82=1", "a=%80", "a=%ff"])
def test_an_invalid_percent_encoding_is_malformed(raw: str) -> None:
    with pytest.raises(MalformedRequestError):
        parameters.query(raw, {"a"})


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=100))
def test_a_session_id_is_refused_exactly_for_the_characters_that_the_contract_forbids(text: str) -> None:
    control = any(unicodedata.category(character) == "Cc" for character in text)
    if control or set(text) & set("/\\?#%") or text in (".", ".."):
        with pytest.raises(InvalidRequestError) as error:
            parameters.session_id(text, LOC)
        assert violation(error) == (LOC, "session_id_characters")
    else:
        assert parameters.session_id(text, LOC) == text


@pytest.mark.parametrize("text", ["", "a" * 101, "€" * 101])
def test_a_session_id_has_1_to_100_characters(text: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        parameters.session_id(text, LOC)
    assert violation(error) == (LOC, "session_id_length")


@given(st.integers(0, 10**11))
def test_a_parameter_of_digits_is_a_whole_number(number: int) -> None:
    assert parameters.whole_number({"limit": str(number)}, "limit", 0, 10**11) == number


@given(texts.filter(lambda text: not re.fullmatch("[0-9]{1,12}", text, re.ASCII)))
def test_a_parameter_of_other_characters_than_digits_is_no_whole_number(text: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        parameters.whole_number({"limit": text}, "limit", 0, 10**12)
    assert violation(error) == (["query", "limit"], "whole_number")


@pytest.mark.parametrize("number", [0, 201, 10**12])
def test_a_whole_number_has_bounds(number: int) -> None:
    with pytest.raises(InvalidRequestError, match="rule") as error:
        parameters.whole_number({"limit": str(number)}, "limit", 1, 200)
    assert error.value.errors[0]["msg"] == "must be a whole number from 1 to 200"


def test_an_absent_parameter_is_python_none() -> None:
    assert parameters.whole_number({}, "limit", 1, 200) is None


def test_two_parameters_that_exclude_each_other_are_refused_together() -> None:
    parameters.exclude({"before": "1"}, "after", "before")
    parameters.exclude({"after": "1"}, "after", "before")
    with pytest.raises(InvalidRequestError) as error:
        parameters.exclude({"before": "1", "after": "1"}, "after", "before")
    assert violation(error) == (["query", "before"], "exclusive_parameters")


@pytest.mark.parametrize(
    ("header", "state"),
    [
        (None, None),
        ('"0"', "0"),
        ('"7"', "7"),
        (' "7" ', "7"),
        ('"007"', "7"),
        ('"7.12"', "7.12"),
        ('"07.1f"', "7.1f"),
        (f'"{"9" * 18}"', "9" * 18),
    ],
)
def test_if_match_names_the_last_seq_or_a_whole_tag(header: str | None, state: str | None) -> None:
    assert parameters.if_match(header) == state


@pytest.mark.parametrize(
    "header", ["", "7", '""', '"a"', '"-1"', '"7', '"7."', '".7"', '"7.1.2"', '"\u0667"', 'W/"7"', "*", '"7", "8"']
)
def test_an_if_match_that_is_no_single_strong_tag_is_malformed(header: str) -> None:
    with pytest.raises(MalformedRequestError, match="If-Match"):
        parameters.if_match(header)


@pytest.mark.parametrize(
    ("header", "version"), [(None, None), ('"5f3a"', "5f3a"), (' "07" ', "07"), (f'"{"f" * 32}"', "f" * 32)]
)
def test_the_if_match_of_a_user_names_its_version(header: str | None, version: str | None) -> None:
    assert parameters.user_if_match(header) == version


@pytest.mark.parametrize(
    "header",
    ["", "5f3a", '""', '"5f3a', '"7.1f"', '"5f-3a"', f'"{"f" * 33}"', '"\u0667"', 'W/"7"', "*", '"7", "8"', '"7"\x00'],
)
def test_the_if_match_of_a_user_that_is_no_single_strong_tag_is_malformed(header: str) -> None:
    with pytest.raises(MalformedRequestError, match="of the user"):
        parameters.user_if_match(header)


# RFC 9110: etagc = %x21 / %x23-7E / obs-text
tags = st.text(st.characters(min_codepoint=0x21, exclude_characters='"\x7f', exclude_categories=["Cs"])).map(
    '"{}"'.format
)


@given(st.lists(st.tuples(st.booleans(), tags, st.sampled_from([",", ", ", " ,\t", ",,"])), max_size=6))
def test_if_none_match_reads_every_list_of_tags(sent: list[tuple[bool, str, str]]) -> None:
    header = "".join(f"{'W/' * weak}{tag}{separator}" for weak, tag, separator in sent)
    expected = [tag for _, tag, _ in sent]
    assert parameters.if_none_match(header) == expected
    assert parameters.if_none_match(header.rstrip(", \t")) == expected


@given(st.text())
def test_if_none_match_never_fails(header: str) -> None:
    for tag in parameters.if_none_match(header):
        assert tag == "*" or (tag[0] == tag[-1] == '"' and tag in header)
        tag.encode()


@pytest.mark.parametrize(
    ("header", "known"),
    [
        (None, []),
        ("", []),
        ("*", ["*"]),
        (" * ", ["*"]),
        ("7", []),
        ('"7', []),
        ('"a b"', []),
        ('W/ "7"', ['"7"']),
        ('"7.1"', ['"7.1"']),
        ('"a,b", W/"c"', ['"a,b"', '"c"']),
    ],
)
def test_if_none_match_reads_these_examples(header: str | None, known: list[str]) -> None:
    assert parameters.if_none_match(header) == known


def test_if_none_match_is_read_in_linear_time() -> None:
    for header in ('"' * 100_000, '"a" ' * 50_000, '"a"' + " " * 100_000 + "x", 'W/"' * 50_000):
        parameters.if_none_match(header)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters=","), min_size=1, max_size=255))
def test_a_printable_idempotency_key_is_kept_unchanged(key: str) -> None:
    assert parameters.idempotency_key(key) == key


def test_an_absent_idempotency_key_is_python_none() -> None:
    assert parameters.idempotency_key(None) is None


@pytest.mark.parametrize("key", ["", "x" * 256, "é", ",", "a,b", "a, a", "a,", "a\n", "\t", "a\x7f", "\x00", "\u0667"])
def test_an_idempotency_key_that_is_empty_long_or_not_printable_is_malformed(key: str) -> None:
    with pytest.raises(MalformedRequestError, match="Idempotency-Key"):
        parameters.idempotency_key(key)


def test_in_a_query_a_plus_is_a_space_and_an_encoded_plus_is_a_plus() -> None:
    assert parameters.query(f"a=b+c&d={quote_plus('+ ')}", {"a", "d"}) == {"a": "b c", "d": "+ "}
