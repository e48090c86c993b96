"""Up to when the statistics of a database are made."""

from tests.servers.databases import Database


def watermark(database: Database) -> str:
    """Return the statistics' watermark as the server writes it: to be compared, not to be read."""
    with database.admin() as admin:
        row = admin.execute("select watermark::text from robot_brain.stats_watermark").fetchone()
    assert row is not None
    return str(row[0])
