"""Read and change the state of a database's refresh, for tests that check whether a refresh happened."""

from tests.support.servers.databases import Database

# Age the last refresh. At more than an hour it is due if rows were counted after it.
AGE = "update robot_brain.refresh_state set refreshed_at = refreshed_at - interval '2 hours'"


def refreshed_at(database: Database) -> str:
    """Return the time of the last refresh as the server's text, only for comparisons."""
    with database.admin() as admin:
        row = admin.execute("select refreshed_at::text from robot_brain.refresh_state").fetchone()
    assert row is not None
    return str(row[0])


def uncounted(database: Database) -> int:
    """Return the number of uncounted rows."""
    with database.admin() as admin:
        row = admin.execute("select count(*) from robot_brain.uncounted").fetchone()
    assert row is not None
    return int(row[0])


def make_old(database: Database) -> None:
    """Make the last refresh two hours older."""
    with database.admin() as admin:
        admin.execute(AGE)
