"""`make ops DO=restore` says what it restores, into which database, and what that database has now."""

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ops.__main__ import main
from ops.backup import backup
from tests.integration.backups import KINDS, OWNERS, kinds_of_roles, new_database, quietly, restored, rows_of, url_of
from tests.support.bundle import deployed, turn
from tests.support.servers.databases import Database, Template
from tests.support.servers.postgres import MIGRATOR, Postgres

TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture(scope="module")
def server(embedded_template: Template) -> Iterator[Postgres]:
    """The embedded server, with the role of Neon's console."""
    with kinds_of_roles(embedded_template.postgres):
        yield embedded_template.postgres


@pytest.fixture
def there(server: Postgres, embedded_database: Database) -> Database:
    """A database with two sessions and three turns, one of them written after the backup."""
    return embedded_database


@pytest.fixture
def archive(there: Database, tmp_path: Path) -> Path:
    """A backup with two sessions and two turns. Then one more turn was written."""
    file = tmp_path / "brain.dump"
    with deployed({"DATABASE_URL": there.app_url}) as bundle:
        assert bundle.write("one", turn(1)).status == 201
        assert bundle.write("two", turn(1)).status == 201
        backup(url_of(there.postgres, "superuser", there.name), file, quietly())
        assert bundle.write("two", turn(2)).status == 201
    return file


def run(monkeypatch: pytest.MonkeyPatch, url: str, *arguments: str) -> int:
    """Run a command of the operator on this database, and return its exit status."""
    monkeypatch.setenv("DIRECT_DATABASE_URL", url)
    return main(arguments)


def place(database: Database, name: str = "") -> str:
    """Return the pattern of the database and its server."""
    host = conninfo_to_dict(database.direct_url)["host"]
    return re.escape(f"{name or database.name} on {host}:{database.postgres.address.port}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_names_its_target_the_time_of_the_backup_and_what_is_there(
    there: Database, archive: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with new_database(there.postgres, OWNERS[kind], there.name) as name:
        assert run(monkeypatch, url_of(there.postgres, kind, name), "restore", "--file", str(archive)) == 1
        error = capsys.readouterr().err
    assert re.search(
        rf"^Restore into {place(there, name)}: the backup of {TIME}\. There now: 2 sessions, 3 turns, last write "
        rf"{TIME}\.$",
        error,
        re.MULTILINE,
    ), error
    assert re.search(rf"^The database {place(there, name)} has Robot Brain already", error, re.MULTILINE)


def test_a_restore_says_that_its_target_is_empty_and_how_much_it_brought_there(
    there: Database, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with new_database(there.postgres, MIGRATOR) as name:
        assert run(monkeypatch, url_of(there.postgres, "sql", name), "restore", "--file", str(archive)) == 0
    out, error = capsys.readouterr()
    assert re.match(rf"Restore into {place(there, name)}: the backup of {TIME}\. There now: no Robot Brain\.\n", error)
    assert re.match(rf"Restored {archive} into {place(there, name)}: 2 sessions, 2 turns\.\n", out)


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("drop table robot_brain.sessions cascade", 'relation "robot_brain.sessions" does not exist'),
        ("drop schema robot_brain cascade", 'relation "robot_brain.sessions" does not exist'),
        ("drop policy every_tenant on robot_brain.sessions", "query would be affected by row-level security"),
    ],
)
def test_a_restore_over_a_broken_database_says_that_it_cannot_count_the_sessions(
    there: Database,
    archive: Path,
    statement: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with there.admin() as admin:
        admin.execute(statement.encode())
    options = ("--file", str(archive), "--replace")
    assert run(monkeypatch, there.direct_url, "restore", *options) == 0
    assert f"There now: Robot Brain, and its sessions cannot be counted ({reason}" in capsys.readouterr().err


def test_a_dry_run_of_a_restore_reads_the_whole_file_and_changes_nothing(
    there: Database, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows_of(there.postgres, there.name)
    options = ("restore", "--file", str(archive), "--dry-run")

    assert run(monkeypatch, there.direct_url, *options) == 0
    out, error = capsys.readouterr()
    assert "There now: 2 sessions, 3 turns, last write 20" in error
    assert out == (
        f"{archive} is whole: 2 sessions, 2 turns. Nothing was changed.\n"
        "A restore needs REPLACE=1, which drops what is there now.\n"
    )
    assert run(monkeypatch, there.direct_url, *options, "--replace") == 0
    assert capsys.readouterr().out == f"{archive} is whole: 2 sessions, 2 turns. Nothing was changed.\n"
    assert rows_of(there.postgres, there.name) == before


def test_a_dry_run_of_a_restore_refuses_what_the_restore_would_refuse(
    there: Database, archive: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with there.admin() as admin:
        admin.execute("create view public.report as select id from robot_brain.sessions")
    options = ("restore", "--file", str(archive), "--dry-run", "--replace")
    assert run(monkeypatch, there.direct_url, *options) == 1
    assert "Other objects depend on what is to be replaced" in capsys.readouterr().err

    content = bytearray(archive.read_bytes())
    content[-600:-500] = bytes(100)
    archive.write_bytes(content)
    with new_database(there.postgres, MIGRATOR) as name:
        url = url_of(there.postgres, "sql", name)
        assert run(monkeypatch, url, "restore", "--file", str(archive), "--dry-run") == 1
        assert re.search(r"brain\.dump is (no backup, or it is )?damaged", capsys.readouterr().err)
        assert rows_of(there.postgres, name) == {}


def test_the_trail_names_the_file_of_a_restore_and_the_time_of_the_backup(
    there: Database, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(monkeypatch, there.direct_url, "restore", "--file", str(archive), "--replace") == 0
    with there.admin() as admin:
        row = admin.execute("select new_data from robot_brain.audit_logs where tenant_id = '*' order by id desc")
        entry = row.fetchone()
    assert entry is not None
    assert entry[0]["file"] == "brain.dump"
    assert re.fullmatch(TIME, entry[0]["backup_of"])


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_a_dash_is_no_name_of_a_backup(
    there: Database,
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    url = url_of(there.postgres, "superuser", there.name)
    assert run(monkeypatch, url, command, "--file", "-") == 2
    assert "FILE=- is no name of a file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_restore_makes_the_functions_of_the_checkout_and_keeps_the_rights_of_other_roles(
    there: Database, tmp_path: Path
) -> None:
    file = tmp_path / "brain.dump"
    with there.admin() as admin:
        admin.execute("create role analyst")
        admin.execute("grant execute on function robot_brain_api.health to analyst")
        row = admin.execute("select robot_brain.schema_version()").fetchone()
        assert row is not None
        body = f"RETURN {row[0]}".encode()
        try:
            backup(url_of(there.postgres, "superuser", there.name), file, quietly())
            # The list of an archive is not compressed, and has no checksum.
            content = file.read_bytes()
            assert content.count(body) == 1
            file.write_bytes(content.replace(body, b"RETURN 9"))

            restored(there.postgres, "sql", there.name, file, replace=True)

            assert admin.execute("select robot_brain.schema_version()").fetchone() == row
            right = "select has_function_privilege('analyst', 'robot_brain_api.health'::regproc, 'execute')"
            assert admin.execute(right).fetchone() == (True,)
        finally:
            admin.execute("drop owned by analyst; drop role analyst")


def test_a_restore_writes_into_a_database_that_was_made_read_only(there: Database, archive: Path) -> None:
    with there.admin() as admin:
        admin.execute(f"alter database {there.name} set default_transaction_read_only = on".encode())
    said = restored(there.postgres, "sql", there.name, archive, replace=True)
    text, _, statement = said[-1].partition(" run: ")
    assert (
        text
        == f"New connections to {there.name} may only read. This restore did not change that. Before `make migrate`"
    )
    with psycopg.connect(there.direct_url, autocommit=True) as connection:
        for each in statement.split("; "):
            connection.execute(each.encode())
    with psycopg.connect(there.direct_url) as connection:
        assert connection.execute("show default_transaction_read_only").fetchone() == ("off",)
    with there.admin() as admin:
        assert admin.execute("select sum(message_count) from robot_brain.sessions").fetchone() == (2,)
