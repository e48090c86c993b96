"""An erasure of a user survives kills after and within each of its steps, and leaves no trace of the person."""

import json
import secrets
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass

import psycopg
import pytest

from ops.recount import recount
from tests.faults.counting_server import counting_server
from tests.faults.test_erasure import DATABASE, kill
from tests.integration.user_rows import Connection, dry_run, fill, step, stored
from tests.support.figures import compare, keep_history
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_postgres
from tests.support.servers.postgres import Postgres
from tests.support.waiting import wait_until

TENANT = "local"
CANARY = "canary-" + secrets.token_hex(8)
USER, OTHER = f"{CANARY}-user", "stays"
# The kind of server, and the sessions of the user. One session more has so many turns that it takes two steps.
SIZES = {"tls": 9_999, "embedded": 450}
LARGE = 5_100
# A step waits for one of these, if it changes it, and is killed there.
HELD = ("sessions", "uncounted", "idempotency_keys", "erasures", "user_erasures", "users", "conversations")
# What the other user has.
KEPT = {"sessions": 20, "messages": 40, "interactions": 20}
PERSON = {
    "email": f"{CANARY}@example.com",
    "password_hash": f"$argon2id$v=19$m=65536,t=3,p=4${CANARY}",
    "profile": {"first_name": CANARY, "last_name": CANARY, "avatar_url": f"https://example.com/{CANARY}.png"},
}


@dataclass(frozen=True)
class Erased:
    """A server with a database, in which the user has so many sessions."""

    postgres: Postgres
    sessions: int

    def admin(self) -> Connection:
        """Return a superuser's connection to the database."""
        return self.postgres.admin(DATABASE)


@pytest.fixture(params=SIZES)
def erased(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Erased]:
    with counting_server(request.param, authority, DATABASE) as postgres:
        yield Erased(postgres, SIZES[request.param])


def write(admin: Connection, sessions: int) -> None:
    """Write two users. Each place that holds what a client sent of the first one has the canary."""
    keep_history(admin)
    admin.execute(
        "select robot_brain_api.create_user(%s, %s, %s, p_email_key => %s, p_key => %s)",
        [TENANT, USER, json.dumps(PERSON), PERSON["email"], f"{CANARY} key"],
    )
    fill(admin, USER, sessions, 1, prefix=f"{CANARY}-", text=f"{CANARY} text")
    fill(admin, USER, 1, LARGE, prefix=f"large {CANARY}-", text=f"{CANARY} text")
    fill(admin, OTHER, 20, 2)
    admin.execute("select robot_brain_api.save_user(%s, %s, '{}')", [TENANT, OTHER])
    refresh(admin)


def refresh(admin: Connection) -> None:
    """Refresh the statistics."""
    admin.execute("select robot_brain_api.refresh_stats()")
    admin.execute("select robot_brain_api.refresh_view()")


class Killed:
    """Steps of the erasure of the user, each of them ended within and after it."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.steps = self.within = 0
        self.observer: Connection = postgres.admin(DATABASE)
        self.holder: Connection = postgres.admin(DATABASE)

    def end_within(self, table: str, by_signal: bool) -> None:
        """Begin a step, and end it while it waits for a lock on `table`. Check that it changed nothing.

        Do nothing more if the step did not need the table, and so was done.
        """
        before = rows(self.observer)
        # closing, because the end of a connection's own context would commit on a connection that is lost.
        with ThreadPoolExecutor(1) as thread, closing(self.postgres.admin(DATABASE)) as doomed:
            pid = doomed.info.backend_pid
            self.holder.execute("begin")
            self.holder.execute(f"lock table robot_brain.{table} in share mode".encode())
            erasing = thread.submit(self.step, doomed)
            waits = "select wait_event_type = 'Lock' from pg_stat_activity where pid = %s"
            wait_until(lambda: erasing.done() or self.observer.execute(waits, [pid]).fetchone() == (True,))
            if not erasing.done():
                self.within += 1
                self.end(pid, by_signal)
                with pytest.raises(psycopg.OperationalError):
                    erasing.result()
                assert rows(self.observer) == before
        if not self.holder.closed:
            self.holder.execute("rollback")

    def end(self, pid: int, by_signal: bool) -> None:
        """End a server process. After kill -9 PostgreSQL ends all others, and recovers."""
        if by_signal:
            kill(self.postgres, pid)
            self.close()
            self.observer, self.holder = self.postgres.admin(DATABASE), self.postgres.admin(DATABASE)
        else:
            self.observer.execute("select pg_terminate_backend(%s)", [pid])

    def close(self) -> None:
        """Close the connections."""
        self.observer.close()
        self.holder.close()

    def step(self, connection: Connection) -> str:
        """Take a step, and return the state after it."""
        return step(connection, USER, continues=self.steps > 0)

    def take(self, by_signal: bool) -> str:
        """Take a step, end its connection, and return the state after it."""
        with closing(self.postgres.admin(DATABASE)) as doomed:
            state = self.step(doomed)
            self.steps += 1
            self.end(doomed.info.backend_pid, by_signal)
        return state


def rows(admin: Connection) -> tuple[object, ...]:
    """Return what an erasure changes: the numbers of rows, of marks and of remembered answers."""
    row = admin.execute(
        "select (select count(*) from robot_brain.users), (select count(*) from robot_brain.user_profiles),"
        " (select count(*) from robot_brain.user_erasures where user_id is not null),"
        " (select count(*) from robot_brain.sessions where erasing_at is not null),"
        " (select count(*) from robot_brain.idempotency_keys where response <> '')"
    ).fetchone()
    assert row is not None
    return (*row, *stored(admin, TENANT).values())


def look(admin: Connection) -> None:
    """Check that no answer has the canary, and that the statistics are exact."""
    for question, values in (
        ("select robot_brain_api.list_sessions(%s, 100, p_preview => true)", [TENANT]),
        ("select robot_brain_api.list_sessions(%s, 100, p_user_id => %s)", [TENANT, USER]),
        ("select robot_brain_api.stats(%s)", [TENANT]),
        ("select robot_brain_api.list_users(%s)", [TENANT]),
    ):
        assert CANARY not in str(admin.execute(question.encode(), values).fetchone())
    for question in ("read_user", "export_user"):
        answer = admin.execute(f"select body from robot_brain_api.{question}(%s, %s)".encode(), [TENANT, USER])
        assert answer.fetchone() == (None,)
    assert compare(admin, TENANT, refreshed=False).wrong == []


def test_a_user_with_many_sessions_is_erased_although_each_step_is_killed(erased: Erased) -> None:
    with erased.admin() as admin:
        write(admin, erased.sessions)
        said, before = dry_run(admin, USER), stored(admin, TENANT)
    assert said == {
        "sessions": erased.sessions + 1,
        "messages": erased.sessions + LARGE,
        "interactions": erased.sessions + LARGE // 2,
    }
    killed = Killed(erased.postgres)
    state = ""
    while state != "erased":
        # Recovery takes long. So most steps lose only their connection.
        by_signal = killed.steps in (0, 1, 3)
        killed.end_within(HELD[killed.steps % len(HELD)], by_signal)
        state = killed.take(by_signal)
        if killed.steps % 20 == 1 and state != "erased":
            look(killed.observer)
            left = stored(killed.observer, TENANT)
            assert dry_run(killed.observer, USER) == {name: left[name] - kept for name, kept in KEPT.items()}
        assert killed.steps < 1000
    assert killed.steps > 3
    assert killed.within >= 3
    killed.close()
    with erased.admin() as admin:
        look(admin)
        # The dry run said what is gone. All of the other user is still there.
        assert said == {name: number - stored(admin, TENANT)[name] for name, number in before.items()}
        assert stored(admin, TENANT) == KEPT
        refresh(admin)
        assert compare(admin, TENANT, refreshed=True).wrong == []
    assert [found for found in recount(erased.postgres.direct_url(DATABASE), dry_run=True) if found] == []
    with erased.admin() as admin:
        about = admin.execute(
            "select table_name, action from robot_brain.audit_logs where record_id = %s order by id", [USER]
        ).fetchall()
    assert about == [("users", "INSERT"), ("users", "ERASE")], "one entry of the first step that was committed"
    dump = subprocess.run(
        [debian_postgres()[0] / "pg_dump", "--schema", "robot_brain", "--dbname", erased.postgres.admin_url(DATABASE)],
        capture_output=True,
        check=True,
    ).stdout.decode() if erased.postgres.kind == "tls" else "".join(str(row) for row in everything(erased))  # fmt: skip
    assert "stays20" in dump
    # The id of the user stays in these two entries of the audit trail.
    assert dump.count(CANARY) == dump.count(USER) == len(about)
    assert CANARY not in erased.postgres.process.log.read_text(errors="replace")


def everything(server: Erased) -> list[object]:
    """Return all rows of all tables. The distribution's pg_dump is older than the embedded server."""
    with server.admin() as admin:
        tables = admin.execute(
            "select c.oid::regclass::text from pg_class c where c.relnamespace = 'robot_brain'::regnamespace"
            " and c.relkind in ('r', 'p', 'm') and not c.relispartition"
        ).fetchall()
        return [row for (name,) in tables for row in admin.execute(f"select t::text from {name} t".encode())]
