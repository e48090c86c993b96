"""`make app-password` survives a kill at each step, and two operators at once."""

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest

from local.settings import ROOT
from ops.app_password import rotate
from ops.errors import MigrationError
from tests.integration.logins_state import (
    ENVIRONMENT,
    FIRST,
    SECOND,
    can_log_in,
    logins_put_back,
    retired,
    who,
)
from tests.support.marks import over_tls
from tests.support.servers.databases import Database, Template
from tests.support.waiting import outputs_of, wait_until


@pytest.fixture(autouse=True)
def logins(tls_template: Template) -> Iterator[None]:
    """Leave the logins as other tests expect them."""
    with logins_put_back(tls_template):
        yield


def start(database: Database, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "ops", "app-password", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | {"DIRECT_DATABASE_URL": database.direct_url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_when(process: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    wait_until(condition)
    assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    outputs_of(process)


@over_tls
def test_a_command_killed_before_its_commit_changes_nothing(database: Database) -> None:
    with database.admin() as holder, database.admin() as admin, holder.transaction():
        holder.execute("alter role robot_brain_app set row_security = on")
        process = start(database)
        kill_when(process, lambda: _waits(admin))
    assert can_log_in(database) == [FIRST]
    _, _, url = rotate(database.direct_url)
    assert who(url) == (SECOND, True)


@over_tls
def test_a_command_killed_before_it_prints_the_url_leaves_two_logins_of_which_the_new_one_can_be_taken_back(
    database: Database,
) -> None:
    with database.admin() as admin:
        # The new login is refused, so the command tries again for some seconds.
        admin.execute(f"alter role {SECOND} connection limit 0".encode())
        process = start(database)
        kill_when(process, lambda: can_log_in(database) == [FIRST, SECOND])
        admin.execute(f"alter role {SECOND} connection limit -1".encode())
    with pytest.raises(MigrationError, match="RETIRE=new"):
        rotate(database.direct_url)
    retired(database, "new")
    assert who(database.app_url) == (FIRST, True)
    _, _, url = rotate(database.direct_url)
    assert who(url) == (SECOND, True)


@over_tls
def test_a_retirement_killed_after_it_took_the_rights_is_finished_by_the_next_run(database: Database) -> None:
    _, _, url = rotate(database.direct_url)
    with psycopg.connect(database.app_url, autocommit=True) as used:
        used.execute("select 1")
        process = start(database, "--retire", "old", "--force")
        kill_when(process, lambda: not _has_rights(database, FIRST))
        assert can_log_in(database) == [FIRST, SECOND]
    retired(database)
    assert can_log_in(database) == [SECOND]
    assert _has_rights(database, FIRST)
    assert who(url) == (SECOND, True)


def _has_rights(database: Database, role: str) -> bool:
    with database.admin() as admin:
        return admin.execute("select pg_has_role(%s, 'robot_brain_app', 'usage')", [role]).fetchone() == (True,)


def _waits(admin: psycopg.Connection) -> bool:
    found = admin.execute(
        "select 1 from pg_stat_activity where application_name = 'robot-brain-password' and wait_event_type = 'Lock'"
    ).fetchone()
    return found is not None


@over_tls
def test_of_two_operators_at_once_one_gets_a_url_that_works_and_the_other_an_error(database: Database) -> None:
    for _ in range(3):
        urls: list[str] = []
        errors: list[MigrationError] = []

        def operate(urls: list[str] = urls, errors: list[MigrationError] = errors) -> None:
            try:
                urls.append(rotate(database.direct_url)[2])
            except MigrationError as error:
                errors.append(error)

        threads = [threading.Thread(target=operate) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(urls), len(errors)) == (1, 1)
        assert "Another command" in str(errors[0]) or "can log in already" in str(errors[0])
        assert who(urls[0]) == (SECOND, True)
        retired(database, "new")


@over_tls
def test_a_login_that_keeps_a_change_of_its_role_open_does_not_stop_its_retirement(database: Database) -> None:
    rotate(database.direct_url)
    with psycopg.connect(database.app_url) as thief:
        thief.execute("set idle_in_transaction_session_timeout = 0")
        thief.execute("alter role current_user set search_path = ''")
        retired(database)
        with pytest.raises(psycopg.OperationalError):
            thief.execute("select 1")
        thief.close()
    assert can_log_in(database) == [SECOND]
