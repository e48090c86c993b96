"""The layer retries a write that the server still runs: the turn is written once."""

import os
import signal
from collections.abc import Iterator

import pytest

from robot_brain.database import call
from robot_brain.database.connection import lazy_connection
from tests.integration.held_locks import held
from tests.integration.test_repeated_writes import prepare, sessions, stored
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.databases import APP, Database
from tests.support.servers.gate import wait_for_pid


@pytest.fixture
def patient(database: Database) -> Iterator[Bundle]:
    """The functions on `database`, with more attempts and more time.

    With a short wait for an answer, a busy machine could give up an attempt that would have been answered.
    """
    with deployed({"DATABASE_URL": database.app_url, "DB_MAX_RETRIES": "10"}) as functions:
        functions.context.milliseconds = 60_000
        yield functions


def test_an_attempt_that_waits_for_a_lock_is_not_overtaken_by_its_retry(
    patient: Bundle, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The layer gave up the attempt, but the server still runs it."""
    assert patient.write("s", turn()).status == 201
    monkeypatch.setattr(call, "_LONGEST_ANSWER", 1.0)
    with held(database, "lock table robot_brain.sessions in access exclusive mode", 1.5):
        reply = patient.write("s", turn())
    assert (reply.status, reply.json["message_count"]) == (201, 2)
    assert "idempotent-replayed" not in reply.headers
    assert lazy_connection().retired >= 1
    assert stored(database) == (2, 0, 2)


@sessions
def test_an_attempt_that_a_stopped_server_process_reads_after_its_retry_writes_nothing(
    patient: Bundle, database: Database, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    before = prepare(database, known)
    monkeypatch.setattr(call, "_LONGEST_ANSWER", 0.5)
    assert patient.read("s").status == (200 if known else 404)
    with database.admin() as admin:
        # A rollback does not undo nextval, so the sequence counts every attempt.
        admin.execute("create sequence public.attempts")
        admin.execute("grant usage on sequence public.attempts to public")
        admin.execute(
            "create function public.count() returns trigger language plpgsql as"
            " 'begin perform nextval(''public.attempts''); return new; end'"
        )
        admin.execute(
            "create trigger count before insert on robot_brain.sessions for each row execute function public.count()"
        )
        standing = wait_for_pid(
            admin, "select pid from pg_stat_activity where datname = current_database() and usename = %s", [APP]
        )
        os.kill(standing, signal.SIGSTOP)
        try:
            reply = patient.write("s", turn())
        finally:
            os.kill(standing, signal.SIGCONT)
        assert (reply.status, reply.json["message_count"]) == (201, before + 1)
        wait_for_pid(
            admin,
            "select 1 where not exists (select from pg_stat_activity where pid = %s)",
            [standing],
        )
        attempts = admin.execute("select last_value from public.attempts").fetchone()
        assert attempts is not None
        assert attempts[0] >= 2
    assert stored(database) == (before + 1, 0, before + 1)
