"""The parameters of the audit trail: a time or a date, and a text that names a record or who acted."""

import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robot_brain.errors import InvalidRequestError
from robot_brain.http import parameters

# RFC 3339 has offsets of whole minutes, up to 23:59.
OFFSETS = st.integers(-(24 * 60 - 1), 24 * 60 - 1).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# No offset moves these out of the years 1 to 9999.
TIMES = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=OFFSETS)


def violation(error: pytest.ExceptionInfo[InvalidRequestError]) -> tuple[list[str | int], str]:
    """Return the place and the kind of the one broken rule."""
    (broken,) = error.value.errors
    return broken["loc"], broken["type"]


def read(text: str) -> str | None:
    """Return what the parameter `from` becomes."""
    return parameters.moment({"from": text}, "from")


@given(TIMES)
def test_every_time_of_rfc_3339_becomes_the_same_instant_in_utc(time: datetime) -> None:
    assert read(time.isoformat()) == time.astimezone(UTC).isoformat()


@given(st.dates())
def test_a_date_is_its_first_moment_in_utc(date: object) -> None:
    assert read(str(date)) == f"{date}T00:00:00+00:00"


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-11-28T12:00:00Z", "2026-11-28T12:00:00+00:00"),
        ("2026-11-28T12:00:00.5Z", "2026-11-28T12:00:00.500000+00:00"),
        ("2026-11-28T12:00:00.000001+01:00", "2026-11-28T11:00:00.000001+00:00"),
        ("2026-11-28T00:30:00+01:00", "2026-11-27T23:30:00+00:00"),
        ("2026-11-28T00:30:00-00:00", "2026-11-28T00:30:00+00:00"),
        ("2026-11-28T00:30:00+23:59", "2026-11-27T00:31:00+00:00"),
        ("2028-02-29", "2028-02-29T00:00:00+00:00"),
        ("0001-01-01", "0001-01-01T00:00:00+00:00"),
        ("0001-01-01T00:00:00-14:00", "0001-01-01T14:00:00+00:00"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999+00:00"),
        ("9999-12-31T23:59:59+14:00", "9999-12-31T09:59:59+00:00"),
    ],
)
def test_these_times_become_these_instants(text: str, instant: str) -> None:
    assert read(text) == instant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026",
        "2026-11",
        "20261128",
        "2026-W48-6",
        "2026-332",
        "26-11-28",
        "02026-11-28",
        "2026-11-28 ",
        " 2026-11-28",
        "2026-11-28\n",
        "2026-11-28T12",
        "2026-11-28T12:00Z",
        "2026-11-28T12:00:00",
        "2026-11-28 12:00:00Z",
        "2026-11-28t12:00:00Z",
        "2026-11-28T12:00:00z",
        "2026-11-28T12:00:00.Z",
        "2026-11-28T12:00:00,5Z",
        "2026-11-28T12:00:00.1234567Z",
        "2026-11-28T12:00:00 01:00",
        "2026-11-28T12:00:00+01",
        "2026-11-28T12:00:00+0100",
        "2026-11-28T12:00:00+01:00:00",
        "2026-11-28T12:00:00\u221201:00",
        "2026-11-28T12:00:00Europe/Berlin",
        "\u0662\u0660\u0662\u0666-11-28",
        "2026-02-29",
        "2026-13-01",
        "2026-11-00",
        "0000-01-01",
        "2026-11-28T24:00:00Z",
        "2026-11-28T12:60:00Z",
        "2026-11-28T23:59:60Z",
        "2026-11-28T12:00:00+24:00",
        "2026-11-28T12:00:00+01:60",
        # In UTC these are before the year 1 and after the year 9999.
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:00-00:01",
        "infinity",
        "now",
        "1732752000",
    ],
)
def test_any_other_text_is_no_time(text: str) -> None:
    with pytest.raises(InvalidRequestError) as error:
        read(text)
    assert violation(error) == (["query", "from"], "time")


@given(st.text())
def test_any_text_is_read_as_a_time_or_refused(text: str) -> None:
    with suppress(InvalidRequestError):
        assert read(text) is not None


def test_a_plus_that_is_not_encoded_is_refused_and_the_answer_says_how_to_send_it() -> None:
    found = parameters.query("from=2026-11-28T12:00:00+01:00&to=2026-11-28T12:00:00%2B01:00", {"from", "to"})
    assert parameters.moment(found, "to") == "2026-11-28T11:00:00+00:00"
    with pytest.raises(InvalidRequestError) as error:
        parameters.moment(found, "from")
    assert "%2B" in error.value.errors[0]["msg"]


@given(st.text(max_size=12))
def test_a_short_text_has_characters_but_no_control_character(text: str) -> None:
    wrong = any(unicodedata.category(character) in ("Cc", "Cs") for character in text)
    if wrong or not 1 <= len(text) <= 10:
        with pytest.raises(InvalidRequestError) as error:
            parameters.short_text({"user": text}, "user", 10)
        assert violation(error) == (["query", "user"], "id")
    else:
        assert parameters.short_text({"user": text}, "user", 10) == text


def test_a_parameter_that_is_absent_limits_nothing() -> None:
    assert parameters.moment({}, "from") is None
    assert parameters.short_text({}, "user", 10) is None
