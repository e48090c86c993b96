"""Error texts of a database connection, grouped by the failure that each one means."""

from robot_brain.errors import DatabaseAwayError, DatabaseOverloadedError, DatabaseWakingError

# Error texts of Neon's proxy, PgBouncer and PostgreSQL, as a client reads them.
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
    "a text that is in no table",
    "",
]
# PgBouncer's error texts about a call that it has forwarded. They come from `disconnect_server` while a client uses the
# server, from `kill_pool` and from KILL_CLIENT. Some are about packets that PgBouncer cannot read.
FORWARDED = [
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
    "a text that is in no table",
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
    'role "absent" does not exist',
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
# libpq puts this before a text of the server.
PREFIX = 'connection failed: connection to server at "203.0.113.5", port 5432 failed: ERROR:  '
