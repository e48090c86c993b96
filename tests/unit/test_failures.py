"""What a failure of the database means: the table of texts while connecting, and of SQLSTATEs while calling."""

import psycopg
import pytest
from psycopg import errors as pg

from robot_brain.errors import (
    ConflictError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DeadlineExceededError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    PreconditionFailedError,
    RobotBrainError,
    SchemaOutdatedError,
    UnexpectedDatabaseError,
)
from robot_brain.failures import Failure, cause, while_calling, while_connecting

# Neon's proxy and PgBouncer, as a client reads them.
TRANSIENT = [
    "Couldn't connect to compute node",
    "Control plane request failed",
    "Failed to acquire permit to connect to the database. Too many database connection attempts are currently ongoing.",
    "Too many connections attempts",
    "Too many connections to this endpoint",
    "no more connections allowed (max_client_conn)",
    "Authentication timed out",
    "server login has been failing, try again later (server_login_retry)",
    "pooler is shutting down",
    "server closed the connection unexpectedly",
    "SSL error: unexpected eof while reading",
    "the database system is starting up",
    "connection timeout expired",
    "Connection refused",
    "sorry, too many clients already",
    "query_wait_timeout",
    "could not translate host name to address: Temporary failure in name resolution",
    "",
]
PERMANENT = [
    "The requested endpoint is disabled. Enable it using Neon API and retry.",
    "The requested endpoint cannot be found. Check that you are using the correct endpoint id.",
    "Control plane request failed: endpoint is disabled",
    "The endpoint is temporarily unavailable. Check your quotas and/or contact our support.",
    "Your project has exceeded the compute time quota. Upgrade your plan to increase limits.",
    "Your account or project has exceeded the quota.",
    'password authentication failed for user "robot_brain_app"',
    "SASL authentication failed",
    "Endpoint ID is not specified. Either please upgrade the postgres client library (libpq) for SNI support",
    "This IP address 203.0.113.7 is not allowed to connect to this endpoint.",
    "unsupported startup parameter in options: statement_timeout",
    'database "nowhere" does not exist',
    'role "nobody" does not exist',
    'role "robot_brain_app" is not permitted to log in',
    'root certificate file "/none.pem" does not exist',
    "SSL error: certificate verify failed",
    'server certificate for "a.example" does not match host name "b.example"',
    "server does not support SSL, but SSL was required",
    'no pg_hba.conf entry for host "203.0.113.7", user "u", database "d", no encryption',
    "channel binding required, but server authenticated client without channel binding",
]
_PREFIX = 'connection failed: connection to server at "203.0.113.5", port 5432 failed: ERROR:  '


@pytest.mark.parametrize("text", TRANSIENT)
def test_a_transient_failure_to_connect_is_repeated(text: str) -> None:
    failed = while_connecting(psycopg.OperationalError(_PREFIX + text))
    assert isinstance(failed.error, DatabaseUnavailableError)
    assert (failed.repeat, failed.lost) == (True, True)


@pytest.mark.parametrize("text", PERMANENT)
def test_a_permanent_failure_to_connect_is_not(text: str) -> None:
    failed = while_connecting(psycopg.OperationalError(_PREFIX + text))
    assert isinstance(failed.error, DatabaseRefusedError)
    assert (failed.repeat, failed.lost) == (False, True)


def test_the_permanent_part_of_a_text_decides() -> None:
    """One host of several refuses the password, the others are down: asking them all again does not help."""
    text = "Connection refused\n- host: 127.0.0.1: Couldn't connect to compute node: password authentication failed"
    assert isinstance(while_connecting(psycopg.OperationalError(text)).error, DatabaseRefusedError)


def calling(sqlstate: str) -> Failure:
    """Return what an error of the server with this SQLSTATE means."""
    error = psycopg.errors.lookup(sqlstate)() if sqlstate[:2] != "RB" else psycopg.DatabaseError()
    error.sqlstate = sqlstate
    return while_calling(error)


@pytest.mark.parametrize(
    ("sqlstate", "kind", "repeat", "lost"),
    [
        ("RB412", PreconditionFailedError, False, False),
        ("RB422", IdempotencyKeyReusedError, False, False),
        ("RB423", InvalidRequestError, False, False),
        ("40001", ConflictError, True, False),
        ("40P01", ConflictError, True, False),
        ("55P03", ConflictError, False, False),
        ("57014", DeadlineExceededError, False, False),
        ("53300", DatabaseUnavailableError, True, True),
        ("57P01", DatabaseUnavailableError, True, True),
        ("57P02", DatabaseUnavailableError, True, True),
        ("57P03", DatabaseUnavailableError, True, True),
        ("57P05", DatabaseUnavailableError, True, True),
        ("08P01", DatabaseUnavailableError, True, True),
        ("08006", DatabaseUnavailableError, True, True),
        ("25006", DatabaseUnavailableError, True, True),
        ("42883", SchemaOutdatedError, False, False),
        ("3F000", SchemaOutdatedError, False, False),
        ("42501", SchemaOutdatedError, False, False),
        ("23514", UnexpectedDatabaseError, False, False),
        ("23505", UnexpectedDatabaseError, False, False),
        ("22P02", UnexpectedDatabaseError, False, False),
        ("XX000", UnexpectedDatabaseError, False, False),
        ("53100", UnexpectedDatabaseError, False, False),
    ],
)
def test_an_answer_of_the_server_is_told_by_its_sqlstate(
    sqlstate: str, kind: type[RobotBrainError], repeat: bool, lost: bool
) -> None:
    failed = calling(sqlstate)
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (repeat, lost)


def test_a_schema_that_is_not_there_tells_the_operator_what_to_do() -> None:
    assert "make migrate" in str(calling("42883").error)
    assert "make migrate" not in SchemaOutdatedError.summary()


def test_metadata_that_is_too_large_once_merged_points_into_the_body() -> None:
    error = calling("RB423").error
    assert isinstance(error, InvalidRequestError)
    assert [found["loc"] for found in error.errors] == [["body", "user_metadata"]]


def test_a_connection_that_was_lost_is_repeated() -> None:
    failed = while_calling(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert isinstance(failed.error, DatabaseUnavailableError)
    assert (failed.repeat, failed.lost) == (True, True)


@pytest.mark.parametrize(
    "error", [psycopg.DataError("NUL"), psycopg.ProgrammingError("x"), psycopg.InterfaceError("x")]
)
def test_an_error_of_our_own_making_is_not(error: psycopg.Error) -> None:
    failed = while_calling(error)
    assert isinstance(failed.error, UnexpectedDatabaseError)
    assert failed.repeat is False


def test_the_cause_is_one_line() -> None:
    assert cause(psycopg.OperationalError("first\nsecond")) == "first"
    assert cause(psycopg.OperationalError("")) == ""
    assert cause(psycopg.OperationalError()) == ""
    assert cause(pg.QueryCanceled()) == "57014 None"
