"""What a failure of the database means, told by phase and SQLSTATE, and by text only while connecting.

While connecting libpq gives no SQLSTATE, and every error of Neon's proxy carries XX000, so the text is all there is.
The permanent texts are looked for first: some of them contain a transient one.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from robot_brain.errors import (
    ConflictError,
    DatabaseError,
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


class Failure(NamedTuple):
    """What to raise, whether the call may be repeated, and whether the connection is gone."""

    error: RobotBrainError
    repeat: bool
    lost: bool


# Texts that waiting does not mend.
_REFUSED = (
    "endpoint is disabled",
    "endpoint cannot be found",
    "Check your quotas",
    "exceeded the compute time quota",
    "exceeded the quota",
    "authentication failed",
    "Endpoint ID is not specified",
    "This IP address",
    "unsupported startup parameter",
    "certificate verify failed",
    "server certificate for",
    "root certificate file",
    "does not support SSL",
    "no pg_hba.conf entry",
    "does not exist",
    "is not permitted to log in",
    "channel binding",
)

_NEXT_STEP = "the schema is older than the functions, or not there: run make migrate with DIRECT_DATABASE_URL"

_BY_SQLSTATE: dict[str, tuple[type[RobotBrainError], bool, bool]] = {
    # SQLSTATE: error, repeat, lost
    "RB412": (PreconditionFailedError, False, False),
    "RB422": (IdempotencyKeyReusedError, False, False),
    "40001": (ConflictError, True, False),  # serialization_failure
    "40P01": (ConflictError, True, False),  # deadlock_detected
    "55P03": (ConflictError, False, False),  # lock_not_available: waited for lock_timeout already
    "57014": (DeadlineExceededError, False, False),  # query_canceled: statement_timeout
    "53300": (DatabaseUnavailableError, True, True),  # too_many_connections
    "57P01": (DatabaseUnavailableError, True, True),  # admin_shutdown
    "57P02": (DatabaseUnavailableError, True, True),  # crash_shutdown
    "57P03": (DatabaseUnavailableError, True, True),  # cannot_connect_now
    "57P05": (DatabaseUnavailableError, True, True),  # idle_session_timeout
    "08P01": (DatabaseUnavailableError, True, True),  # PgBouncer's query_wait_timeout
    "08006": (DatabaseUnavailableError, True, True),  # connection_failure
    "25006": (DatabaseUnavailableError, True, True),  # read_only_sql_transaction: a failover
    "42883": (SchemaOutdatedError, False, False),  # undefined_function
    "3F000": (SchemaOutdatedError, False, False),  # invalid_schema_name
    "42501": (SchemaOutdatedError, False, False),  # insufficient_privilege
}


def while_connecting(error: psycopg.Error) -> Failure:
    """Classify what opening a connection raised. Nothing was sent, so repeating is safe wherever it may help."""
    text = str(error)
    if any(refused in text for refused in _REFUSED):
        return Failure(DatabaseRefusedError(), repeat=False, lost=True)
    return Failure(DatabaseUnavailableError(), repeat=True, lost=True)


def while_calling(error: psycopg.Error) -> Failure:
    """Classify what a call raised. Every call is safe to repeat: a write has a key, the client's or the layer's."""
    if error.sqlstate is None:
        lost = isinstance(error, psycopg.OperationalError)
        found: DatabaseError = DatabaseUnavailableError() if lost else UnexpectedDatabaseError()
        return Failure(found, repeat=lost, lost=lost)
    if error.sqlstate == "RB423":
        too_large = InvalidRequestError.at(
            ["body", "user_metadata"], "the session's user_metadata would be larger than 16 KiB", "metadata_too_large"
        )
        return Failure(too_large, repeat=False, lost=False)
    kind, repeat, lost = _BY_SQLSTATE.get(error.sqlstate, (UnexpectedDatabaseError, False, False))
    return Failure(kind(_NEXT_STEP if kind is SchemaOutdatedError else None), repeat, lost)


def cause(error: psycopg.Error) -> str:
    """Return the cause for the log: without DETAIL and CONTEXT, which quote rows."""
    return f"{error.sqlstate} {error.diag.message_primary}" if error.sqlstate else str(error).partition("\n")[0]
