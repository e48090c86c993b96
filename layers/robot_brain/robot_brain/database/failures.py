"""What a failure of the database means: one table by phase, SQLSTATE and, for errors of connecting only, text.

While connecting libpq gives no SQLSTATE, and every error of Neon's proxy carries XX000, so the text is all there is.
PgBouncer takes clients before it has a server for them: what it says then arrives in the answer to the first call, all
of it as 08P01, and is told by its text as well.

Whether a call may be repeated is a property of the failure alone, because every call is safe to repeat: a write
carries the client's key or an id of its own, a read changes nothing, and the refresh of the statistics goes on from
where the last one was committed. What nobody foresaw is not repeated once a call was sent.

A call is unknown if it may have been done although it failed: the connection was lost before the answer came.
An error that PostgreSQL sends is never unknown, because it comes with a rollback. That holds for a FATAL such as 57P01
too: PostgreSQL holds interrupts back from the commit on, and ends a wait for a synchronous standby without an error
(SyncRepWaitForLSN in src/backend/replication/syncrep.c). Only a PANIC may follow the record of the commit.
PgBouncer's own text says whether the call was still in its queue.
"""

from __future__ import annotations

import json
from typing import NamedTuple

import psycopg

from robot_brain.errors import (
    ConflictError,
    DatabaseAwayError,
    DatabaseError,
    DatabaseOverloadedError,
    DatabaseReadOnlyError,
    DatabaseRefusedError,
    DatabaseUnavailableError,
    DatabaseWakingError,
    DeadlineExceededError,
    IdempotencyKeyReusedError,
    InvalidRequestError,
    PreconditionFailedError,
    RequestError,
    RobotBrainError,
    SchemaOutdatedError,
    SettingsError,
    UnexpectedDatabaseError,
)


class Failure(NamedTuple):
    """What to raise, whether the call may be repeated or be done already, and whether the connection is gone.

    `unknown` is false if the call surely did nothing.
    """

    error: RobotBrainError
    repeat: bool
    lost: bool
    unknown: bool = False

    @property
    def pause(self) -> float:
        """The most seconds to wait before the second attempt.

        When the server is overloaded many clients retry at once, so they wait longer than after a short outage. Neon
        also limits the attempts themselves.
        """
        return 1.0 if isinstance(self.error, DatabaseOverloadedError) else 0.2


# Texts of connecting in lower case; the first that is found decides. Texts that waiting does not mend come first, as
# some of them contain one that it does.
_BY_TEXT: tuple[tuple[type[RobotBrainError], tuple[str, ...]], ...] = (
    (
        SettingsError,
        (
            "root certificate file",
            "could not read certificate",
            "could not load private key",
            "private key file",
        ),
    ),
    (
        DatabaseRefusedError,
        (
            "endpoint is disabled",
            "endpoint cannot be found",
            "check your quotas",
            "exceeded the compute time quota",
            "exceeded the quota",
            "authentication failed",
            "endpoint id is not specified",
            "this ip address",
            "unsupported startup parameter",
            "certificate verify failed",
            "server certificate for",
            "does not support ssl",
            "ssl required",
            "no pg_hba.conf entry",
            "pg_hba.conf rejects",
            "does not exist",
            "no such database",
            "no such user",
            "is not permitted to log in",
            "is not currently accepting connections",
            "permission denied for database",
            "channel binding",
        ),
    ),
    (
        DatabaseOverloadedError,
        (
            "failed to acquire permit to connect",
            "too many connections",
            "too many clients",
            "no more connections allowed",
            "connection slots are reserved",
            "client connections exceeded",
            # PgBouncer says both to a client in its queue, and "query timeout" about a query that runs.
            "query_wait_timeout",
            "query_timeout",
        ),
    ),
    (
        DatabaseWakingError,
        (
            "couldn't connect to compute node",
            "control plane request failed",
            "authentication timed out",
            "the database system is starting up",
            "the database system is not yet accepting connections",
            "the database system is in recovery mode",
        ),
    ),
    # And everything that is not here: Connection refused, server closed the connection unexpectedly,
    # failed to resolve host. A resolver that is down itself answers that there is no such name.
    (
        DatabaseAwayError,
        (
            "server login has been failing",
            "pooler is shut",
            "server shutting down",
            "client_login_timeout",
            "client_idle_timeout",
            "the database system is shutting down",
        ),
    ),
)

_NEXT_STEP = {
    SchemaOutdatedError: "the schema is older than the functions, or not there: "
    "run make migrate with DIRECT_DATABASE_URL",
    SettingsError: "libpq cannot read a certificate or key file that DATABASE_URL or DB_SSL_ROOT_CERT names",
}

# What the SQL functions refuse, with facts for the client as JSON in DETAIL.
_REFUSALS: dict[str, type[RequestError]] = {"RB412": PreconditionFailedError, "RB422": IdempotencyKeyReusedError}

_BY_SQLSTATE: dict[str, tuple[type[RobotBrainError], bool, bool]] = {
    # SQLSTATE: error, repeat, lost
    # A retry was faster and has written the turn. "Try again" would double it.
    "RB409": (DeadlineExceededError, False, False),
    "40001": (ConflictError, True, False),  # serialization_failure: rolled back, so the call is repeated whole
    "40P01": (ConflictError, True, False),  # deadlock_detected: likewise
    "55P03": (ConflictError, False, False),  # lock_not_available: waited for lock_timeout already
    "57014": (DeadlineExceededError, False, False),  # query_canceled: statement_timeout
    "25P04": (DeadlineExceededError, False, True),  # transaction_timeout
    "53300": (DatabaseOverloadedError, True, True),  # too_many_connections
    "57P03": (DatabaseWakingError, True, True),  # cannot_connect_now
    "57P01": (DatabaseAwayError, True, True),  # admin_shutdown: also what a suspend says
    "57P02": (DatabaseAwayError, True, True),  # crash_shutdown
    "57P05": (DatabaseAwayError, True, True),  # idle_session_timeout
    "25P03": (DatabaseAwayError, True, True),  # idle_in_transaction_session_timeout
    "08000": (DatabaseAwayError, True, True),  # connection_exception
    "08003": (DatabaseAwayError, True, True),  # connection_does_not_exist
    "08006": (DatabaseAwayError, True, True),  # connection_failure
    "08007": (DatabaseAwayError, True, True),  # transaction_resolution_unknown
    # read_only_sql_transaction: a failover; a new connection finds the new server
    "25006": (DatabaseReadOnlyError, True, True),
    "28000": (DatabaseRefusedError, False, True),  # invalid_authorization_specification
    "28P01": (DatabaseRefusedError, False, True),  # invalid_password
    "3D000": (DatabaseRefusedError, False, True),  # invalid_catalog_name
    "RB503": (SchemaOutdatedError, False, False),  # the schema is older than the call
    "42883": (SchemaOutdatedError, False, False),  # undefined_function
    "3F000": (SchemaOutdatedError, False, False),  # invalid_schema_name
    "42501": (SchemaOutdatedError, False, False),  # insufficient_privilege
    # internal_error: "cache lookup failed for function", if a migration dropped and made the function during the call
    "XX000": (UnexpectedDatabaseError, True, False),
}
# The call may be done although one of these came.
_UNKNOWN = frozenset({"57P02", "08000", "08003", "08006", "08007"})


def while_connecting(error: psycopg.Error) -> Failure:
    """Classify what opening a connection raised. Nothing was sent, so repeating is safe wherever it may help."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        # Connected, and then silence: so Neon's proxy lets us wait while the database wakes.
        return _lost(DatabaseWakingError, error)
    return _lost(_kind(error) or DatabaseAwayError, error)


def is_final(error: psycopg.Error) -> bool:
    """Return whether what one address answered holds for the others of the attempt too."""
    return not isinstance(while_connecting(error).error, DatabaseAwayError | DatabaseWakingError)


def while_calling(error: psycopg.Error) -> Failure:
    """Classify what a call raised."""
    if error.sqlstate is None:
        # libpq lost the connection, or found an answer that it cannot read (psycopg has no class of its own for that).
        lost = isinstance(error, psycopg.OperationalError) or type(error) is psycopg.DatabaseError
        if lost:
            return _lost(DatabaseAwayError, error, unknown=True)
        return Failure(_error(UnexpectedDatabaseError, error), repeat=False, lost=False)
    if error.diag.severity_nonlocalized == "PANIC":
        return _lost(DatabaseAwayError, error, unknown=True)
    if error.sqlstate == "08P01":
        # PgBouncer while it connects or queues. Any other text is about a call that it has passed on.
        kind = _kind(error)
        return _lost(kind or DatabaseAwayError, error, unknown=kind is None)
    if error.sqlstate == "RB423":
        too_large = InvalidRequestError.at(
            ["body", "user_metadata"], "the session's user_metadata would be larger than 16 KiB", "metadata_too_large"
        )
        return Failure(too_large, repeat=False, lost=False)
    if error.sqlstate in _REFUSALS:
        facts = json.loads(error.diag.message_detail or "{}")
        return Failure(_REFUSALS[error.sqlstate](facts=facts), repeat=False, lost=False)
    if error.sqlstate == "23514" and not error.diag.constraint_name:
        # All our constraints have names, a partition's bounds have none: the month of a row was made during the call.
        return Failure(_error(ConflictError, error), repeat=True, lost=False)
    kind, repeat, lost = _BY_SQLSTATE.get(error.sqlstate, (UnexpectedDatabaseError, False, False))
    return Failure(_error(kind, error), repeat, lost, error.sqlstate in _UNKNOWN)


def _kind(error: psycopg.Error) -> type[RobotBrainError] | None:
    """Return what the text of an error of connecting says, None if the table does not have it."""
    text = str(error).lower()
    return next((kind for kind, texts in _BY_TEXT if any(each in text for each in texts)), None)


def _lost(kind: type[RobotBrainError], error: psycopg.Error, *, unknown: bool = False) -> Failure:
    return Failure(_error(kind, error), repeat=issubclass(kind, DatabaseUnavailableError), lost=True, unknown=unknown)


def _error(kind: type[RobotBrainError], error: psycopg.Error) -> RobotBrainError:
    """Return an error with the next step or the cause, for the operator. A client reads neither of a DatabaseError."""
    return kind(_NEXT_STEP.get(kind) or (cause(error) if issubclass(kind, DatabaseError) else None))


def cause(error: psycopg.Error) -> str:
    """Return the cause for the log: without DETAIL and CONTEXT, which quote rows."""
    return f"{error.sqlstate} {error.diag.message_primary}" if error.sqlstate else str(error).partition("\n")[0]
