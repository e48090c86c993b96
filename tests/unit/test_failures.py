"""What an error means while connecting: its text decides about the exception and about a retry."""

import psycopg
import pytest
from psycopg import errors as pg

from robot_brain.database.failures import cause, is_final, while_connecting
from robot_brain.errors import (
    DatabaseRefusedError,
    DatabaseWakingError,
    RobotBrainError,
    SettingsError,
)
from tests.unit.failure_texts import AWAY, OVERLOADED, PERMANENT, PREFIX, TRANSIENT, WAKING


@pytest.mark.parametrize(("text", "kind"), TRANSIENT)
def test_a_transient_failure_to_connect_is_retried(text: str, kind: type[RobotBrainError]) -> None:
    failed = while_connecting(psycopg.OperationalError(PREFIX + text))
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (True, True)


@pytest.mark.parametrize("text", [*AWAY, *PERMANENT, *WAKING, *OVERLOADED])
def test_a_failure_to_connect_means_that_nothing_was_done(text: str) -> None:
    assert while_connecting(psycopg.OperationalError(PREFIX + text)).unknown is False


def test_silence_after_connecting_means_that_the_database_wakes() -> None:
    failed = while_connecting(psycopg.errors.ConnectionTimeout("connected to 203.0.113.5, which then stayed silent"))
    assert isinstance(failed.error, DatabaseWakingError)
    assert (failed.repeat, failed.lost) == (True, True)


@pytest.mark.parametrize(
    ("text", "final"),
    [
        (PERMANENT[0], True),
        (OVERLOADED[0], True),
        (WAKING[0], False),
        (AWAY[0], False),
        ("root certificate file", True),
    ],
)
def test_another_address_is_tried_only_if_this_one_is_away_or_waking(text: str, final: bool) -> None:
    assert is_final(psycopg.OperationalError(PREFIX + text)) is final


def test_the_pause_before_a_retry_is_longer_after_overload() -> None:
    pauses = [while_connecting(psycopg.OperationalError(texts[0])).pause for texts in (WAKING, AWAY, OVERLOADED)]
    assert pauses[0] == pauses[1] < pauses[2]


@pytest.mark.parametrize(
    "text",
    [
        'root certificate file "/none.pem" does not exist',
        'could not read root certificate file "/none.pem": no certificate or crl found',
        'could not read certificate file "/none.pem": No such file or directory',
        'could not load private key file "/none.pem": bad decrypt',
        'private key file "/none.pem" has group or world access; file must have permissions u=rw (0600) or less',
    ],
)
def test_a_file_that_libpq_cannot_read_is_a_settings_error(text: str) -> None:
    failed = while_connecting(psycopg.OperationalError(PREFIX + text))
    assert isinstance(failed.error, SettingsError)
    assert "none.pem" not in str(failed.error)
    assert failed.repeat is False


@pytest.mark.parametrize("text", PERMANENT)
def test_a_permanent_failure_to_connect_is_not_retried(text: str) -> None:
    failed = while_connecting(psycopg.OperationalError(PREFIX + text))
    assert isinstance(failed.error, DatabaseRefusedError)
    assert (failed.repeat, failed.lost) == (False, True)


def test_an_error_text_with_a_permanent_part_is_a_permanent_failure() -> None:
    """If one host refuses the password and the others are down, a retry of all of them does not help."""
    text = "Connection refused\n- host: 127.0.0.1: Couldn't connect to compute node: password authentication failed"
    assert isinstance(while_connecting(psycopg.OperationalError(text)).error, DatabaseRefusedError)


def test_the_cause_is_the_first_line_of_an_error() -> None:
    assert cause(psycopg.OperationalError("first\nsecond")) == "first"
    assert cause(psycopg.OperationalError("")) == ""
    assert cause(psycopg.OperationalError()) == ""
    assert cause(pg.QueryCanceled()) == "57014 None"
