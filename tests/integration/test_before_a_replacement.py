"""What docs/backup.md says to do before REPLACE=1: stop writes, back up, save what was erased, and allow writes."""

from pathlib import Path

from local.settings import ROOT
from ops.backup import backup
from tests.integration.backups import quietly, url_of
from tests.integration.replicating import commands, psql
from tests.support.bundle import deployed, turn
from tests.support.servers.databases import Database

DOCUMENT = ROOT / "docs" / "backup.md"


def run(database: Database, text: str) -> str:
    """Run a block of the document as the role that migrates."""
    return psql(database.postgres, database.direct_url, text)


def test_the_document_stops_writes_and_allows_them_again_and_a_backup_works_meanwhile(
    embedded_database: Database, tmp_path: Path
) -> None:
    database = embedded_database
    (_, _, stop), (_, _, allow) = commands("Stop writes", DOCUMENT)
    with deployed({"DATABASE_URL": database.app_url, "DB_MAX_RETRIES": "1"}) as bundle:
        assert bundle.write("s", turn()).status == 201
        run(database, stop)
        assert bundle.write("s", turn()).status == 503
        assert bundle.read("s").status == 200
        file = tmp_path / "before-restore.dump"
        assert backup(url_of(database.postgres, "superuser", database.name), file, quietly())
        run(database, allow)
        assert bundle.write("s", turn()).status == 201


def test_the_documents_query_of_erasures_names_each_one_and_the_seq_of_removed_turns(
    embedded_database: Database,
) -> None:
    ((_, _, query),) = commands("What was erased since", DOCUMENT)
    with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
        for session in ("erased", "shortened"):
            assert bundle.write(session, {"messages": [turn(1), turn(2)]}).status == 201
        assert bundle.user("PUT", "mia", {}).status == 201
        assert bundle.erase("erased").status == 204
        assert bundle.remove("shortened", 1).status == 200
        assert bundle.user("DELETE", "mia").status == 204
    assert [line.rpartition("|")[0] for line in run(embedded_database, query).splitlines()] == [
        "local|sessions|ERASE|erased|",
        "local|conversations|DELETE|shortened|1",
        "local|users|ERASE|mia|",
    ]
