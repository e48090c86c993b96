"""What a failure of the database means: the table of texts while connecting, and of SQLSTATEs while calling."""

import psycopg
import pytest
from psycopg import errors as pg
from psycopg.pq import DiagnosticField

from robot_brain.database.failures import Failure, cause, is_final, while_calling, while_connecting
from robot_brain.errors import (
    ConflictError,
    DatabaseAwayError,
    DatabaseOverloadedError,
    DatabaseReadOnlyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DatabaseWakingError,
    DeadlineExceededError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    PreconditionFailedError,
    RobotBrainError,
    SchemaOutdatedError,
    SettingsError,
    UnexpectedDatabaseError,
)

# Neon's proxy and PgBouncer, as a client reads them.
WAKING = [
    "Couldn't connect to compute node",
    "Control plane request failed",
    "Authentication timed out",
    "the database system is starting up",
    "the database system is not yet accepting connections",
    "the database system is in recovery mode",
]
OVERLOADED = [
    "Failed to acquire permit to connect to the database. Too many database connection attempts are currently ongoing.",
    "Too many connections attempts",
    "Too many connections to this endpoint",
    "no more connections allowed (max_client_conn)",
    "sorry, too many clients already",
    'too many connections for role "robot_brain_app"',
    "remaining connection slots are reserved for roles with the SUPERUSER attribute",
    "query_wait_timeout",
    "query_timeout",
    "client connections exceeded (max_db_client_connections)",
]
AWAY = [
    "server login has been failing, try again later (server_login_retry)",
    "pooler is shutting down",
    "client_login_timeout (server down)",
    "server closed the connection unexpectedly",
    "SSL error: unexpected eof while reading",
    "the database system is shutting down",
    "Connection refused",
    "failed to resolve host 'db.example': [Errno -3] Temporary failure in name resolution",
    "failed to resolve host 'db.example': [Errno -2] Name or service not known",
    "server shutting down",
    "client_idle_timeout",
    "session is read-only",
    "something that nobody has ever read",
    "",
]
# What PgBouncer says of a call that it has passed on: `disconnect_server` of a server that a client uses, `kill_pool`,
# KILL_CLIENT, and packets that it cannot read.
PASSED_ON = [
    "server conn crashed?",
    "server connection closed",
    "query timeout",
    "transaction timeout",
    "idle transaction timeout",
    "suspend_timeout",
    "database removed",
    "admin forced disconnect",
    "unknown pkt",
    "bad pkt header",
    "out of memory",
    "something that nobody has ever read",
    "",
]
TRANSIENT = [
    *((text, DatabaseWakingError) for text in WAKING),
    *((text, DatabaseOverloadedError) for text in OVERLOADED),
    *((text, DatabaseAwayError) for text in AWAY),
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
    "no such database: nowhere",
    'database "nowhere" is not currently accepting connections',
    'permission denied for database "d"',
    "pg_hba.conf rejects connection for host",
    "SSL required",
    "SSL error: certificate verify failed",
    'server certificate for "a.example" does not match host name "b.example"',
    "server does not support SSL, but SSL was required",
    'no pg_hba.conf entry for host "203.0.113.7", user "u", database "d", no encryption',
    "channel binding required, but server authenticated client without channel binding",
]
_PREFIX = 'connection failed: connection to server at "203.0.113.5", port 5432 failed: ERROR:  '


@pytest.mark.parametrize(("text", "kind"), TRANSIENT)
def test_a_transient_failure_to_connect_is_repeated(text: str, kind: type[RobotBrainError]) -> None:
    failed = while_connecting(psycopg.OperationalError(_PREFIX + text))
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (True, True)


@pytest.mark.parametrize(("text", "kind"), [*TRANSIENT, *((text, DatabaseRefusedError) for text in PERMANENT)])
def test_what_the_pooler_says_of_its_own_connecting_is_told_alike(text: str, kind: type[RobotBrainError]) -> None:
    """PgBouncer takes a client before it has a server for it, and knows one SQLSTATE."""
    failed = while_calling(psycopg.errors.ProtocolViolation(text))
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (kind is not DatabaseRefusedError, True)


@pytest.mark.parametrize("text", PASSED_ON)
def test_what_the_pooler_says_of_a_call_that_it_passed_on_leaves_the_outcome_unknown(text: str) -> None:
    failed = while_calling(psycopg.errors.ProtocolViolation(text))
    assert type(failed.error) is DatabaseAwayError
    assert failed[1:] == (True, True, True)


@pytest.mark.parametrize("text", [text for text in (*WAKING, *OVERLOADED, *PERMANENT) if text not in PASSED_ON])
def test_what_the_pooler_says_of_connecting_and_queueing_means_that_nothing_was_done(text: str) -> None:
    assert while_calling(psycopg.errors.ProtocolViolation(text)).unknown is False


@pytest.mark.parametrize("text", [*AWAY, *PERMANENT, *WAKING, *OVERLOADED])
def test_a_failure_to_connect_means_that_nothing_was_done(text: str) -> None:
    assert while_connecting(psycopg.OperationalError(_PREFIX + text)).unknown is False


def test_silence_after_the_connection_is_made_is_a_database_that_wakes() -> None:
    failed = while_connecting(psycopg.errors.ConnectionTimeout("connected to 203.0.113.5, which then said nothing"))
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
def test_only_another_address_helps_where_one_is_away(text: str, final: bool) -> None:
    assert is_final(psycopg.OperationalError(_PREFIX + text)) is final


def test_overload_is_given_more_time_than_the_rest() -> None:
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
def test_a_file_that_libpq_cannot_read_is_a_wrong_setting(text: str) -> None:
    failed = while_connecting(psycopg.OperationalError(_PREFIX + text))
    assert isinstance(failed.error, SettingsError)
    assert "none.pem" not in str(failed.error)
    assert failed.repeat is False


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
        ("RB409", DeadlineExceededError, False, False),
        ("RB412", PreconditionFailedError, False, False),
        ("RB422", IdempotencyKeyReusedError, False, False),
        ("RB423", InvalidRequestError, False, False),
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
        ("42883", SchemaOutdatedError, False, False),
        ("3F000", SchemaOutdatedError, False, False),
        ("42501", SchemaOutdatedError, False, False),
        ("23514", ConflictError, True, False),
        ("23505", UnexpectedDatabaseError, False, False),
        ("22P02", UnexpectedDatabaseError, False, False),
        ("XX000", UnexpectedDatabaseError, True, False),
        ("53100", UnexpectedDatabaseError, False, False),
    ],
)
def test_an_answer_of_the_server_is_told_by_its_sqlstate(
    sqlstate: str, kind: type[RobotBrainError], repeat: bool, lost: bool
) -> None:
    failed = calling(sqlstate)
    assert type(failed.error) is kind
    assert (failed.repeat, failed.lost) == (repeat, lost)
    # An error of PostgreSQL's own comes with a rollback; these say that the connection or the server went.
    assert failed.unknown == (sqlstate in ("57P02", "08000", "08003", "08006", "08007", "08P01"))


def described(sqlstate: str, **fields: str) -> psycopg.Error:
    """Return an error of the server with these diagnostic fields."""
    named = {"SQLSTATE": sqlstate, **fields}
    info: dict[int, bytes | None] = {DiagnosticField[name]: value.encode() for name, value in named.items()}
    return psycopg.errors.lookup(sqlstate)("", info=info)


def test_a_check_of_ours_that_fails_is_not_repeated() -> None:
    failed = while_calling(described("23514", CONSTRAINT_NAME="conversations_seq_check"))
    assert type(failed.error) is UnexpectedDatabaseError
    assert failed[1:] == (False, False, False)


@pytest.mark.parametrize("sqlstate", ["XX000", "53100", "58030"])
def test_a_panic_leaves_the_outcome_unknown_whatever_its_sqlstate(sqlstate: str) -> None:
    """The server may have written the record of the commit before it could not go on."""
    for severity in ("ERROR", "FATAL"):
        assert while_calling(described(sqlstate, SEVERITY_NONLOCALIZED=severity)).unknown is False
    failed = while_calling(described(sqlstate, SEVERITY_NONLOCALIZED="PANIC"))
    assert type(failed.error) is DatabaseAwayError
    assert failed[1:] == (True, True, True)


def test_a_schema_that_is_not_there_tells_the_operator_what_to_do() -> None:
    assert "make migrate" in str(calling("42883").error)
    assert "make migrate" not in SchemaOutdatedError.summary()


@pytest.mark.parametrize("text", [WAKING[0], OVERLOADED[0], AWAY[0], PERMANENT[0]])
def test_the_operator_reads_the_cause_and_not_what_a_client_reads(text: str) -> None:
    error = psycopg.OperationalError(_PREFIX + text)
    for failed in (while_connecting(error), while_calling(psycopg.OperationalError(text))):
        assert text in str(failed.error)
        assert text not in failed.error.summary()
    refused = calling("28P01").error
    assert str(refused).startswith("28P01")


def test_a_requests_own_error_does_not_quote_the_server() -> None:
    """Its text is what the client reads."""
    for sqlstate in ("RB412", "RB422"):
        error = calling(sqlstate).error
        assert str(error) == error.summary()


def test_metadata_that_is_too_large_once_merged_points_into_the_body() -> None:
    error = calling("RB423").error
    assert isinstance(error, InvalidRequestError)
    assert [found["loc"] for found in error.errors] == [["body", "user_metadata"]]


def test_a_connection_that_was_lost_is_repeated() -> None:
    failed = while_calling(psycopg.OperationalError("server closed the connection unexpectedly"))
    assert isinstance(failed.error, DatabaseUnavailableError)
    assert failed[1:] == (True, True, True)


def test_an_answer_that_libpq_cannot_read_is_a_lost_connection() -> None:
    failed = while_calling(psycopg.DatabaseError('lost synchronization with server: got message type "x"'))
    assert isinstance(failed.error, DatabaseAwayError)
    assert failed[1:] == (True, True, True)


@pytest.mark.parametrize(
    "error", [psycopg.DataError("NUL"), psycopg.ProgrammingError("x"), psycopg.InterfaceError("x")]
)
def test_an_error_of_our_own_making_is_not(error: psycopg.Error) -> None:
    failed = while_calling(error)
    assert isinstance(failed.error, UnexpectedDatabaseError)
    assert (failed.repeat, failed.unknown) == (False, False)


def test_the_cause_is_one_line() -> None:
    assert cause(psycopg.OperationalError("first\nsecond")) == "first"
    assert cause(psycopg.OperationalError("")) == ""
    assert cause(psycopg.OperationalError()) == ""
    assert cause(pg.QueryCanceled()) == "57014 None"
