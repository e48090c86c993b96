"""`make ops DO=audit-verify` goes on behind a broken entry, and an operator can go on behind a broken chain."""

import psycopg
import pytest

from ops import audit_chains
from ops.audit_heads import Head
from tests.integration.audited import broken, chained, fill, heads, tamper, verified
from tests.support.servers.databases import Database

# test_audit_settings chains and verifies with other versions of PostgreSQL.
pytestmark = pytest.mark.parametrize("database", ["embedded"], indirect=True)
ENTRIES = 9
CHANGE = "update robot_brain.audit_logs set {} where tenant_id = 'local' and n = {}"
DELETE = "delete from robot_brain.audit_logs where tenant_id = 'local' and n {}"
# Each place of a tenant's chain has one entry, unless a role drops the index that holds it.
TWICE = """
insert into robot_brain.audit_logs (tenant_id, table_name, record_id, action, created_at, n, hash, chained_at)
select tenant_id, table_name, 'made up', action, created_at, n, hash, chained_at
from robot_brain.audit_logs where tenant_id = 'local' and n = {}
"""
# As docs/audit.md says it, but for the tenant.
NEW_HEAD = """
insert into robot_brain.audit_heads (tenant_id, n, hash)
select tenant_id, n, hash from robot_brain.audit_logs
where tenant_id = 'local' and n is not null order by n desc limit 1
on conflict (tenant_id) do update set n = excluded.n, hash = excluded.hash
"""


@pytest.fixture
def trail(database: Database) -> Database:
    """A database with a chained tenant."""
    fill(database, ["local"], ENTRIES)
    chained(database)
    assert broken(database) == {}
    return database


def lines(database: Database) -> list[str]:
    """Return what is wrong with the chain, without the ids."""
    return [line.split(" (id ")[0] for line in verified(database)["local"].wrong]


def test_each_changed_entry_is_named_and_all_others_are_verified(trail: Database) -> None:
    tamper(trail, CHANGE.format("user_id = 'eve'", 2), CHANGE.format("user_id = 'eve'", 7))
    result = verified(trail)["local"]
    assert lines(trail) == ["entry 2", "entry 7"]
    assert (result.verified, result.head.n) == (ENTRIES - 2, ENTRIES)


def test_a_changed_hash_breaks_its_entry_and_the_next_one_alone(trail: Database) -> None:
    tamper(trail, CHANGE.format("hash = sha256(hash)", 3))
    assert lines(trail) == ["entry 3", "entry 4"]
    assert verified(trail)["local"].verified == ENTRIES - 2


def test_a_change_behind_missing_entries_is_found(trail: Database) -> None:
    tamper(trail, DELETE.format("in (3, 4)"), CHANGE.format("user_id = 'eve'", 7))
    assert lines(trail) == ["entries 3 to 4 are missing", "entry 7"]
    # The hash before entry 5 is gone, so nothing shows whether entry 5 is right.
    assert verified(trail)["local"].verified == ENTRIES - 4


def test_a_cut_end_is_found_behind_another_break(trail: Database) -> None:
    tamper(trail, DELETE.format("in (1, 9)"))
    assert lines(trail) == ["entry 1 is missing", f"entry {ENTRIES} is missing, and the head is entry {ENTRIES}"]


@pytest.mark.parametrize("place", [1, 4, ENTRIES])
@pytest.mark.parametrize("part", [1, 10_000])
def test_a_second_entry_with_a_place_is_found(
    trail: Database, monkeypatch: pytest.MonkeyPatch, place: int, part: int
) -> None:
    monkeypatch.setattr(audit_chains, "PART", part)
    tamper(trail, "drop index robot_brain.audit_logs_chain_key", TWICE.format(place))
    found = lines(trail)
    # Which of the two entries is read first is up to the server.
    assert f"entries with the place {place}: 2" in found
    assert set(found) <= {f"entries with the place {place}: 2", f"entry {place}"}


def test_a_noted_break_is_no_break_and_every_other_one_is(trail: Database) -> None:
    tamper(trail, CHANGE.format("user_id = 'eve'", 2))
    head = verified(trail)["local"]
    kept = {"local": head.head._replace(breaks=head.breaks)}
    result = verified(trail, kept)["local"]
    assert (result.wrong, result.noted) == ([], head.breaks)
    tamper(trail, CHANGE.format("user_id = 'eve'", 3))
    assert broken(trail, kept)["local"].startswith("entry 3 (id ")


def test_a_kept_head_that_was_deleted_is_missing(trail: Database) -> None:
    kept = {"local": Head(4, b"x" * 32)}
    tamper(trail, DELETE.format("= 4"))
    assert verified(trail, kept)["local"].wrong == ["entry 4 is missing", "entry 4 is missing, and it is the kept head"]


@pytest.mark.parametrize(
    "change",
    [
        "delete from robot_brain.audit_heads where tenant_id = 'local'",
        "update robot_brain.audit_heads set n = n - 1 where tenant_id = 'local'",
        "update robot_brain.audit_heads set hash = '' where tenant_id = 'local'",
    ],
    ids=["a deleted head", "a smaller place", "another hash"],
)
def test_the_head_that_the_document_makes_again_lets_the_chain_go_on(trail: Database, change: str) -> None:
    before = heads(trail)
    tamper(trail, change)
    assert broken(trail) != {}
    with psycopg.connect(trail.direct_url, autocommit=True) as owner:
        owner.execute("set role robot_brain_audit")
        owner.execute(NEW_HEAD)
    assert heads(trail) == before
    fill(trail, ["local"], 1)
    chained(trail)
    assert broken(trail, before) == {}
