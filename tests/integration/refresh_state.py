"""The state of a database's refresh, by which a test sees whether a refresh happened."""

from tests.support.servers.databases import Database

# More than the default of STATS_MAX_AGE.
AGE = "update robot_brain.refresh_state set refreshed_at = refreshed_at - interval '2 hours'"

# Taken until the end of a transaction, as a refresh and a recount take it.
REFRESH_LOCK = "lock table robot_brain.refresh_state in share update exclusive mode"


def refreshed_at(database: Database) -> str:
    """Return the time of the last refresh as the server's text, to compare it."""
    with database.admin() as admin:
        row = admin.execute("select refreshed_at::text from robot_brain.refresh_state").fetchone()
    assert row is not None
    return str(row[0])


def uncounted(database: Database) -> int:
    """Return how many uncounted rows exist."""
    with database.admin() as admin:
        row = admin.execute("select count(*) from robot_brain.uncounted").fetchone()
    assert row is not None
    return int(row[0])


def make_old(database: Database) -> None:
    """Make the last refresh two hours older."""
    with database.admin() as admin:
        admin.execute(AGE)
