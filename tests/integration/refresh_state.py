"""The state of a database's refresh, for tests that look whether one was made."""

from tests.support.servers.databases import Database

# Older than an hour, and something counted that the view lacks, or nothing.
AGE = "update robot_brain.refresh_state set refreshed_at = refreshed_at - interval '2 hours'"

# Taken until the end of a transaction, as a refresh and a recount take it.
REFRESH_LOCK = "select pg_advisory_xact_lock(hashtextextended('robot_brain.refresh_stats', 0))"


def refreshed_at(database: Database) -> str:
    """Return the moment that top_sessions shows, as the server writes it: to be compared, not to be read."""
    with database.admin() as admin:
        row = admin.execute("select refreshed_at::text from robot_brain.refresh_state").fetchone()
    assert row is not None
    return str(row[0])


def uncounted(database: Database) -> int:
    """Return how many rows are not counted yet."""
    with database.admin() as admin:
        row = admin.execute("select count(*) from robot_brain.uncounted").fetchone()
    assert row is not None
    return int(row[0])


def make_old(database: Database) -> None:
    """Make the last refresh two hours older."""
    with database.admin() as admin:
        admin.execute(AGE)
