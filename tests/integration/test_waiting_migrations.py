"""A command names the connection that holds its lock. A migration waits, and gives up after WAIT seconds."""

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest

from ops.__main__ import main
from ops.apply_files import LOCK
from ops.errors import MigrationError
from ops.migrate import migrate
from ops.only_one import WAIT_SECONDS, Waiting
from ops.recount import recount
from tests.support.marks import over_tls, without_pooler
from tests.support.servers.databases import Database
from tests.support.servers.postgres import Postgres, start_embedded

logger = logging.getLogger("robot_brain.operator")
NAMED = r"process {} of robot_brain_migrator, nightly job, connected since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d UTC"
WAITS = "another migration of this database is running ("


@contextmanager
def holding(database: Database, key: str = str(LOCK), program: str = "nightly job") -> Iterator[int]:
    """Hold the lock of a command on another connection of the migrating role, and yield its process."""
    with psycopg.connect(database.direct_url, autocommit=True, application_name=program) as other:
        other.execute(f"select pg_advisory_lock({key})".encode())
        yield other.info.backend_pid
        other.close()


@contextmanager
def for_each_line(act: Callable[[int], None]) -> Iterator[list[str]]:
    """Call `act` with the number of each line about the waiting. Yield the lines."""
    lines: list[str] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())
            act(len(lines))

    reader = Reader()
    logger.addHandler(reader)
    logger.setLevel(logging.INFO)
    try:
        yield lines
    finally:
        logger.removeHandler(reader)
        logger.setLevel(logging.NOTSET)


@without_pooler
def test_a_waiting_migration_names_the_holder_again_and_again_and_holds_no_transaction(database: Database) -> None:
    with database.admin() as admin, holding(database) as pid:
        states = []

        def look(line: int) -> None:
            states.extend(
                admin.execute(
                    "select state, backend_xmin, backend_xid from pg_stat_activity where datname = current_database()"
                    " and application_name = 'robot-brain-migrate'"
                ).fetchall()
            )
            if line == 3:
                admin.execute("select pg_terminate_backend(%s, 5000)", (pid,))

        with for_each_line(look) as lines:
            # The limit is for the case that the end of the holder is not noticed.
            assert migrate(database.direct_url, waiting=Waiting(120, say_seconds=0)) == []
    pattern = re.escape(WAITS) + NAMED.format(pid) + r"\); waiting until it ends, at most 1[12][0-9] s more"
    assert [line for line in lines if re.fullmatch(pattern, line)] == lines
    assert len(lines) >= 3
    assert set(states) == {("idle", None, None)}


@over_tls
def test_a_waiting_migration_says_the_same_line_once_until_some_time_has_passed(database: Database) -> None:
    with (
        holding(database),
        for_each_line(lambda _: None) as lines,
        pytest.raises(MigrationError, match="still runs after 1 s"),
    ):
        migrate(database.direct_url, waiting=Waiting(1))
    assert len(lines) == 1


@without_pooler
@pytest.mark.parametrize("seconds", [0, 1])
def test_a_migration_gives_up_after_its_time_and_says_what_to_do(
    database: Database, seconds: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with database.admin() as admin:
        admin.execute("drop function robot_brain_api.health")
        with holding(database) as pid:
            monkeypatch.setenv("DIRECT_DATABASE_URL", database.direct_url)
            assert main(["migrate", "--wait", str(seconds)]) == 1
            error = capsys.readouterr().err
            assert re.search(
                f"^Another migration of this database {'still runs after 1 s' if seconds else 'is running'}: "
                + NAMED.format(pid)
                + r"\. Nothing was changed\. Wait for its end and run this again\.\n"
                + rf"If it hangs, .*: select pg_terminate_backend\({pid}\)$",
                error,
                re.MULTILINE,
            )
        assert admin.execute("select to_regproc('robot_brain_api.health')").fetchone() == (None,)
    assert migrate(database.direct_url) == ["functions/robot_brain_api/health"]


@over_tls
def test_a_holder_that_the_migrating_role_may_not_see_is_named_by_its_process_and_role(database: Database) -> None:
    with database.admin() as other:
        other.execute("select pg_advisory_lock(%s)", (LOCK,))
        with pytest.raises(
            MigrationError, match=rf"is running: process {other.info.backend_pid} of postgres\. Nothing"
        ):
            migrate(database.direct_url, waiting=Waiting(0))


@over_tls
def test_a_recount_names_the_recount_that_runs(database: Database) -> None:
    with holding(database, "hashtextextended('robot_brain.recount', 0)") as pid, pytest.raises(MigrationError) as error:
        list(recount(database.direct_url))
    named = f"Another recount of this database is running: process {pid} of robot_brain_migrator, nightly job. "
    assert str(error.value).startswith(named)


@over_tls
def test_a_migration_says_that_a_restore_runs_if_a_restore_holds_the_lock(database: Database) -> None:
    with holding(database, program="robot-brain-restore") as pid:
        with for_each_line(lambda _: None) as lines, pytest.raises(MigrationError) as error:
            migrate(database.direct_url, waiting=Waiting(1))
        assert lines[0].startswith(f"a restore of this database is running (process {pid} of robot_brain_migrator, ")
        assert str(error.value).startswith(f"A restore of this database still runs after 1 s: process {pid} of ")


@pytest.fixture
def preparing() -> Iterator[Postgres]:
    """A server that allows prepared transactions."""
    server = start_embedded(18, {"max_prepared_transactions": "5"})
    yield server
    server.stop()


def test_a_prepared_transaction_that_holds_the_lock_is_named(preparing: Postgres) -> None:
    with preparing.admin() as admin:
        admin.execute("create database prepared owner robot_brain_migrator template template0")
    with preparing.admin("prepared") as other:
        other.execute("begin")
        other.execute("select pg_advisory_xact_lock(%s)", (LOCK,))
        other.execute("prepare transaction 'forgotten'")
    with pytest.raises(MigrationError, match=r"is running: a prepared transaction\. (.|\n)*pg_prepared_xacts"):
        migrate(preparing.direct_url("prepared"), waiting=Waiting(0))


@pytest.mark.parametrize("wrong", ["", " ", "-1", "1.5", "ten", "10s", "1e3", "100000", "٣", "0x10", "+5", "1_0"])
def test_a_wrong_time_to_wait_is_refused_before_the_database_is_reached(
    wrong: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DIRECT_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    for arguments in (["migrate", f"--wait={wrong}"], ["migrate", "--plan", f"--wait={wrong}"]):
        assert main(arguments) == 2
        assert capsys.readouterr().err == (
            f"WAIT= is whole seconds from 0 to 99999. Leave it out for {WAIT_SECONDS}. With 0 it does not wait.\n"
        )
