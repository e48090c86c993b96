"""The audit trails of two tenants stay apart, although they share ids, actors, requests and one table.

The same holds if the policies of all tables let every row pass, so the conditions of read_audit separate them too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import LiteralString

import psycopg
import pytest

from tests.isolation.asking import ask
from tests.isolation.calling import by_token
from tests.isolation.function_cases import TURN
from tests.isolation.parties import Json, Party
from tests.isolation.person import audit_cursor
from tests.isolation.policies import open_policies
from tests.support.bundle import deployed
from tests.support.servers.databases import Database

JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
TENANTS = ("acme", "globex")
ACTS = {"p_actor": "ann", "p_request_id": "request-1"}
TOM: Json = {"p_user_id": "tom", **ACTS}
# All choices of entries that GET /audit offers. Both tenants have all of these names.
FILTERS: list[Json] = [
    {},
    {"p_record_id": "s"},
    {"p_record_id": "tom"},
    {"p_user_id": "ann"},
    {"p_user_id": "operator"},
]
_OF_OPERATOR: LiteralString = """
select robot_brain.append_audit('*', 'sessions', r, 'UPDATE', null, '{"canary": 1}', a, 'request-1')
from unnest(array['s', 'tom', 'acme', '*']) r, unnest(array['ann', 'operator']) a
"""
_TRAIL: LiteralString = """
select l.n, encode(l.hash, 'hex'), l::text from robot_brain.audit_logs l where l.tenant_id = %s order by l.id
"""
_VERIFY: LiteralString = """
select last, encode(last_hash, 'hex'), broken from robot_brain.verify_audit(%s, 0, '', null, 1000)
"""

_COPIED: LiteralString = """
insert into robot_brain.audit_logs overriding system value
select 'copy', l.id, l.table_name, l.record_id, l.action, l.old_data, l.new_data, l.user_id, l.request_id, l.created_at,
  l.n, l.hash, l.chained_at
from robot_brain.audit_logs l where l.tenant_id = 'acme'
"""


@dataclass(frozen=True)
class Twins:
    """A database in which two tenants did the same with the same names, except for the number of turns."""

    database: Database
    app: psycopg.Connection
    admin: psycopg.Connection

    def listed(self, tenant: str, **arguments: object) -> list[Json]:
        """Return the entries of one answer of read_audit."""
        answer = ask(self.app, "read_audit", Party(tenant), {"p_limit": 100, **arguments})
        assert answer.sqlstate is None, answer
        found: list[Json] = json.loads(answer.row[0] or "")["entries"]
        return found

    def walked(self, tenant: str, **arguments: object) -> list[Json]:
        """Return the entries of all pages of one entry each."""
        found: list[Json] = []
        cursor = None
        while True:
            answer = ask(self.app, "read_audit", Party(tenant), {**arguments, "p_limit": 1, "p_cursor": cursor})
            page = json.loads(answer.row[0] or "")
            found += page["entries"]
            cursor = page["page"]["cursor"]
            if cursor is None:
                return found

    def chain(self) -> int:
        """Chain all entries of all tenants, as a refresh does. Return how many."""
        row = self.app.execute("select body from robot_brain_api.chain_audit()").fetchone()
        assert row is not None
        return int(json.loads(row[0])["audit_chained"])

    def verified(self, tenant: str) -> tuple[object, ...]:
        """Return the last right entry of the chain, its hash, and the first wrong entry."""
        with self.admin.transaction():
            self.admin.execute("set local role robot_brain_audit")
            return self.admin.execute(_VERIFY, [tenant]).fetchone() or ()


def act(app: psycopg.Connection, tenant: str) -> list[tuple[str, str, str, object, object]]:
    """Do each audited operation in a tenant. Return its entries, newest first. The second tenant has more turns."""
    turns = 2 + TENANTS.index(tenant)
    service = Party(tenant)

    def do(function: str, **arguments: object) -> None:
        assert ask(app, function, service, arguments).sqlstate is None

    named = {"p_session_id": "s", **ACTS}
    do("save_user", p_user=json.dumps({"profile": {"first_name": tenant}}), **TOM)
    do("write_message", p_session_id="s", p_messages=json.dumps([TURN] * turns))
    do("patch_session", p_user_id="tom", p_sets_user_id=True, **named)
    do("remove_turns", p_after=1, **named)
    do("export_user", **TOM)
    do("erase_session", **named)
    do("erase_user", **TOM)
    page = {"sessions": 1, "turns": 1, "first_page": True, "last_page": True}
    removed = {"message_count": 1, "removed": turns - 1, "after": 1}
    return [
        ("users", "tom", "ERASE", {"user": True, "sessions": 0, "messages": 0}, None),
        ("sessions", "s", "ERASE", {"user_id": "tom", "message_count": 1}, None),
        ("users", "tom", "EXPORT", None, page),
        ("conversations", "s", "DELETE", {"message_count": turns}, removed),
        ("sessions", "s", "UPDATE", {"user_id": None}, {"user_id": "tom"}),
        ("users", "tom", "INSERT", None, {"fields": ["profile.first_name"]}),
    ]


def facts(entries: list[Json]) -> list[tuple[str, str, str, object, object]]:
    """Return what entries say was done. Each was done by ann in one request."""
    assert {(each["user_id"], each["request_id"]) for each in entries} <= {("ann", "request-1")}
    return [
        (each["table_name"], each["record_id"], each["action"], each["old_data"], each["new_data"]) for each in entries
    ]


@pytest.fixture(params=[True, False], ids=["with policies", "without policies"])
def twins(request: pytest.FixtureRequest, embedded_database: Database) -> Iterator[Twins]:
    with embedded_database.admin() as admin, embedded_database.app() as app:
        if not request.param:
            open_policies(admin)
        twins = Twins(embedded_database, app, admin)
        # What the migration has left.
        twins.chain()
        yield twins


def test_tenants_with_equal_ids_actors_and_requests_read_only_what_was_done_in_their_own(twins: Twins) -> None:
    done = {tenant: act(twins.app, tenant) for tenant in TENANTS}
    twins.admin.execute(_OF_OPERATOR)
    for chained in (False, True):
        if chained:
            twins.chain()
        for tenant in TENANTS:
            for wanted in FILTERS:
                expected = [
                    each
                    for each in done[tenant]
                    if wanted.get("p_record_id") in (None, each[1]) and wanted.get("p_user_id") in (None, "ann")
                ]
                assert facts(twins.listed(tenant, **wanted)) == expected, (tenant, wanted)
                assert facts(twins.walked(tenant, **wanted)) == expected, (tenant, wanted)
    assert twins.listed("unknown") == []


def test_an_entry_of_an_operator_is_in_no_answer_to_a_tenant(twins: Twins) -> None:
    twins.admin.execute(_OF_OPERATOR)
    variables = {**JWT, "DATABASE_URL": twins.database.app_url}
    with deployed(variables):
        for chained in (False, True):
            if chained:
                assert by_token(Party("acme")).refresh()["audit_chained"] == 8
            for query in ({}, {"record": "s"}, {"record": "*"}, {"user": "ann"}, {"user": "operator"}):
                for tenant in TENANTS:
                    reply = by_token(Party(tenant)).audit(**query)
                    assert reply.json == {"entries": [], "page": {"cursor": None}}, query
        # No credentials are those of the operator's tenant, and no cursor leads into its trail.
        assert by_token(Party("*")).audit().status == 403
        ahead = 253402300799999999
        assert by_token(Party("acme")).audit(cursor=audit_cursor("*", ahead, 1)).status == 422
        assert by_token(Party("acme")).audit(cursor=audit_cursor("acme", ahead, 1)).json["entries"] == []


def test_the_functions_password_cannot_read_the_entries_of_an_operator(embedded_database: Database) -> None:
    with embedded_database.admin() as admin, embedded_database.app() as app:
        admin.execute(_OF_OPERATOR)
        for wanted in FILTERS:
            answer = ask(app, "read_audit", Party("*"), wanted)
            assert json.loads(answer.row[0] or "") == {"entries": [], "page": {"cursor": None}}, wanted


def test_each_tenant_and_the_operator_have_a_chain_of_their_own(twins: Twins) -> None:
    trails = {}
    migrated = len(twins.admin.execute(_TRAIL, ["*"]).fetchall())
    for tenant in TENANTS:
        act(twins.app, tenant)
    twins.admin.execute(_OF_OPERATOR)
    assert twins.chain() == 6 + 6 + 8
    act(twins.app, "globex")
    assert twins.chain() == 6
    for tenant, count in (("acme", 6), ("globex", 12), ("*", migrated + 8)):
        trails[tenant] = twins.admin.execute(_TRAIL, [tenant]).fetchall()
        assert [n for n, _, _ in trails[tenant]] == list(range(1, count + 1))
        assert twins.verified(tenant) == (count, trails[tenant][-1][1], None)
    # A chain is of its tenant alone, so an equal one is no chain of another.
    twins.admin.execute(_COPIED)
    assert twins.verified("copy")[2] == 1
    twins.admin.execute("update robot_brain.audit_logs set user_id = 'bea' where tenant_id = 'globex' and n = 2")
    assert twins.verified("globex")[2] == 2
    assert twins.verified("acme") == (6, trails["acme"][-1][1], None)
    assert twins.admin.execute(_TRAIL, ["acme"]).fetchall() == trails["acme"]


def test_a_chain_goes_on_beside_the_one_of_another_tenant_that_is_being_made(twins: Twins) -> None:
    for tenant in TENANTS:
        act(twins.app, tenant)
    twins.admin.execute("insert into robot_brain.audit_heads (tenant_id, n, hash) values ('globex', 0, '')")
    with twins.admin.transaction():
        # As a call that chains the other tenant, and has not ended.
        twins.admin.execute("select from robot_brain.audit_heads where tenant_id = 'globex' for update")
        twins.app.execute("set lock_timeout = '5s'")
        assert twins.chain() == 6
    assert (twins.verified("acme")[0], twins.verified("globex")[0]) == (6, 0)
    assert twins.chain() == 6


def test_two_calls_that_chain_the_first_entries_of_a_tenant_do_not_wait_for_each_other(twins: Twins) -> None:
    act(twins.app, "acme")
    twins.app.execute("set lock_timeout = '5s'")
    with twins.admin.transaction():
        assert twins.admin.execute("select robot_brain.chain_audit(1000)").fetchone() == (6,)
        assert twins.chain() == 0
    act(twins.app, "acme")
    assert twins.chain() == 6
    assert twins.verified("acme")[::2] == (12, None)


def test_a_cursor_of_another_tenant_is_refused_and_its_place_shows_only_the_callers_own_entries(twins: Twins) -> None:
    done = {tenant: act(twins.app, tenant) for tenant in TENANTS}
    answer = ask(twins.app, "read_audit", Party("globex"), {"p_limit": 3})
    foreign = str(json.loads(answer.row[0] or "")["page"]["cursor"])
    number, entry_id, _ = json.loads(bytes.fromhex(foreign))
    for tenant, cursor in (("acme", foreign), ("globex", audit_cursor("acme", number, int(entry_id)))):
        assert ask(twins.app, "read_audit", Party(tenant), {"p_cursor": cursor}).sqlstate == "RB428"
    # A filter makes another list, too.
    filtered = {"p_cursor": foreign, "p_record_id": "s"}
    assert ask(twins.app, "read_audit", Party("globex"), filtered).sqlstate == "RB428"
    # All entries of acme are older than the place.
    at_place = twins.listed("acme", p_cursor=audit_cursor("acme", number, int(entry_id)))
    assert facts(at_place) == done["acme"]


def test_a_refresh_chains_all_tenants_and_leaves_no_tenant_on_the_connection(twins: Twins) -> None:
    for tenant in TENANTS:
        act(twins.app, tenant)
    body = twins.app.execute("select body from robot_brain_api.chain_audit()").fetchone()
    assert body is not None
    assert json.loads(body[0]) == {"audit_chained": 12, "has_more": False}
    assert twins.app.execute("select current_setting('robot_brain.tenant_id', true)").fetchone() in [("",), (None,)]
