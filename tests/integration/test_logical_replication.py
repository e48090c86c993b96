"""docs/replication.md moves a database to another server under load, and no acknowledged write is lost."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from robot_brain.errors import RobotBrainError
from tests.integration.plain_dumps import rows
from tests.integration.probes import condition_in, probe, unhurried
from tests.integration.recounting import INTERACTION, recounted, stored, sums
from tests.integration.replicating import DOCUMENT, Move, make_move, servers
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_postgres, skip_without
from tests.support.servers.databases import set_app_login
from tests.support.servers.postgres import MIGRATOR, SUPERUSER
from tests.support.waiting import wait_until

# The kinds of the servers, and the role of the subscription. It must be a superuser before PostgreSQL 16, and if the
# publisher asks for no password.
WAYS = {
    "15 to 15 as a superuser": ("tls", "tls", SUPERUSER),
    "18 to 18 as a superuser": ("embedded", "embedded", SUPERUSER),
    "15 to 18 as the role that migrates": ("tls", "embedded", MIGRATOR),
}
HEADINGS = [line[3:] for line in DOCUMENT.read_text(encoding="utf-8").splitlines() if line.startswith("## ")]
STEPS = [heading for heading in HEADINGS if heading[0].isdigit()]
# They are of one database. The audit trail is compared apart, because the new database has its own entries too.
OWN = {"robot_brain.refresh_state", "robot_brain.key_clearing", "robot_brain.audit_logs", "robot_brain.audit_heads"}
LEFT = "select count(*) from pg_subscription_rel where srsubstate <> 'r'"


@pytest.fixture(params=WAYS)
def move(request: pytest.FixtureRequest, authority: Authority) -> Iterator[Move]:
    """An old database with a login, and a new one that is empty, on servers of their own."""
    old, new, subscriber = WAYS[request.param]
    if "tls" in (old, new):
        skip_without(debian_postgres)
    with servers(old, new, authority) as (one, other):
        yield make_move(one, other, subscriber)


@dataclass
class Writer:
    """Writes turns, with a key each, edits and erasures, until it is stopped. Notes what was acknowledged."""

    bundle: Bundle
    acknowledged: list[tuple[str, int, str]] = field(default_factory=list)
    refused: int = 0
    unexpected: list[int] = field(default_factory=list)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Writer":
        self._thread = threading.Thread(target=self._write)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _write(self) -> None:
        number = 0
        while not self._ended.is_set():
            number += 1
            session, text = f"s{number % 7}", f"load {number}"
            reply = self.bundle.write(session, turn(user_message=text), {"idempotency-key": f"load-{number}"})
            if reply.status == 201:
                self.acknowledged.append((session, reply.json["last_seq"], text))
            elif reply.status in (503, 504):
                self.refused += 1
            else:
                self.unexpected.append(reply.status)
            if number % 20 == 0:
                self.bundle.write("gone", turn())
                self.bundle.erase("gone")
            if number % 50 == 0:
                # As the schedule, which fails while writes are stopped.
                with contextlib.suppress(RobotBrainError):
                    self.bundle.refresh()


def fill(bundle: Bundle) -> None:
    """Write sessions, one of which is counted, a user, and entries that are chained."""
    bundle.write("long", {"messages": [turn(n, interaction=INTERACTION) for n in range(5)]})
    assert bundle.user("PUT", "mia", {"email": "mia@example.com"}).status == 201
    bundle.refresh()
    bundle.write("key", turn(), {"idempotency-key": "before"})
    bundle.erase("key")


def test_the_document_moves_a_database_under_load_and_loses_no_acknowledged_write(move: Move) -> None:
    # A write is refused quickly, so that the load goes on during the switch.
    impatient = {"DATABASE_URL": move.old.app_url, "DB_MAX_RETRIES": "1"}
    with deployed(impatient) as bundle:
        fill(bundle)
        with Writer(bundle) as writer:
            for step in STEPS[:3]:
                move.run(step)
            wait_until(lambda: move.sql(move.new, SUPERUSER, LEFT) == "0\n", move.new.postgres.process.log_tail)
            before = len(writer.acknowledged)
            wait_until(lambda: len(writer.acknowledged) >= before + 120)
            move.run(STEPS[3])
            move.run(STEPS[4])
            wait_until(lambda: writer.refused > 0)
            move.run(STEPS[5])
        assert writer.unexpected == []
        assert bundle.read("s1").status == 200
    old, new = rows(move.old), rows(move.new)
    assert {table: new[table] for table in old.keys() - OWN if table.startswith("robot_brain.")} == {
        table: old[table] for table in old.keys() - OWN if table.startswith("robot_brain.")
    }
    assert set(new["robot_brain.audit_logs"]) >= set(old["robot_brain.audit_logs"])
    for step in STEPS[6:]:
        move.run(step)
    goes_on(move, writer.acknowledged)


def goes_on(move: Move, acknowledged: list[tuple[str, int, str]]) -> None:
    """Assert that the new database has each acknowledged write, and lives on by itself."""
    with move.new.postgres.admin() as admin:
        set_app_login(admin, move.new.postgres.migrator_password)
    with unhurried({"DATABASE_URL": move.new.app_url}) as bundle:
        for session in sorted({session for session, _, _ in acknowledged}):
            found = {(session, message["seq"], message["user_message"]) for message in pages(bundle, session)}
            assert {each for each in acknowledged if each[0] == session} <= found
        assert bundle.write("s1", turn(user_message=acknowledged[0][2])).status == 201
        assert bundle.write("key", turn(), {"idempotency-key": "before"}).status == 410
        assert bundle.erase("long").status == 204
        assert bundle.user("DELETE", "mia").status == 204
        bundle.refresh()
        assert bundle.stats().json["top_sessions"] != []
        assert condition_in(probe(bundle)) == (200, "healthy", [])
    with move.new.admin() as admin:
        twice = "select id from robot_brain.audit_logs where tenant_id = 'local' group by id having count(*) > 1"
        assert admin.execute(twice).fetchall() == []
    assert [row for row in sums(move.new) if row[0] == "tenant"] == [
        row for row in stored(move.new) if row[0] == "tenant"
    ]
    assert recounted(move.new) == []
    move.operate("make ops DO=audit-verify")


def pages(bundle: Bundle, session: str) -> Iterator[dict[str, object]]:
    """Yield each turn of a session."""
    after = 0
    while messages := bundle.read(session, after=after, limit=200).json["messages"]:
        yield from messages
        after = messages[-1]["seq"]
