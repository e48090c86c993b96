"""The audit trail: each change of users, owners and old turns leaves one entry."""

import pytest

from tests.integration.audit_trail import ANN, FIELDS, INTERACTION, KEY, OTHER_HASH, Trail
from tests.integration.audited import entries
from tests.integration.user_rows import fill
from tests.support.bundle import Bundle, Json, turn
from tests.support.marks import without_pooler
from tests.support.servers.databases import Database

pytestmark = without_pooler


@pytest.fixture
def trail(bundle: Bundle, database: Database) -> Trail:
    return Trail(bundle, database)


def test_a_new_turn_leaves_no_entry(trail: Trail) -> None:
    b = trail.bundle
    assert b.write("demo", turn(1)).status == 201
    assert b.write("demo", {"messages": [turn(2), turn(3)]}, KEY).status == 201
    assert b.write("demo", {**turn(4), "user_metadata": {"a": 1}}).status == 201
    assert trail.new() == []
    assert b.audit().json == {"entries": [], "page": {"cursor": None}}


def test_reads_and_lists_and_a_refresh_leave_no_entry(trail: Trail) -> None:
    b = trail.bundle
    b.write("demo", turn(1))
    b.user("PUT", "ann", ANN)
    trail.new()
    for reply in (
        b.read("demo"), b.sessions(), b.user("GET", "ann"), b.users(), b.users(email="ann@example.com"),
        b.stats(), b.stats(session_id="demo"), b.audit(), b.health(), b.database_health(), b.count_user("ann"),
    ):  # fmt: skip
        assert reply.status == 200, reply.body
    b.refresh()
    assert trail.new() == []


def test_a_created_user_leaves_an_entry_with_the_names_of_its_fields(trail: Trail) -> None:
    user_id = trail.bundle.create_user(ANN, KEY).json["id"]
    assert trail.new() == [("users", user_id, "INSERT", None, {"fields": FIELDS})]
    other = trail.bundle.create_user({}).json["id"]
    assert trail.new() == [("users", other, "INSERT", None, {"fields": []})]
    assert trail.bundle.user("PUT", "ann", {"profile": {"first_name": "Ann"}}).status == 201
    assert trail.new() == [("users", "ann", "INSERT", None, {"fields": ["profile.first_name"]})]


CHANGES: dict[str, tuple[str, Json, str, list[str], list[str]]] = {
    "an e-mail": ("PATCH", {"email": "b@c"}, "users", FIELDS, ["email"]),
    "a hash": ("PATCH", {"password_hash": OTHER_HASH}, "users", FIELDS, ["password_hash"]),
    "a removed e-mail": ("PATCH", {"email": None}, "users", FIELDS[1:], ["email"]),
    "a name": ("PATCH", {"profile": {"last_name": "Li"}}, "user_profiles", FIELDS, ["profile.last_name"]),
    "a removed profile": ("PATCH", {"profile": None}, "user_profiles", FIELDS[:2], FIELDS[2:]),
    "both": (
        "PATCH", {"email": "b@c", "profile": {"last_name": None}}, "users", FIELDS[:4], ["email", "profile.last_name"],
    ),
    "a replacement, which keeps the hash": (
        "PUT", {"email": "ann@example.com"}, "user_profiles", FIELDS[:2], FIELDS[2:],
    ),
    "an empty replacement": ("PUT", {}, "users", FIELDS[1:2], [FIELDS[0], *FIELDS[2:]]),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_user_leaves_an_entry_with_the_names_of_what_changed(trail: Trail, change: str) -> None:
    method, body, table, fields, changed = CHANGES[change]
    trail.bundle.user("PUT", "ann", ANN)
    trail.new()
    assert trail.bundle.user(method, "ann", body).status == 200
    assert trail.new() == [(table, "ann", "UPDATE", {"fields": FIELDS}, {"fields": fields, "changed": changed})]
    assert trail.bundle.user(method, "ann", body).status == 200
    assert trail.new() == [], "the same change again changes nothing"


def test_a_user_of_a_session_leaves_an_entry_with_both_users(trail: Trail) -> None:
    b = trail.bundle
    assert b.patch("new", {"user_id": "ann"}).status == 200
    assert trail.new() == [("sessions", "new", "INSERT", None, {"user_id": "ann"})]
    assert b.patch("new", {"user_id": "bob", "user_metadata": {"a": 1}}).status == 200
    assert trail.new() == [("sessions", "new", "UPDATE", {"user_id": "ann"}, {"user_id": "bob"})]
    assert b.patch("new", {"user_id": None}).status == 200
    assert trail.new() == [("sessions", "new", "UPDATE", {"user_id": "bob"}, {"user_id": None})]
    for body in ({"user_id": None}, {"user_metadata": {"a": 2}}, {}):
        assert b.patch("new", body).status == 200
        assert b.patch("another", body).status == 200
    assert trail.new() == []


def test_an_edited_turn_leaves_an_entry_with_its_seq_and_the_names_of_what_changed(trail: Trail) -> None:
    b = trail.bundle
    b.write("demo", {"messages": [turn(1), turn(2)]})
    body = {"user_message": "u", "robot_response": "r", "items": [{"a": 1}], "metadata": {"m": 1}}
    first = b.replace("demo", 2, {**body, "interaction": INTERACTION}).json["updated_at"]
    every = ["user_message", "robot_response", "metadata", "items", "interaction"]
    assert trail.new() == [
        ("conversations", "demo", "UPDATE",
         {"seq": 2, "updated_at": None}, {"seq": 2, "updated_at": first, "changed": every}),
    ]  # fmt: skip
    second = b.replace("demo", 2, {**body, "robot_response": "other"}).json["updated_at"]
    assert trail.new() == [
        ("conversations", "demo", "UPDATE",
         {"seq": 2, "updated_at": first}, {"seq": 2, "updated_at": second, "changed": ["robot_response"]}),
    ]  # fmt: skip
    assert b.replace("demo", 2, {**body, "robot_response": "other"}).status == 200
    assert trail.new() == [], "the same text again changes nothing"


def test_removed_turns_leave_one_entry_with_their_number(trail: Trail) -> None:
    b = trail.bundle
    b.write("demo", {"messages": [turn(n) for n in range(5)]})
    assert b.remove("demo", 3).json["removed"] == 2
    assert trail.new() == [
        ("conversations", "demo", "DELETE", {"message_count": 5}, {"message_count": 3, "removed": 2, "after": 3})
    ]
    assert b.remove("demo", 3).json["removed"] == 0
    assert trail.new() == []
    assert b.remove("demo", 0).json["removed"] == 3
    assert trail.new() == [
        ("conversations", "demo", "DELETE", {"message_count": 3}, {"message_count": 0, "removed": 3, "after": 0})
    ]


def test_an_erased_session_leaves_one_entry_with_its_user_and_count(trail: Trail) -> None:
    b = trail.bundle
    b.write("demo", {"messages": [turn(1), turn(2)]})
    b.patch("demo", {"user_id": "ann"})
    trail.new()
    assert b.erase("demo").status == 204
    assert trail.new() == [("sessions", "demo", "ERASE", {"user_id": "ann", "message_count": 2}, None)]
    assert b.erase("demo").status == 404
    assert trail.new() == []


def test_an_erasure_of_many_steps_leaves_one_entry_of_its_first_step(trail: Trail, database: Database) -> None:
    with database.admin() as admin:
        fill(admin, "ann", sessions=1, turns=12_000)
    with database.app() as app:
        states = [
            app.execute("select state from robot_brain_api.erase_session('local', 'ann1')").fetchone() for _ in range(4)
        ]
    assert states[:1] + states[-1:] == [("erasing",), ("unknown",)]
    (entry,) = entries(database)
    assert (entry["record_id"], entry["action"], entry["old_data"]) == (
        "ann1", "ERASE", {"user_id": "ann", "message_count": 12_000},
    )  # fmt: skip


def test_an_erased_person_leaves_one_entry_with_counts_and_none_of_the_sessions(trail: Trail) -> None:
    b = trail.bundle
    b.user("PUT", "ann", ANN)
    for session_id in ("one", "two"):
        b.write(session_id, {"messages": [turn(1), turn(2)]})
        b.patch(session_id, {"user_id": "ann"})
    trail.new()
    assert b.user("DELETE", "ann").status == 204
    assert trail.new() == [("users", "ann", "ERASE", {"user": True, "sessions": 2, "messages": 4}, None)]
    assert b.user("DELETE", "ann").status == 404
    assert trail.new() == []


def test_a_person_without_a_row_of_users_leaves_the_entry_of_an_erasure_too(trail: Trail) -> None:
    b = trail.bundle
    b.write("one", turn())
    b.patch("one", {"user_id": "ann"})
    trail.new()
    assert b.count_user("ann").status == 200
    assert trail.new() == [], "a dry run changes nothing"
    assert b.user("DELETE", "ann").status == 204
    assert trail.new() == [("users", "ann", "ERASE", {"user": False, "sessions": 1, "messages": 1}, None)]


def test_an_erasure_of_a_person_in_many_steps_leaves_one_entry_of_its_first_step(
    trail: Trail, database: Database
) -> None:
    with database.admin() as admin:
        fill(admin, "ann", sessions=300, turns=50)
    assert trail.bundle.user("DELETE", "ann").status == 204
    assert trail.new() == [("users", "ann", "ERASE", {"user": False, "sessions": 300, "messages": 15_000}, None)]


def test_each_page_of_an_export_leaves_an_entry(trail: Trail) -> None:
    b = trail.bundle
    b.user("PUT", "ann", ANN)
    for number in range(2):
        for _ in range(6):
            b.write(f"s{number}", {"messages": [turn(n) for n in range(100)]})
        b.patch(f"s{number}", {"user_id": "ann"})
    trail.new()
    first = b.export("ann").json
    last = b.export("ann", cursor=first["page"]["cursor"]).json
    assert last["page"]["cursor"] is None
    assert trail.new() == [
        ("users", "ann", "EXPORT", None,
         {"sessions": 2, "turns": 1000, "first_page": True, "last_page": False}),
        ("users", "ann", "EXPORT", None,
         {"sessions": len(last["sessions"]), "turns": 200, "first_page": False, "last_page": True}),
    ]  # fmt: skip
    assert b.export("unknown").status == 404
    assert trail.new() == []
