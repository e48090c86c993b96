"""Classify failures of the database by phase and SQLSTATE. Classify errors of connecting by their text.

While connecting, libpq gives no SQLSTATE, and every error of Neon's proxy has XX000. So only the text distinguishes
these errors. PgBouncer accepts a client before it has a server for it. Its errors then arrive in the answer to the
first call, always as 08P01, so only the text distinguishes them as well.

The failure decides whether a call may be retried. If its outcome is unknown, the call decides too: see `call`.
After a call was sent, an unexpected failure is not retried.

The outcome of a failed call is unknown if the connection was lost before the answer came: the call may be done.
After an error from PostgreSQL the outcome is known, because PostgreSQL rolled back. This includes a FATAL error such as
57P01. PostgreSQL blocks interrupts from the commit on. If somebody ends its wait for a synchronous standby, it warns
and reports success, or closes the connection (SyncRepWaitForLSN in src/backend/replication/syncrep.c). `watchdog` turns
the warning into a lost connection. Only a PANIC may come after the commit record.
PgBouncer's text says whether the call was still in its queue.
"""

from __future__ import annotations

from typing import NamedTuple

import psycopg

from robot_brain.database.refusals import refusal
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
    RobotBrainError,
    SchemaMissingError,
    SchemaOutdatedError,
    SettingsError,
    UnexpectedDatabaseError,
)


class Failure(NamedTuple):
    """The error to raise, whether a retry is allowed, and whether the connection is lost.

    `unknown` is false if the call certainly did nothing, and true if it may be done.
    """

    error: RobotBrainError
    repeat: bool
    lost: bool
    unknown: bool = False

    @property
    def pause(self) -> float:
        """The most seconds to wait before the second attempt.

        When the server is overloaded many clients retry at once, so they wait longer than after a short outage. Neon
        also limits attempts to connect.
        """
        return 1.0 if isinstance(self.error, DatabaseOverloadedError) else 0.2

    @property
    def of_login(self) -> bool:
        """Whether another password may help: the server refused the login, or the pooler repeats such a refusal."""
        return isinstance(self.error, DatabaseRefusedError) or _POOLER_REPEATS in str(self.error)


# For some seconds after a refused login, PgBouncer sends this to each client of the same role, without the reason.
_POOLER_REPEATS = "server login has been failing"

# Parts of error texts in lower case. The first match decides. Errors that a retry does not solve come first,
# because some of their texts contain the text of an error that a retry may solve.
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
            # PgBouncer sends both to a client in its queue. About a running query it says "query timeout".
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
    # This is also the class of every text that is not listed: Connection refused, server closed the connection
    # unexpectedly, failed to resolve host. A resolver that is down answers that the name does not exist.
    (
        DatabaseAwayError,
        (
            _POOLER_REPEATS,
            "pooler is shut",
            "server shutting down",
            "client_login_timeout",
            "client_idle_timeout",
            "the database system is shutting down",
        ),
    ),
)

_NEXT_STEP = {
    # An operator whose data is gone must not begin with an empty database.
    SchemaMissingError: "the database has no schema of Robot Brain: if it had data, restore a backup; "
    "if it is new, run make migrate with DIRECT_DATABASE_URL",
    SchemaOutdatedError: "the schema is older than the functions: run make migrate with DIRECT_DATABASE_URL",
    SettingsError: "libpq cannot read a certificate or key file that DATABASE_URL or DB_SSL_ROOT_CERT names",
}

_BY_SQLSTATE: dict[str, tuple[type[RobotBrainError], bool, bool]] = {
    # SQLSTATE: error, repeat, lost
    # A retry may have written the turns, or they were removed since. A client that tried again might write them twice.
    "RB409": (DeadlineExceededError, False, False),
    "40001": (ConflictError, True, False),  # serialization_failure: rolled back, so the whole call is retried
    "40P01": (ConflictError, True, False),  # deadlock_detected: as 40001
    "55P03": (ConflictError, False, False),  # lock_not_available: the call already waited for lock_timeout
    "57014": (DeadlineExceededError, False, False),  # query_canceled: statement_timeout
    "25P04": (DeadlineExceededError, False, True),  # transaction_timeout
    "53200": (DatabaseOverloadedError, True, False),  # out_of_memory: also if the server has no room for a lock
    "53300": (DatabaseOverloadedError, True, True),  # too_many_connections
    "57P03": (DatabaseWakingError, True, True),  # cannot_connect_now
    "57P01": (DatabaseAwayError, True, True),  # admin_shutdown: also sent when the compute suspends
    "57P02": (DatabaseAwayError, True, True),  # crash_shutdown
    "57P05": (DatabaseAwayError, True, True),  # idle_session_timeout
    "25P03": (DatabaseAwayError, True, True),  # idle_in_transaction_session_timeout
    "08000": (DatabaseAwayError, True, True),  # connection_exception
    "08003": (DatabaseAwayError, True, True),  # connection_does_not_exist
    "08006": (DatabaseAwayError, True, True),  # connection_failure
    "08007": (DatabaseAwayError, True, True),  # transaction_resolution_unknown
    # read_only_sql_transaction: a failover; a new connection reaches the new server
    "25006": (DatabaseReadOnlyError, True, True),
    "28000": (DatabaseRefusedError, False, True),  # invalid_authorization_specification
    "28P01": (DatabaseRefusedError, False, True),  # invalid_password
    "3D000": (DatabaseRefusedError, False, True),  # invalid_catalog_name
    # insufficient_privilege: the login is another one, or RETIRE=old has taken its rights
    "42501": (DatabaseRefusedError, False, True),
    "RB503": (SchemaOutdatedError, False, False),  # the schema is older than the call
    "42883": (SchemaOutdatedError, False, False),  # undefined_function
    "3F000": (SchemaMissingError, False, False),  # invalid_schema_name
    # internal_error: "cache lookup failed for function", if a migration replaced the function during the call
    "XX000": (UnexpectedDatabaseError, True, False),
}
# The outcome of the call is unknown after these.
_UNKNOWN = frozenset({"57P02", "08000", "08003", "08006", "08007"})


def while_connecting(error: psycopg.Error) -> Failure:
    """Classify an error of connecting. No call was sent, so a retry is always safe."""
    if isinstance(error, psycopg.errors.ConnectionTimeout):
        # The server accepted and then stayed silent, as Neon's proxy does while the compute wakes.
        return _lost(DatabaseWakingError, error)
    return _lost(_kind(error) or DatabaseAwayError, error)


def is_final(error: psycopg.Error) -> bool:
    """Return whether the other addresses of the attempt would give the same error."""
    return not isinstance(while_connecting(error).error, DatabaseAwayError | DatabaseWakingError)


def while_calling(error: psycopg.Error) -> Failure:
    """Classify an error of a call."""
    if error.sqlstate is None:
        # libpq lost the connection, or could not parse the answer (which has no class of its own), or psycopg found no
        # result in the answer.
        if isinstance(error, psycopg.OperationalError | psycopg.InternalError) or type(error) is psycopg.DatabaseError:
            return _lost(DatabaseAwayError, error, unknown=True)
        return Failure(_error(UnexpectedDatabaseError, error), repeat=False, lost=False)
    if error.diag.severity_nonlocalized == "PANIC":
        return _lost(DatabaseAwayError, error, unknown=True)
    if error.sqlstate == "08P01":
        # A known text is PgBouncer's, before it forwarded the call. After any other text the outcome is unknown.
        kind = _kind(error)
        return _lost(kind or DatabaseAwayError, error, unknown=kind is None)
    if refused := refusal(error):
        return Failure(refused, repeat=False, lost=False)
    if error.sqlstate == "23514" and not error.diag.constraint_name:
        # Our constraints have names, but a partition's bounds do not: the row's month was created during the call.
        return Failure(_error(ConflictError, error), repeat=True, lost=False)
    kind, repeat, lost = _BY_SQLSTATE.get(error.sqlstate, (UnexpectedDatabaseError, False, False))
    return Failure(_error(kind, error), repeat, lost, error.sqlstate in _UNKNOWN)


def _kind(error: psycopg.Error) -> type[RobotBrainError] | None:
    """Return the class of an error of connecting by its text, None if no text of the table matches."""
    text = str(error).lower()
    return next((kind for kind, texts in _BY_TEXT if any(each in text for each in texts)), None)


def _lost(kind: type[RobotBrainError], error: psycopg.Error, *, unknown: bool = False) -> Failure:
    return Failure(_error(kind, error), repeat=issubclass(kind, DatabaseUnavailableError), lost=True, unknown=unknown)


def _error(kind: type[RobotBrainError], error: psycopg.Error) -> RobotBrainError:
    """Return the error with the next step or the cause for the operator. A client sees neither."""
    return kind(_NEXT_STEP.get(kind) or (cause(error) if issubclass(kind, DatabaseError) else None))


def cause(error: psycopg.Error) -> str:
    """Return the cause for the log, without DETAIL and CONTEXT, because they quote rows."""
    return f"{error.sqlstate} {error.diag.message_primary}" if error.sqlstate else str(error).partition("\n")[0]
