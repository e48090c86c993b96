"""A restore that runs: what requests get meanwhile, and what is left if it is stopped."""

import os
import re
import signal
from pathlib import Path

import pytest

from ops.backup import backup
from ops.errors import MigrationError
from ops.pg_tools import tools_for_restore
from ops.restore import restore
from ops.stopping import StoppedError, stoppable
from tests.integration.backups import quietly, rows_of, url_of
from tests.integration.migrations import PROCESS_ENDED
from tests.integration.ops_commands import command, tools_in_front
from tests.support.bundle import deployed, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import APP, Database
from tests.support.servers.gate import gate_in, wait_for_pid
from tests.support.servers.pgbouncer import PgBouncer
from tests.support.servers.postgres import MIGRATOR
from tests.support.waiting import outputs_of, wait_until

COPIES = """
select from pg_stat_activity
where datname = current_database() and application_name = 'robot-brain-restore' and query like 'COPY %'
"""
# By then the schemas are dropped, and some tables made.
AFTER_THE_DROP = 60
SAID = re.compile(
    r"Restore into .*\nConnections of the functions to this database: \d+\. Their requests wait for the restore\. "
    r"After 5 s they fail, and work again after its end\.\n"
)

STOPPED = re.compile(
    r"Restore into .*\n(Connections of the functions .*\n)?The restore was stopped\. Nothing was changed\.\n"
)


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Path:
    """A backup of the database with one session, to which a turn was added since."""
    file = tmp_path / "brain.dump"
    with deployed({"DATABASE_URL": database.app_url}) as bundle:
        assert bundle.write("one", turn(1)).status == 201
        backup(url_of(database.postgres, "superuser", database.name), file, quietly())
        assert bundle.write("one", turn(2)).status == 201
    return file


@pytest.mark.parametrize("database", ["tls"], indirect=True)
def test_requests_during_a_restore_get_an_honest_answer_and_recover_after_it(database: Database, archive: Path) -> None:
    with database.admin() as admin, gate_in(admin) as gate, deployed({"DATABASE_URL": database.app_url}) as bundle:
        # It is 5 s. The restore corrects it.
        admin.execute(f"alter role {APP} in database {database.name} set lock_timeout = '200ms'".encode())
        assert bundle.read("one").json["session"]["message_count"] == 2
        gate.close(AFTER_THE_DROP)
        with command("restore", database.direct_url, archive, "--replace") as process:
            gate.wait_for_arrival(process)
            answers = [bundle.read("one"), bundle.write("one", turn(3)), bundle.stats()]
            assert {answer.status for answer in answers} <= {409, 503, 504}, [answer.json for answer in answers]
            assert bundle.health().status == 200
            gate.open()
            out, log = outputs_of(process)
        assert process.returncode == 0, log
        assert SAID.search(log)
        assert out.startswith(f"Restored {archive} into {database.name} on "), out
        assert ": 1 session, 1 turn.\nNext:\n1. Run `make migrate`." in out

        assert [each["user_message"] for each in bundle.read("one").json["messages"]] == ["question 1"]
        assert bundle.write("one", turn(2)).status == 201
        assert bundle.stats().json["totals"]["messages"] == 2


@without_pooler
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_restore_that_is_stopped_leaves_the_database_as_it_was(
    database: Database, archive: Path, number: signal.Signals
) -> None:
    before = rows_of(database.postgres, database.name)
    with database.admin() as admin, gate_in(admin) as gate:
        gate.close(AFTER_THE_DROP)
        with command("restore", database.direct_url, archive, "--replace") as process:
            backend = gate.wait_for_arrival(process)
            process.send_signal(number)
            if number == signal.SIGKILL:
                process.wait()
                # The server notices the lost client when it answers.
                gate.open()
                wait_for_pid(admin, PROCESS_ENDED, [backend])
            else:
                _, log = outputs_of(process)
                assert process.returncode == 128 + number
                assert STOPPED.fullmatch(log), log
                wait_until(lambda: admin.execute(PROCESS_ENDED, [backend]).fetchone() is not None)
                gate.open()
    assert rows_of(database.postgres, database.name) == before


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_restore_that_is_stopped_among_the_rows_says_only_that_nothing_was_changed(
    database: Database, archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("tools")
    os.mkfifo(folder / "never")
    # The rows begin and do not end.
    waits = f'case "$*" in *--section=data*) "$real" "$@" | sed "/^COPY/q"; exec cat {folder / "never"};; esac'
    tools = tools_in_front(folder / "bin", tools_for_restore().folder, pg_restore=waits)
    with (
        database.admin() as admin,
        command("restore", database.direct_url, archive, "--replace", PGBIN=str(tools)) as process,
    ):
        wait_until(lambda: admin.execute(COPIES).fetchone() is not None)
        process.send_signal(signal.SIGINT)
        _, log = outputs_of(process)
    assert process.returncode == 130
    assert STOPPED.fullmatch(log), log


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_stopped_command_shows_no_line_of_the_database_library(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def stop_among_the_rows() -> None:
        with stoppable("stopped"), admin.cursor().copy("copy rows from stdin") as copy:
            copy.write("1\n")
            # So the copy cannot be ended in order.
            other.execute("select pg_terminate_backend(%s, 5000)", [admin.info.backend_pid])
            raise KeyboardInterrupt

    with database.admin() as admin, database.admin() as other:
        admin.execute("create temporary table rows (id int)")
        with pytest.raises(StoppedError):
            stop_among_the_rows()
    assert caplog.messages == []


@without_pooler
def test_a_restore_whose_connection_is_ended_leaves_the_database_as_it_was(database: Database, archive: Path) -> None:
    before = rows_of(database.postgres, database.name)
    with database.admin() as admin, gate_in(admin) as gate:
        gate.close(AFTER_THE_DROP)
        with command("restore", database.direct_url, archive, "--replace") as process:
            backend = gate.wait_for_arrival(process)
            admin.execute("select pg_terminate_backend(%s)", [backend])
            _, log = outputs_of(process)
        assert process.returncode == 1
        assert log.endswith("\nNothing was changed.\n")
        gate.open()
    assert rows_of(database.postgres, database.name) == before


@pytest.mark.parametrize("section", ["pre-data", "data", "post-data"])
@pytest.mark.parametrize("database", ["embedded"], indirect=True)
def test_a_pg_restore_that_fails_after_its_last_line_changes_nothing(
    database: Database,
    archive: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    section: str,
) -> None:
    before = rows_of(database.postgres, database.name)
    fails = f'case "$*" in *--section={section}*) "$real" "$@"; echo the reason >&2; exit 1;; esac'
    folder = tools_in_front(tmp_path_factory.mktemp("tools") / "bin", tools_for_restore().folder, pg_restore=fails)
    monkeypatch.setenv("PGBIN", str(folder))
    with pytest.raises(MigrationError, match=r"damaged\. pg_restore says:\nthe reason"):
        restore(database.direct_url, archive, quietly(), replace=True)
    assert rows_of(database.postgres, database.name) == before


@pytest.mark.parametrize("database", ["pooled"], indirect=True)
def test_a_pooler_in_transaction_mode_is_refused_by_both_commands(
    database: Database, archive: Path, pooler: PgBouncer
) -> None:
    url = pooler.address.url(MIGRATOR, database.postgres.migrator_password, database.name)
    with pytest.raises(MigrationError, match="leads to a pooler in transaction mode"):
        backup(url, archive.with_name("other.dump"), quietly())
    with pytest.raises(MigrationError, match="leads to a pooler in transaction mode"):
        restore(url, archive, quietly(), replace=True)
    assert list(archive.parent.iterdir()) == [archive]
