"""The parameters of the list of sessions, of a removal and of a turn's path."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError
from robot_brain.http import parameters
from robot_brain.limits import MAX_CURSOR_LENGTH


def violation(error: pytest.ExceptionInfo[InvalidRequestError]) -> tuple[list[str | int], str]:
    """Return the place and the kind of the one broken rule."""
    (broken,) = error.value.errors
    return broken["loc"], broken["type"]


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=260))
def test_a_user_id_has_1_to_255_characters_of_those_that_a_session_id_may_have(text: str) -> None:
    wrong = any(unicodedata.category(each) == "Cc" or each in "/\\?#%" for each in text) or text in (".", "..")
    if wrong or not 1 <= len(text) <= 255:
        with pytest.raises(InvalidRequestError) as error:
            parameters.listed_user_id({"user_id": text}, "user_id")
        assert violation(error) == (["query", "user_id"], "user_id")
    else:
        assert parameters.listed_user_id({"user_id": text}, "user_id") == text
    assert parameters.listed_user_id({}, "user_id") is None


@pytest.mark.parametrize("text", ["", " ", "a b", "\x00", "\ud83d", "é", "x" * (MAX_CURSOR_LENGTH + 1)])
def test_a_cursor_that_no_answer_holds_is_refused(text: str) -> None:
    assert parameters.cursor({"cursor": "a-_=.+/9"}, "cursor") == "a-_=.+/9"
    with pytest.raises(InvalidRequestError) as error:
        parameters.cursor({"cursor": text}, "cursor")
    assert violation(error) == (["query", "cursor"], "cursor")


def test_a_flag_is_true_or_false_and_false_if_absent() -> None:
    assert [parameters.flag(found, "preview") for found in ({"preview": "true"}, {"preview": "false"}, {})] == [
        True,
        False,
        False,
    ]
    for text in ("", "1", "True", "yes", "true "):
        with pytest.raises(InvalidRequestError) as error:
            parameters.flag({"preview": text}, "preview")
        assert violation(error) == (["query", "preview"], "flag")


@pytest.mark.parametrize("text", ["0", "-1", "", "x", "2147483648", "1.0", "\u0667", "9" * 13])
def test_a_seq_is_a_whole_number_from_1_to_2_31_minus_1(text: str) -> None:
    loc: list[str | int] = ["path", "seq"]
    assert [parameters.seq(good, loc) for good in ("1", "2147483647")] == [1, 2**31 - 1]
    with pytest.raises(InvalidRequestError) as error:
        parameters.seq(text, loc)
    assert violation(error) == (loc, "whole_number")


def test_a_required_number_that_is_absent_is_missing() -> None:
    assert parameters.required_number({"after": "0"}, "after", 0, 9) == 0
    with pytest.raises(InvalidRequestError) as error:
        parameters.required_number({}, "after", 0, 9)
    assert violation(error) == (["query", "after"], "missing")
