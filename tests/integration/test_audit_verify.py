"""`make ops DO=audit-verify` finds each change of a chained entry, and names the entry."""

import pytest

from ops.audit_heads import Head
from tests.integration.audited import broken, chained, fill, heads, tamper, verified
from tests.support.servers.databases import Database

# test_audit_settings chains and verifies with other versions of PostgreSQL.
pytestmark = pytest.mark.parametrize("database", ["embedded"], indirect=True)
ENTRIES = 7
PLACES = (1, 4, ENTRIES)
# A role that can change rows by hand can also drop the rules of the table.
NO_RULES = "alter table robot_brain.audit_logs drop constraint audit_logs_chained, alter id drop identity"
CHANGE = "update robot_brain.audit_logs set {} where tenant_id = 'local' and n = {}"
DELETE = "delete from robot_brain.audit_logs where tenant_id = 'local' and n {}"
MADE_UP = """
insert into robot_brain.audit_logs
  (tenant_id, id, table_name, record_id, action, user_id, created_at, n, hash, chained_at)
overriding system value
values ('local', 99, 'sessions', 's', 'ERASE', 'eve', now(), {}, sha256('x'), now())
"""
# An entry that is inserted later has to be dated back, if it shall look like an old one.
DATED_BACK = """
insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, user_id, created_at)
values ('local', 'sessions', 's', 'ERASE', 'eve', '2026-01-01')
"""
AFTER_4_ONE_LATER = (
    "update robot_brain.audit_logs set n = n + 100 where tenant_id = 'local' and n > 4",
    "update robot_brain.audit_logs set n = n - 99 where tenant_id = 'local' and n > 100",
)
# All entries get a new chain, as a role can do that may become robot_brain_audit.
UNCHAIN = (
    "update robot_brain.audit_logs set n = null, hash = null, chained_at = null where tenant_id = 'local'",
    "delete from robot_brain.audit_heads where tenant_id = 'local'",
)
# New values for a column. Some of them look like the old value in most forms of text.
VALUES = {
    "tenant_id": "tenant_id = 'another'",
    "id": "id = id + 1000",
    "table_name": "table_name = 'users'",
    "record_id": "record_id = record_id || ' '",
    "action": "action = 'ERASE'",
    "old_data": """old_data = '{"n": 1}'""",
    "old_data, which is a null of JSON instead": "old_data = 'null'",
    "new_data": """new_data = '{"n": 77}'""",
    "new_data, with a digit more": "new_data = replace(new_data::text, '}', '.0}')::jsonb",
    "new_data, which is null": "new_data = null",
    "user_id": "user_id = 'eve'",
    "user_id, which is null": "user_id = null",
    "request_id": "request_id = 'other'",
    "request_id, which is empty": "request_id = ''",
    "created_at": "created_at = created_at + interval '1 microsecond'",
    "created_at, which is before Christ":
        "created_at = (to_char(created_at at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || ' BC')::timestamp"
        " at time zone 'UTC'",
    "created_at, which is infinite": "created_at = 'infinity'",
    "n": "n = n + 1000",
    "n, which is null": "n = null, hash = null, chained_at = null",
    "hash": "hash = sha256(hash)",
    "hash, which is null": "hash = null",
    "hash, which is empty": "hash = ''",
    "hash and a text": "hash = null, user_id = 'eve'",
    "chained_at": "chained_at = chained_at - interval '1 microsecond'",
    "chained_at, which is null": "chained_at = null",
}  # fmt: skip
# What a change of it leaves is a gap.
MOVES = {"tenant_id", "n", "n, which is null"}


@pytest.fixture
def trail(database: Database) -> Database:
    """A database with two chained tenants, whose entries are of a second each."""
    fill(database, ["local", "other"], ENTRIES)
    tamper(
        database,
        "update robot_brain.audit_logs set created_at = '2026-11-28 12:00:00.070381Z'::timestamptz"
        " + id * interval '1 second' where tenant_id <> '*'",
    )
    chained(database)
    assert broken(database) == {}
    assert heads(database).keys() == {"*", "local", "other"}
    return database


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("column", VALUES)
def test_a_changed_value_of_a_chained_entry_is_found_and_named(trail: Database, column: str, place: int) -> None:
    kept = heads(trail)
    tamper(trail, NO_RULES, CHANGE.format(VALUES[column], place))

    found = broken(trail, kept)

    local = found.pop("local")
    if column not in MOVES:
        assert local.startswith(f"entry {place} (id ")
        assert local.endswith(") was changed")
    elif place == ENTRIES and column != "n":
        assert local == f"entry {place} is missing, and the head is entry {ENTRIES}"
    elif place == ENTRIES:
        assert local == f"entries {place} to {place + 999} are missing"
    else:
        assert local == f"entry {place} is missing"
    assert found.keys() == ({"another"} if column == "tenant_id" else set())
    assert broken(trail).keys() == found.keys() | {"local"}, "without kept heads, too"


@pytest.mark.parametrize("place", PLACES)
def test_a_deleted_entry_is_found_and_named(trail: Database, place: int) -> None:
    tamper(trail, DELETE.format(f"= {place}"))
    expected = f"entry {place} is missing" + (f", and the head is entry {ENTRIES}" if place == ENTRIES else "")
    assert broken(trail) == {"local": expected}


def test_deleted_entries_of_a_whole_tenant_are_found_by_its_head(trail: Database) -> None:
    tamper(trail, DELETE.format("> 0"))
    assert broken(trail) == {"local": f"entry 1 is missing, and the head is entry {ENTRIES}"}


def test_a_tenant_that_is_deleted_with_its_head_is_found_by_kept_heads_alone(trail: Database) -> None:
    kept = heads(trail)
    tamper(trail, DELETE.format("> 0"), "delete from robot_brain.audit_heads where tenant_id = 'local'")
    assert broken(trail) == {}
    assert broken(trail, kept) == {"local": f"entry 1 is missing, and the kept head is entry {ENTRIES}"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("delete from robot_brain.audit_heads where tenant_id = 'local'",
         f"the head is missing, and the chain ends at entry {ENTRIES}"),
        ("update robot_brain.audit_heads set n = n - 1 where tenant_id = 'local'",
         f"entry {ENTRIES} is beyond the head"),
        ("update robot_brain.audit_heads set n = n + 1 where tenant_id = 'local'",
         f"entry {ENTRIES + 1} is missing, and the head is entry {ENTRIES + 1}"),
        ("update robot_brain.audit_heads set hash = '' where tenant_id = 'local'",
         f"the head has another hash than entry {ENTRIES}"),
    ],
    ids=["a deleted head", "a smaller place", "a larger place", "another hash"],
)  # fmt: skip
def test_a_changed_head_is_found(trail: Database, change: str, expected: str) -> None:
    tamper(trail, change)
    assert broken(trail) == {"local": expected}


@pytest.mark.parametrize("pair", [(1, 2), (3, 5), (1, ENTRIES)])
@pytest.mark.parametrize("columns", ["n", "n, hash", "n, hash, chained_at"])
def test_two_entries_that_swapped_their_places_are_found(trail: Database, pair: tuple[int, int], columns: str) -> None:
    names = columns.split(", ")
    tamper(
        trail,
        "drop index robot_brain.audit_logs_chain_key",
        f"update robot_brain.audit_logs a set {', '.join(f'{name} = b.{name}' for name in names)}"
        f" from robot_brain.audit_logs b where a.tenant_id = 'local' and b.tenant_id = 'local'"
        f" and (a.n, b.n) in ({pair}, {pair[::-1]})",
    )
    assert broken(trail)["local"].startswith(f"entry {pair[0]} (id ")


@pytest.mark.parametrize("pair", [(1, 2), (3, 5), (1, ENTRIES)])
def test_two_entries_that_swapped_what_they_say_are_found(trail: Database, pair: tuple[int, int]) -> None:
    tamper(
        trail,
        "update robot_brain.audit_logs a set record_id = b.record_id, new_data = b.new_data"
        " from robot_brain.audit_logs b where a.tenant_id = 'local' and b.tenant_id = 'local'"
        f" and (a.n, b.n) in ({pair}, {pair[::-1]})",
    )
    assert broken(trail)["local"].startswith(f"entry {pair[0]} (id ")


def test_an_entry_that_is_inserted_in_the_middle_is_found_and_named(trail: Database) -> None:
    tamper(trail, *AFTER_4_ONE_LATER, MADE_UP.format(5))
    assert broken(trail) == {"local": "entry 5 (id 99) was changed"}


def test_an_entry_that_is_inserted_behind_the_head_is_found_and_named(trail: Database) -> None:
    tamper(trail, MADE_UP.format(ENTRIES + 1))
    assert broken(trail) == {"local": f"entry {ENTRIES + 1} (id 99) was changed"}


def test_an_entry_behind_the_head_whose_hash_is_right_is_found_by_the_head(trail: Database) -> None:
    before = heads(trail)["local"]
    fill(trail, ["local"], 1)
    chained(trail)
    tamper(
        trail,
        f"update robot_brain.audit_heads set n = {before.n}, hash = '\\x{before.hash.hex()}' where tenant_id = 'local'",
    )
    assert broken(trail) == {"local": f"entry {ENTRIES + 1} is beyond the head"}


@pytest.mark.parametrize("place", [0, -1])
def test_an_entry_with_a_place_below_the_first_one_is_found(trail: Database, place: int) -> None:
    tamper(trail, NO_RULES, MADE_UP.format(place))
    assert broken(trail) == {"local": f"an entry has the place {place}, which is in no chain"}


def test_an_entry_that_is_dated_back_is_counted_as_late_before_and_after_it_is_chained(trail: Database) -> None:
    tamper(trail, DATED_BACK)
    result = verified(trail)["local"]
    assert (result.broken, result.unchained, result.late, result.first_late) == ("", 1, 1, None)
    chained(trail)
    result = verified(trail)["local"]
    assert (result.broken, result.unchained, result.late, result.first_late) == ("", 0, 1, ENTRIES + 1)


def test_entries_that_many_refreshes_chained_after_hours_are_not_late(database: Database) -> None:
    fill(database, ["local"], 4500)
    tamper(
        database,
        "update robot_brain.audit_logs set created_at = created_at - interval '5 hours' where tenant_id = 'local'",
    )
    # Each call chains 2,000 of them.
    chained(database)
    result = verified(database)["local"]
    assert (result.broken, result.head.n, result.late) == ("", 4500, 0)


def test_a_cut_tail_is_found_by_kept_heads_alone_if_the_head_was_moved_too(trail: Database) -> None:
    kept = heads(trail)
    tamper(
        trail,
        DELETE.format("> 5"),
        "update robot_brain.audit_heads h set n = l.n, hash = l.hash from robot_brain.audit_logs l"
        " where h.tenant_id = 'local' and l.tenant_id = 'local' and l.n = 5",
    )
    assert broken(trail) == {}
    assert broken(trail, kept) == {"local": f"entry 6 is missing, and the kept head is entry {ENTRIES}"}


def test_a_chain_that_was_made_again_is_found_by_kept_heads_alone(trail: Database) -> None:
    kept = heads(trail)
    tamper(trail, CHANGE.format("user_id = 'eve'", 2), *UNCHAIN)
    assert chained(trail) == ENTRIES
    assert broken(trail) == {}
    assert broken(trail, kept) == {"local": f"entry {ENTRIES} has another hash than the kept head"}


def test_entries_that_came_since_the_heads_were_kept_are_right(trail: Database) -> None:
    kept = heads(trail)
    fill(trail, ["local", "new"], 3)
    chained(trail)
    assert broken(trail, kept) == {}
    assert {tenant: head.n for tenant, head in heads(trail).items() if tenant != "*"} == {
        "local": ENTRIES + 3,
        "new": 3,
        "other": ENTRIES,
    }


def test_a_kept_head_of_a_tenant_that_never_was_is_missing(trail: Database) -> None:
    assert broken(trail, {"ghost": Head(1, b"x" * 32)}) == {"ghost": "entry 1 is missing, and the kept head is entry 1"}


def test_entries_that_are_not_chained_yet_are_counted(trail: Database) -> None:
    fill(trail, ["local", "new"], 3)
    results = verified(trail)
    assert {tenant: (result.head.n, result.unchained) for tenant, result in results.items() if tenant != "*"} == {
        "local": (ENTRIES, 3),
        "new": (0, 3),
        "other": (ENTRIES, 0),
    }
    assert broken(trail) == {}
