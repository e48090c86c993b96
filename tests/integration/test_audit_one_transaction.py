"""An operation and its entry of the audit trail happen both or not at all."""

import psycopg
import pytest

from tests.integration.audit_trail import ANN, INTERACTION, KEY, STALE, Trail
from tests.integration.audited import entries
from tests.integration.held_locks import deadlock
from tests.support.bundle import Bundle, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler


@pytest.fixture
def trail(bundle: Bundle, database: Database) -> Trail:
    return Trail(bundle, database)


def test_requests_that_are_refused_leave_no_entry(trail: Trail) -> None:
    b = trail.bundle
    b.write("demo", {"messages": [turn(1), turn(2)]})
    b.write("demo", {**turn(3), "interaction": INTERACTION})
    b.user("PUT", "ann", ANN)
    b.create_user({}, KEY)
    trail.new()
    replaced = {"user_message": "u", "robot_response": "r"}
    refused = [
        (412, b.replace("demo", 1, replaced, STALE)),
        (412, b.remove("demo", 0, STALE)),
        (412, b.erase("demo", STALE)),
        (412, b.patch("demo", {"user_id": "ann"}, STALE)),
        (412, b.patch("new", {"user_id": "ann"}, {"if-match": '"1"'})),
        (412, b.user("PUT", "ann", {}, {"if-match": '"0"'})),
        (412, b.user("PUT", "new", {}, {"if-match": '"0"'})),
        (412, b.user("PATCH", "ann", {}, {"if-match": '"0"'})),
        (412, b.user("DELETE", "ann", headers={"if-match": '"0"'})),
        (404, b.replace("demo", 9, replaced)),
        (404, b.replace("unknown", 1, replaced)),
        (404, b.remove("unknown", 0)),
        (404, b.user("PATCH", "unknown", {"email": "a@b"})),
        (422, b.replace("demo", 3, {**replaced, "interaction": {**INTERACTION, "duration_ms": 2}})),
        (422, b.create_user({"email": "ann@example.com"})),
        (422, b.create_user({"email": "b@c"}, KEY)),
        (422, b.user("PUT", "bob", {"email": "ann@example.com"})),
        (422, b.patch("demo", {"user_metadata": {"large": "x" * 20_000}, "user_id": "ann"})),
        (201, b.create_user({}, KEY)),
    ]
    assert [(status, reply.status) for status, reply in refused if status != reply.status] == []
    assert trail.new() == [], "not even the replay at the end"


ROLLED_BACK: dict[str, str] = {
    "a replacement": """replace_turn('local', 's', 1, '{"user_message": "n", "robot_response": "", "metadata": {}}')""",
    "a removal": "remove_turns('local', 's', 0)",
    "a user of a session": "patch_session('local', 's', null, 'bob', true)",
    "an erasure": "erase_session('local', 's')",
    "a creation": "create_user('local', 'new', '{}')",
    "a change of a user": """save_user('local', 'ann', '{"profile": {"first_name": "A"}}')""",
    "an export": "export_user('local', 'ann')",
    "an erasure of a user": "erase_user('local', 'ann')",
}


@pytest.mark.parametrize("end", ["a rollback", "a killed connection", "a committed transaction"])
@pytest.mark.parametrize("operation", ROLLED_BACK)
def test_an_operation_and_its_entry_are_committed_together_or_not_at_all(
    bundle: Bundle, database: Database, operation: str, end: str
) -> None:
    bundle.user("PUT", "ann", {})
    bundle.write("s", turn())
    before = entries(database)
    call = f"select * from robot_brain_api.{ROLLED_BACK[operation]}".encode()
    with database.app() as app, database.admin() as admin:
        if end == "a killed connection":
            app.execute("begin")
            app.execute(call)
            admin.execute("select pg_terminate_backend(%s, 60000)", [app.info.backend_pid])
            with pytest.raises(psycopg.OperationalError):
                app.execute("commit")
        else:
            with app.transaction(force_rollback=end == "a rollback"):
                app.execute(call)
    assert len(entries(database)) == len(before) + (end == "a committed transaction")


def test_a_replacement_that_is_retried_after_a_deadlock_leaves_one_entry(trail: Trail, database: Database) -> None:
    b = trail.bundle
    b.write("t", turn())
    body = {"user_message": "u", "robot_response": "r"}
    # The first call of a connection locks conversations before the session, to compile the function.
    assert b.replace("t", 1, body).status == 200
    assert len(trail.new()) == 1
    thread = deadlock(database)
    assert b.replace("t", 1, {**body, "interaction": INTERACTION}).status == 200
    thread.join()
    assert [(entry[2], entry[4]["changed"]) for entry in trail.new()] == [("UPDATE", ["interaction"])]


def test_an_operation_whose_entry_cannot_be_written_changes_nothing(trail: Trail, database: Database) -> None:
    b = trail.bundle
    b.write("s", turn())
    with database.admin() as admin:
        admin.execute("alter table robot_brain.audit_logs add constraint refuse check (action <> 'ERASE') not valid")
    assert b.erase("s").status == 500
    assert b.read("s").json["session"]["message_count"] == 1
    assert trail.new() == []
