"""`make ops DO=backup` writes one file of one moment, or none: whatever the role, the file's name and the tools are."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from ops.__main__ import main
from ops.archive import read_archive
from ops.backup import backup
from ops.errors import MigrationError, OperatorError, UsageError
from ops.pg_tools import tools_for_dump, tools_for_restore
from tests.integration.backups import kinds_of_roles, new_database, quietly, restored, rows_of, url_of
from tests.integration.ops_commands import tools_in_front, waiting_backup
from tests.support.bundle import deployed, turn
from tests.support.servers.databases import Database, Template
from tests.support.servers.postgres import MIGRATOR, SUPERUSER, Postgres
from tests.support.waiting import outputs_of


@pytest.fixture(scope="module")
def server(embedded_template: Template) -> Iterator[Postgres]:
    """The embedded server, with the role of Neon's console."""
    with kinds_of_roles(embedded_template.postgres):
        yield embedded_template.postgres


@pytest.fixture
def there(server: Postgres, embedded_database: Database) -> Database:
    """A migrated database on that server."""
    return embedded_database


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The name of a backup that does not exist yet."""
    return tmp_path / "brain.dump"


def saved(database: Database, file: Path, kind: str = "superuser", *, force: bool = False) -> int:
    """Back up as this kind of role."""
    return backup(url_of(database.postgres, kind, database.name), file, quietly(), force=force).size


def assert_refused(database: Database, file: Path, sentence: str, kind: str = "superuser") -> None:
    """Assert that no file was written, and that the message has this part."""
    before = sorted(file.parent.iterdir())
    with pytest.raises(OperatorError, match=sentence):
        saved(database, file, kind)
    assert sorted(file.parent.iterdir()) == before


def test_a_pooler_of_neon_is_refused(file: Path) -> None:
    with pytest.raises(MigrationError, match="leads to Neon's pooler"):
        backup("postgresql://u:p@ep-a-1-pooler.eu.aws.neon.tech/db", file, quietly())
    assert list(file.parent.iterdir()) == []


def test_a_role_that_row_level_security_limits_may_make_no_backup(there: Database, file: Path) -> None:
    assert_refused(there, file, f"^{MIGRATOR} is no superuser and has no BYPASSRLS, so row-level security", "sql")


def test_a_role_that_may_not_read_a_table_may_make_no_backup(there: Database, file: Path) -> None:
    with there.admin() as admin:
        admin.execute("create role bypasser login bypassrls")
        try:
            url = there.postgres.address.url("bypasser", "", there.name)
            with pytest.raises(MigrationError, match=r"^bypasser may not read robot_brain.audit_heads, "):
                backup(url, file, quietly())
        finally:
            admin.execute("drop role bypasser")
    assert list(file.parent.iterdir()) == []


def test_a_database_without_our_schema_is_refused(server: Postgres, file: Path) -> None:
    sentence = r"^The database test_\S+ on \S+:\d+ lacks Robot Brain: it has no table"
    with new_database(server, SUPERUSER) as name, pytest.raises(MigrationError, match=sentence):
        backup(url_of(server, "superuser", name), file, quietly())
    assert list(file.parent.iterdir()) == []


def test_a_file_that_exists_is_replaced_only_with_force(there: Database, file: Path) -> None:
    file.write_text("an older backup")
    assert_refused(there, file, "brain.dump exists and was not changed.* FORCE=1")
    assert file.read_text() == "an older backup"

    written = saved(there, file, force=True)

    assert file.stat().st_size == written
    assert read_archive(file, tools_for_restore()).server_major == there.postgres.version


def test_only_a_file_in_a_folder_that_exists_can_be_a_backup(there: Database, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert_refused(there, tmp_path / "pipe", "pipe is no file that a backup can replace")
    with pytest.raises(UsageError, match="is a folder"):
        saved(there, tmp_path, force=True)
    with pytest.raises(UsageError, match=r"^The folder .*absent does not exist"):
        saved(there, tmp_path / "absent" / "brain.dump")


@pytest.mark.parametrize("statement", ["drop schema robot_brain cascade", "drop table robot_brain.sessions cascade"])
def test_a_database_that_lacks_the_sessions_is_refused(there: Database, file: Path, statement: str) -> None:
    with there.admin() as admin:
        admin.execute(statement.encode())
    assert_refused(
        there, file, rf"^The database {there.name} on \S+:\d+ lacks Robot Brain: it has no table of sessions"
    )


@pytest.mark.parametrize("kind", ["superuser", "console"])
def test_a_backup_says_how_many_sessions_and_turns_it_has(
    there: Database, file: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with deployed({"DATABASE_URL": there.app_url}) as bundle:
        assert bundle.write("one", {"messages": [turn(1), turn(2)]}).status == 201
        assert bundle.write("two", turn(1)).status == 201
    capsys.readouterr()
    monkeypatch.setenv("DIRECT_DATABASE_URL", url_of(there.postgres, kind, there.name))
    assert main(["backup", "--file", str(file)]) == 0
    out, error = capsys.readouterr()
    assert re.match(rf"Wrote {file}: [0-9.]+ kB, 2 sessions, 3 turns\. It holds every text", out), out
    assert error == ""


def test_a_backup_of_an_empty_brain_says_so_loudly(
    there: Database, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIRECT_DATABASE_URL", url_of(there.postgres, "superuser", there.name))
    assert main(["backup", "--file", str(file)]) == 0
    out, error = capsys.readouterr()
    assert " kB, 0 sessions, 0 turns." in out
    assert re.fullmatch(
        rf"WARNING: {there.name} on \S+:\d+ has no session\. Check the database in DIRECT_DATABASE_URL\.\n", error
    )


def test_a_backup_of_rows_that_were_changed_by_hand_says_what_a_restore_will_say(
    there: Database, file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with deployed({"DATABASE_URL": there.app_url}) as bundle:
        assert bundle.write("one", {"messages": [turn(1), turn(2)]}).status == 201
    with there.admin() as admin:
        admin.execute("delete from robot_brain.conversations where seq = 1")
    monkeypatch.setenv("DIRECT_DATABASE_URL", url_of(there.postgres, "superuser", there.name))
    capsys.readouterr()
    assert main(["backup", "--file", str(file)]) == 0
    assert capsys.readouterr().err == (
        "WARNING: The sessions count 2 turns, and 1 of them can be read. A restore of this backup needs FORCE=1. "
        "Probably somebody changed rows by hand.\n"
    )


@pytest.mark.parametrize("kind", ["superuser", "console"])
def test_only_its_owner_can_read_a_backup(there: Database, file: Path, kind: str) -> None:
    mask = os.umask(0)
    try:
        saved(there, file, kind)
    finally:
        os.umask(mask)
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_large_objects_of_a_login_do_not_stop_a_backup(there: Database, file: Path) -> None:
    with there.admin() as admin:
        row = admin.execute("select lo_create(0)").fetchone()
        assert row is not None
        admin.execute(sql.SQL("alter large object {} owner to robot_brain_app_a").format(sql.Literal(row[0])))
    saved(there, file, "console")


def test_names_with_quotes_and_spaces_are_backed_up_and_restored(there: Database, file: Path) -> None:
    name = "we\"ird 'name' = x\\y é"
    with new_database(there.postgres, SUPERUSER, name=name):
        saved(there, file.with_name("it's a $(file)"))
        restored(there.postgres, "superuser", name, file.with_name("it's a $(file)"))
        backup(url_of(there.postgres, "superuser", name), file, quietly())


def test_a_backup_is_of_one_moment_whatever_is_written_meanwhile(there: Database, file: Path) -> None:
    with deployed({"DATABASE_URL": there.app_url}) as bundle:
        assert bundle.write("before", turn()).status == 201
        before = rows_of(there.postgres, there.name)
        with waiting_backup(there, "superuser", file) as (process, release):
            assert bundle.write("meanwhile", turn()).status == 201
            assert bundle.erase("before").status == 204
            release()
            out, log = outputs_of(process)
    assert (process.returncode, log) == (0, "")
    assert re.match(rf"Wrote {file}: [0-9.]+ kB, 1 session, 1 turn\. ", out), out

    with new_database(there.postgres, SUPERUSER) as name:
        restored(there.postgres, "superuser", name, file)
        rows = rows_of(there.postgres, name)
    trail = rows.pop("robot_brain.audit_logs")
    assert trail[:-1] == before.pop("robot_brain.audit_logs")
    # A restore fills the view from the sessions.
    assert rows.pop("robot_brain.session_stats") != before.pop("robot_brain.session_stats")
    assert rows == before


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("trap '' XFSZ; ulimit -f 8", "File too large"),
        ("kill -9 $$", "pg_dump was ended by signal 9"),
        ("echo 'pg_dump: error: a reason of its own' >&2; exit 1", "a reason of its own"),
        ("exit 0", "is no backup, or it is damaged"),
    ],
    ids=["full disk", "killed", "failed", "wrote nothing"],
)
def test_a_dump_that_fails_leaves_no_file(
    there: Database,
    file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    before: str,
    says: str,
) -> None:
    tools = tools_for_dump(there.postgres.version, tls=False).folder
    folder = tools_in_front(tmp_path_factory.mktemp("tools") / "bin", tools, pg_dump=before)
    monkeypatch.setenv("PGBIN", str(folder))
    assert_refused(there, file, says)
    file.write_text("an older backup")
    with pytest.raises(MigrationError, match=says):
        saved(there, file, force=True)
    assert file.read_text() == "an older backup"
    assert list(file.parent.iterdir()) == [file]
