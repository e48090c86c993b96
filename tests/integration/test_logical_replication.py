"""docs/replication.md moves a database to another server under load, and no acknowledged write is lost."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import psycopg
import pytest

from ops.identities import Behind, advance_identities
from robot_brain.errors import RobotBrainError
from tests.integration.plain_dumps import rows
from tests.integration.probes import condition_in, probe, unhurried
from tests.integration.recounting import INTERACTION, recounted, stored, sums
from tests.integration.replicating import DOCUMENT, Move, commands, make_move, servers
from tests.support.bundle import Bundle, deployed, turn
from tests.support.servers.authority import Authority
from tests.support.servers.binaries import debian_postgres, skip_without
from tests.support.servers.databases import Database, set_app_login
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
# Each makes its own words.
OWN |= {"robot_brain.turn_words", "robot_brain.search_queue", "robot_brain.search_state"}
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
        ((_, _, check),) = commands("What it needs")
        assert move.sql(move.old, MIGRATOR, check) == "logical|20|20|t\n"
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
    assert left_behind(move) == []


def test_after_the_document_turned_back_the_old_database_takes_writes_again(authority: Authority) -> None:
    with servers("embedded", "embedded", authority) as (old, new):
        move = make_move(old, new, SUPERUSER)
        with deployed({"DATABASE_URL": move.old.app_url, "DB_MAX_RETRIES": "1"}) as bundle:
            fill(bundle)
            for step in STEPS[:5]:
                move.run(step)
            assert bundle.write("s1", turn()).status == 503
            # Each block opens a new connection, which stopped writes hold for.
            move.run("If you turn back")
            assert bundle.write("s1", turn()).status == 201
        assert left_behind(move) == []


def left_behind(move: Move) -> list[str]:
    """Return the publications, subscriptions and replication slots that a move left on both servers."""
    left = (
        "select pubname from pg_publication union all select subname from pg_subscription"
        " union all select slot_name from pg_replication_slots"
    )
    return [name for database in (move.old, move.new) for name in move.sql(database, SUPERUSER, left).split()]


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


BY_DEFAULT = "create subscription refused connection '{}' publication robot_brain_move"


def test_with_the_defaults_no_row_arrives_and_the_log_names_row_level_security(authority: Authority) -> None:
    with servers("embedded", "embedded", authority) as (old, new):
        move = make_move(old, new, SUPERUSER)
        with deployed({"DATABASE_URL": move.old.app_url}) as bundle:
            fill(bundle)
        for step in STEPS[:2]:
            move.run(step)
        move.sql(move.new, SUPERUSER, BY_DEFAULT.format(move.connection()))
        log = move.new.postgres.process.log
        refused = 'user "robot_brain_owner" cannot replicate into relation with row-level security enabled'
        wait_until(lambda: refused in log.read_text())
        assert rows(move.new)["robot_brain.sessions"] == []


def test_a_subscription_without_the_right_to_chain_entries_stops(authority: Authority) -> None:
    """The owner of the audit trail may not change entries, and neither may a role that inherits from it."""
    skip_without(debian_postgres)
    with servers("tls", "embedded", authority) as (old, new):
        move = make_move(old, new, MIGRATOR)
        for step in STEPS[:2]:
            move.run(step)
        with deployed({"DATABASE_URL": move.old.app_url}) as bundle:
            fill(bundle)
            ((_, _, _), (_, _, subscribe), *_) = commands(STEPS[2])
            move.sql(move.new, MIGRATOR, subscribe)
            wait_until(lambda: move.sql(move.new, SUPERUSER, LEFT) == "0\n")
            bundle.refresh()
        log = move.new.postgres.process.log
        wait_until(lambda: "permission denied for table audit_logs" in log.read_text())


def test_every_published_table_has_a_key_by_which_its_rows_are_found(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        without = admin.execute(
            "select c.relname from pg_class c where c.relnamespace = 'robot_brain'::regnamespace"
            " and c.relkind in ('r', 'p') and c.relreplident <> 'f'"
            " and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)"
        ).fetchall()
        assert without == []
        # ops.identities needs an owner that sees all rows.
        identities = admin.execute(
            "select distinct c.relname, pg_get_userbyid(c.relowner) from pg_attribute a"
            " join pg_class c on c.oid = a.attrelid"
            " where c.relnamespace = 'robot_brain'::regnamespace and a.attidentity <> ''"
        ).fetchall()
        assert sorted(identities) == [("audit_logs", "robot_brain_audit"), ("search_queue", "robot_brain_search")]
        assert admin.execute(
            "select count(*) from pg_class where relnamespace = 'robot_brain'::regnamespace and relkind = 'S'"
        ).fetchone() == (2,)


def test_a_recount_sets_the_next_id_of_the_audit_trail_behind_copied_entries(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute(
            "insert into robot_brain.audit_logs (tenant_id, id, table_name, record_id, action, created_at)"
            " overriding system value values ('local', 4711, 'sessions', 's', 'ERASE', now())"
        )
        with psycopg.connect(embedded_database.direct_url, autocommit=True) as connection:
            assert advance_identities(connection, dry_run=True) == [Behind("audit_logs", 4711)]
            assert advance_identities(connection) == [Behind("audit_logs", 4711)]
            assert advance_identities(connection) == []
        with deployed({"DATABASE_URL": embedded_database.app_url}) as bundle:
            assert bundle.user("PUT", "mia", {}).status == 201
        ((last,),) = admin.execute("select max(id) from robot_brain.audit_logs").fetchall()
        assert last == 4712
