"""A backup that runs: it can be stopped, says how far it is, and shows the password to no other user."""

import os
import pty
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.backup import backup
from ops.errors import MigrationError, UsageError
from tests.integration.backups import kinds_of_roles, quietly, url_of
from tests.integration.ops_commands import child_of, waiting_backup
from tests.support.bundle import deployed, turn
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template
from tests.support.waiting import outputs_of

STOPPED = "The backup was stopped. Its unfinished file was removed, and no other file was changed.\n"

pytestmark = over_tls


@pytest.fixture(scope="module", autouse=True)
def kinds(tls_template: Template) -> Iterator[None]:
    """The role of Neon's console."""
    with kinds_of_roles(tls_template.postgres):
        yield


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """The name of a backup that does not exist yet."""
    return tmp_path / "brain.dump"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_stopped_backup_leaves_no_file_and_no_connection(
    database: Database, file: Path, number: signal.Signals
) -> None:
    file.write_text("an older backup")
    with waiting_backup(database, "console", file.with_name("new.dump")) as (process, _):
        process.send_signal(number)
        out, log = outputs_of(process)
    assert (process.returncode, out, log) == (128 + number, "", STOPPED)
    assert list(file.parent.iterdir()) == [file]
    assert file.read_text() == "an older backup"


def test_a_killed_pg_dump_leaves_no_file(database: Database, file: Path) -> None:
    with waiting_backup(database, "console", file) as (process, _):
        child_of(process, "pg_dump").kill()
        out, log = outputs_of(process)
    assert (process.returncode, out) == (1, "")
    assert log.startswith(
        "pg_dump failed, and its unfinished file was removed. It says:\npg_dump was ended by signal 9"
    )
    assert list(file.parent.iterdir()) == []


def test_no_argument_and_no_output_shows_the_password(database: Database, file: Path) -> None:
    url = url_of(database.postgres, "console", database.name)
    password = database.postgres.migrator_password
    assert password in url
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        assert bundle.write("one", turn()).status == 201
    with waiting_backup(database, "console", file) as (process, release):
        child = child_of(process, "pg_dump")
        for shown in (process.pid, child.pid):
            arguments = Path(f"/proc/{shown}/cmdline").read_text()
            assert password not in arguments
        assert database.name in arguments
        release()
        out, log = outputs_of(process)
    assert (process.returncode, log) == (0, "")
    assert password not in out


def test_a_backup_on_a_terminal_shows_how_far_it_is_in_one_line(database: Database, file: Path) -> None:
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        assert bundle.write("one", turn()).status == 201
    terminal, theirs = pty.openpty()
    with waiting_backup(database, "console", file, stderr=theirs) as (process, release):
        os.close(theirs)
        release()
        out, _ = outputs_of(process)
    shown = read_all(terminal)
    assert process.returncode == 0
    assert shown.startswith("\rBackup: counting the turns")
    assert "\rBackup: 0 of " in shown
    assert " tables, " in shown
    assert "\n" not in shown
    # The line is removed at the end.
    assert shown.endswith("\r\x1b[K")
    assert out.startswith(f"Wrote {file}: ")


def read_all(terminal: int) -> str:
    """Return what was written to a terminal that every program has closed."""
    text = b""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:
            # Linux says so at the end.
            data = b""
        if not data:
            os.close(terminal)
            return text.decode()
        text += data


def test_a_url_with_two_hosts_and_options_reaches_the_database(database: Database, file: Path) -> None:
    postgres = database.postgres
    place = f"127.0.0.1:{postgres.address.port}"
    url = url_of(postgres, "console", database.name)
    assert place in url
    assert backup(url.replace(place, f"127.0.0.1:1,{place}") + "&options=-c%20statement_timeout%3D60s", file, quietly())


def test_a_password_of_a_key_is_refused_because_others_could_read_it(database: Database, file: Path) -> None:
    url = url_of(database.postgres, "console", database.name)
    with pytest.raises(UsageError, match="has sslpassword, ") as raised:
        backup(f"{url}&sslpassword=secret-of-the-key", file, quietly())
    assert "secret-of-the-key" not in str(raised.value)
    assert list(file.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("version", "says"),
    [
        (
            "14.1",
            r"^The server has PostgreSQL \d+, and no pg_dump of .* with TLS is here \(only 14\)",
        ),
        ("", "^PGBIN=.* has no pg_dump and pg_restore that run"),
    ],
    ids=["too old", "absent"],
)
def test_without_a_pg_dump_that_fits_the_message_names_the_package(
    database: Database,
    file: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    says: str,
) -> None:
    folder = tmp_path_factory.mktemp("old")
    for name in ("pg_dump", "pg_restore") if version else ():
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) {version}'\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PGBIN", str(folder))
    with pytest.raises((MigrationError, UsageError), match=says):
        backup(url_of(database.postgres, "console", database.name), file, quietly())
    assert list(file.parent.iterdir()) == []
