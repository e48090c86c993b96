"""What an error means while calling: PgBouncer's by its text, PostgreSQL's by its SQLSTATE."""

import psycopg
import pytest
from psycopg.pq import DiagnosticField

from robot_brain.database.failures import Failure, while_calling, while_connecting
from robot_brain.errors import (
    ConflictError,
    DatabaseAwayError,
    DatabaseOverloadedError,
    DatabaseReadOnlyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DatabaseWakingError,
    DeadlineExceededError,
    IdempotencyKeyErasedError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    RobotBrainError,
    SchemaMissingError,
    SchemaOutdatedError,
    SearchOffError,
    SessionBeingErasedError,
    UnexpectedDatabaseError,
    UserBeingErasedError,
    UserPreconditionFailedError,
)
from tests.unit.failure_texts import AWAY, FORWARDED, OVERLOADED, PERMANENT, PREFIX, TRANSIENT, WAKING


@pytest.mark.parametrize(("text", "kind"), [*TRANSIENT, *((text, DatabaseRefusedError) for text in PERMANENT)])
def test_an_error_of_the_poolers_own_connecting_is_the_same_failure_as_one_of_ours(
    text: str, kind: type[RobotBrainError]
) -> None:
    """PgBouncer accepts a client before it has a server connection, and sends 08P01 for all its errors."""
    failed = while_calling(psycopg.errors.ProtocolViolation(text))
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (kind is not DatabaseRefusedError, True)


@pytest.mark.parametrize("text", FORWARDED)
def test_a_pooler_error_about_a_forwarded_call_leaves_the_outcome_unknown(text: str) -> None:
    failed = while_calling(psycopg.errors.ProtocolViolation(text))
    assert type(failed.error) is DatabaseAwayError
    assert failed[1:] == (True, True, True)


@pytest.mark.parametrize("text", [text for text in (*WAKING, *OVERLOADED, *PERMANENT) if text not in FORWARDED])
def test_a_pooler_error_about_connecting_or_queueing_means_that_nothing_was_done(text: str) -> None:
    assert while_calling(psycopg.errors.ProtocolViolation(text)).unknown is False


def failure_of(sqlstate: str) -> Failure:
    """Return the Failure of a server error with this SQLSTATE."""
    error = psycopg.errors.lookup(sqlstate)() if sqlstate[:2] != "RB" else psycopg.DatabaseError()
    error.sqlstate = sqlstate
    return while_calling(error)


@pytest.mark.parametrize(
    ("sqlstate", "kind", "repeat", "lost"),
    [
        ("RB409", DeadlineExceededError, False, False),
        ("RB412", UserPreconditionFailedError, False, False),
        ("RB422", IdempotencyKeyReusedError, False, False),
        ("RB410", IdempotencyKeyErasedError, False, False),
        ("RB419", SessionBeingErasedError, False, False),
        ("RB423", InvalidRequestError, False, False),
        ("RB424", InvalidRequestError, False, False),
        ("RB425", InvalidRequestError, False, False),
        ("RB427", InvalidRequestError, False, False),
        ("RB428", InvalidRequestError, False, False),
        ("RB429", UserBeingErasedError, False, False),
        ("RB430", InvalidRequestError, False, False),
        ("RB501", SearchOffError, False, False),
        ("40001", ConflictError, True, False),
        ("40P01", ConflictError, True, False),
        ("55P03", ConflictError, False, False),
        ("57014", DeadlineExceededError, False, False),
        ("53300", DatabaseOverloadedError, True, True),
        ("57P01", DatabaseAwayError, True, True),
        ("57P02", DatabaseAwayError, True, True),
        ("57P03", DatabaseWakingError, True, True),
        ("57P05", DatabaseAwayError, True, True),
        ("08P01", DatabaseAwayError, True, True),
        ("08006", DatabaseAwayError, True, True),
        ("25006", DatabaseReadOnlyError, True, True),
        ("25P03", DatabaseAwayError, True, True),
        ("25P04", DeadlineExceededError, False, True),
        ("08000", DatabaseAwayError, True, True),
        ("08003", DatabaseAwayError, True, True),
        ("08007", DatabaseAwayError, True, True),
        ("28000", DatabaseRefusedError, False, True),
        ("28P01", DatabaseRefusedError, False, True),
        ("3D000", DatabaseRefusedError, False, True),
        ("42501", DatabaseRefusedError, False, True),
        ("42883", SchemaOutdatedError, False, False),
        ("3F000", SchemaMissingError, False, False),
        ("23514", ConflictError, True, False),
        ("23505", UnexpectedDatabaseError, False, False),
        ("22P02", UnexpectedDatabaseError, False, False),
        ("XX000", UnexpectedDatabaseError, True, False),
        ("53100", UnexpectedDatabaseError, False, False),
    ],
)
def test_the_sqlstate_of_a_server_error_decides_what_it_means(
    sqlstate: str, kind: type[RobotBrainError], repeat: bool, lost: bool
) -> None:
    failed = failure_of(sqlstate)
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (repeat, lost)
    # PostgreSQL rolls back on an ordinary error. These SQLSTATEs mean that the connection or the server is lost.
    assert failed.unknown == (sqlstate in ("57P02", "08000", "08003", "08006", "08007", "08P01"))


def server_error(sqlstate: str, **fields: str) -> psycopg.Error:
    """Return a server error with these diagnostic fields."""
    named = {"SQLSTATE": sqlstate, **fields}
    info: dict[int, bytes | None] = {DiagnosticField[name]: value.encode() for name, value in named.items()}
    return psycopg.errors.lookup(sqlstate)("", info=info)


def test_a_violated_check_constraint_of_ours_is_not_retried() -> None:
    failed = while_calling(server_error("23514", CONSTRAINT_NAME="conversations_seq_check"))
    assert type(failed.error) is UnexpectedDatabaseError
    assert failed[1:] == (False, False, False)


@pytest.mark.parametrize("sqlstate", ["XX000", "53100", "58030"])
def test_a_panic_leaves_the_outcome_unknown_whatever_its_sqlstate(sqlstate: str) -> None:
    """The server may have written the commit record before it panicked."""
    for severity in ("ERROR", "FATAL"):
        assert while_calling(server_error(sqlstate, SEVERITY_NONLOCALIZED=severity)).unknown is False
    failed = while_calling(server_error(sqlstate, SEVERITY_NONLOCALIZED="PANIC"))
    assert type(failed.error) is DatabaseAwayError
    assert failed[1:] == (True, True, True)


def test_the_log_text_of_an_older_schema_names_make_migrate() -> None:
    assert "make migrate" in str(failure_of("42883").error)
    assert "restore" not in str(failure_of("42883").error)
    assert "make migrate" not in SchemaOutdatedError.summary()


def test_the_log_text_of_a_missing_schema_names_a_backup_before_make_migrate() -> None:
    before, _, after = str(failure_of("3F000").error).partition("restore a backup")
    assert "make migrate" not in before
    assert "make migrate" in after
    assert "being upgraded" not in SchemaMissingError.summary()


@pytest.mark.parametrize("text", [WAKING[0], OVERLOADED[0], AWAY[0], PERMANENT[0]])
def test_the_cause_is_in_the_log_text_and_not_in_the_answer(text: str) -> None:
    error = psycopg.OperationalError(PREFIX + text)
    for failed in (while_connecting(error), while_calling(psycopg.OperationalError(text))):
        assert text in str(failed.error)
        assert text not in failed.error.summary()
    refused = failure_of("28P01").error
    assert str(refused).startswith("28P01")


def test_an_error_caused_by_the_request_does_not_quote_the_server() -> None:
    """The client reads the text of such an error."""
    for sqlstate in ("RB412", "RB422"):
        error = failure_of(sqlstate).error
        assert str(error) == error.summary()


def test_metadata_that_is_too_large_after_the_merge_is_an_error_at_body_user_metadata() -> None:
    error = failure_of("RB423").error
    assert isinstance(error, InvalidRequestError)
    assert [found["loc"] for found in error.errors] == [["body", "user_metadata"]]


def test_a_call_whose_connection_was_lost_is_retried() -> None:
    failed = while_calling(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert isinstance(failed.error, DatabaseUnavailableError)
    assert failed[1:] == (True, True, True)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.DatabaseError('lost synchronization with server: got message type "x"'),
        psycopg.InternalError("got no result from the query"),
    ],
)
def test_an_answer_that_cannot_be_read_means_a_lost_connection(error: psycopg.Error) -> None:
    failed = while_calling(error)
    assert isinstance(failed.error, DatabaseAwayError)
    assert failed[1:] == (True, True, True)


@pytest.mark.parametrize(
    "error", [psycopg.DataError("NUL"), psycopg.ProgrammingError("x"), psycopg.InterfaceError("x")]
)
def test_a_programming_error_in_a_call_is_not_retried(error: psycopg.Error) -> None:
    failed = while_calling(error)
    assert isinstance(failed.error, UnexpectedDatabaseError)
    assert (failed.repeat, failed.unknown) == (False, False)
