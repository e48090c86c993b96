"""Callers that share one server connection, through PgBouncer in transaction mode, meet only their own sessions."""

from __future__ import annotations

import json
import random
import secrets
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import psycopg
import pytest

from tests.isolation.asking import Answer, ask
from tests.isolation.calling import As, by_token
from tests.isolation.parties import Party
from tests.support.bundle import deployed
from tests.support.servers.databases import APP, Database, Template
from tests.support.servers.pgbouncer import POOL_SIZE, PgBouncer

REQUESTS = 240
CALLS_OF_A_CLIENT = 60
PARTIES = [
    Party("acme", "ann"),
    Party("acme", "bea"),
    Party("acme"),
    Party("globex", "ann"),
    Party("globex", "bea"),
    Party("globex"),
]
IDS = ["one", "two", "three"]


@pytest.fixture
def one_connection(pooler: PgBouncer, tls_template: Template) -> Iterator[Database]:
    """A database behind PgBouncer, which opens one server connection for all clients."""
    with tls_template.clone("pooled", pooler.address) as database, pooler.console() as console:
        console.execute("set default_pool_size = 1")
        try:
            yield database
        finally:
            console.execute(f"set default_pool_size = {POOL_SIZE}".encode())


def assert_one_clean_connection(database: Database) -> None:
    """Assert that the pooler has one server connection, and that no tenant is left on it."""
    with database.app() as client, database.admin() as admin:
        row = client.execute("select current_setting('robot_brain.tenant_id', true), pg_backend_pid()").fetchone()
        pids = admin.execute(
            "select pid from pg_stat_activity where datname = %s and usename = %s", [database.name, APP]
        ).fetchall()
    assert row is not None
    assert row[0] in ("", None)
    assert pids == [(row[1],)]


@dataclass
class Model:
    """What each session must be: its owner and its number of turns, by tenant and id."""

    sessions: dict[tuple[str, str], tuple[str | None, int]] = field(default_factory=dict)
    # The tenants with a row of the user ann.
    people: set[str] = field(default_factory=set)
    # The audit trail of each tenant, oldest first: the action, the record and the actor.
    trails: dict[str, list[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(list))

    def done(self, party: Party, action: str, record: str) -> None:
        """Remember that the audit trail has an entry. The subject of a service is `robot`."""
        self.trails[party.tenant].append((action, record, party.user or "robot"))

    def saved(self, party: Party) -> int:
        """Return the status of a PUT of the user ann, and remember it."""
        status = 200 if party.tenant in self.people else 201
        if status == 201:
            self.done(party, "INSERT", "ann")
        self.people.add(party.tenant)
        return status

    def request(self, chance: random.Random, caller: As) -> None:
        """Send one random request, and compare its answer with the model."""
        party, session_id = caller.party, chance.choice(IDS)
        owner, count = self.sessions.get((party.tenant, session_id), (None, 0))
        exists = (party.tenant, session_id) in self.sessions
        sees = exists and party.user in (None, owner)
        foreign = exists and not sees
        kinds = ["write", "write", "read", "read", "list", "stats", "stale", "bad", "erase", "person", "export"]
        kinds += ["audit"]
        kind = chance.choice(kinds)
        if kind == "write":
            turn = {"robot_personality": "p", "user_message": party.tenant, "robot_response": "a"}
            assert caller.write(session_id, turn).status == (404 if foreign else 201)
            if not foreign:
                self.sessions[party.tenant, session_id] = (owner if exists else party.user, count + 1)
        elif kind == "read":
            page = caller.read(session_id)
            assert page.status == (200 if sees else 404)
            if sees:
                assert page.json["session"]["message_count"] == count
                assert {turn["user_message"] for turn in page.json["messages"]} == {party.tenant}
        elif kind == "list":
            mine = {
                name
                for (tenant, name), (user, _) in self.sessions.items()
                if tenant == party.tenant and party.user in (None, user)
            }
            assert {each["id"] for each in caller.sessions().json["sessions"]} == mine
        elif kind == "stats":
            assert caller.stats(session_id=session_id).status == (200 if sees else 404)
        elif kind == "stale":
            assert caller.patch(session_id, {}, {"if-match": '"7777"'}).status == (404 if foreign else 412)
            assert caller.remove(session_id, 0, {"if-match": '"7777"'}).status == (412 if sees else 404)
        elif kind == "bad":
            assert caller.sessions(cursor="beef").status == 422
        elif kind == "person":
            # The same e-mail in both tenants, of the same user.
            person = {"email": "ann@example.com", "profile": {"first_name": party.tenant}}
            assert caller.user("PUT", "ann", person).status == (403 if party.user == "bea" else self.saved(party))
        elif kind == "export":
            page = caller.export("ann")
            if party.user == "bea":
                assert page.status == 403
                return
            mine = {key[1] for key, value in self.sessions.items() if key[0] == party.tenant and value[0] == "ann"}
            assert page.status == (200 if mine or party.tenant in self.people else 404)
            if page.status == 200:
                self.done(party, "EXPORT", "ann")
                assert {each["id"] for each in page.json["sessions"]} == mine
                assert {each["user_message"] for each in page.json["turns"]} <= {party.tenant}
                assert (page.json["user"] is None) == (party.tenant not in self.people)
                assert page.json["user"] is None or page.json["user"]["profile"] == {"first_name": party.tenant}
        elif kind == "audit":
            page = caller.audit()
            assert page.status == (200 if party.user is None else 403)
            if party.user is None:
                found = [(each["action"], each["record_id"], each["user_id"]) for each in page.json["entries"]]
                assert found == self.trails[party.tenant][:-21:-1]
        else:
            assert caller.erase(session_id).status == (204 if sees else 404)
            if sees:
                self.done(party, "ERASE", session_id)
                del self.sessions[party.tenant, session_id]


def test_callers_that_alternate_on_one_connection_meet_only_their_own_sessions(one_connection: Database) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")
    chance, model = random.Random(seed), Model()
    variables = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant", "DATABASE_URL": one_connection.app_url}
    with deployed(variables):
        callers = [by_token(party) for party in PARTIES]
        for number in range(REQUESTS):
            model.request(chance, chance.choice(callers))
            if number % 8 == 0:
                assert_one_clean_connection(one_connection)
    assert_one_clean_connection(one_connection)


def refused_calls(party: Party) -> list[tuple[str, dict[str, object], str]]:
    """Return calls that fail after the tenant is set, each with its SQLSTATE."""
    turn = json.dumps([{"robot_personality": "x" * 51, "user_message": "", "robot_response": "", "metadata": {}}])
    named: dict[str, object] = {"p_session_id": f"of {party.tenant} {party.user}"}
    person: dict[str, object] = {"p_user_id": str(party.user)}
    return [
        ("write_message", {**named, "p_messages": turn}, "22001"),
        ("patch_session", {**named, "p_user_metadata": "{}", "p_if_match": "77"}, "RB412"),
        ("remove_turns", {**named, "p_after": 0, "p_if_match": "77"}, "RB412"),
        ("list_sessions", {"p_cursor": "beef"}, "RB428"),
        ("stats", {**named, "p_schema_version": 9999}, "RB503"),
        ("save_user", {**person, "p_user": "{}", "p_if_match": "77"}, "RB412"),
        ("export_user", {**person, "p_cursor": "beef"}, "RB428"),
    ]


def test_concurrent_clients_on_one_connection_meet_only_their_own_sessions(one_connection: Database) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")

    def client(party: Party) -> None:
        chance = random.Random(f"{seed} {party}")
        own, text = {"p_session_id": f"of {party.tenant} {party.user}"}, f"text of {party.tenant} {party.user}"
        turn = {"robot_personality": "p", "user_message": text, "robot_response": "a", "metadata": {}}
        written = 0
        with one_connection.app() as connection:
            for number in range(CALLS_OF_A_CLIENT):
                kind = "write" if number == 0 else chance.choice(["write", "read", "list", "refused"])
                if kind == "write":
                    arguments = {**own, "p_messages": json.dumps([turn])}
                    written += 1
                    answer = done(ask(connection, "write_message", party, arguments))
                    assert json.loads(answer.row[0] or "")["message_count"] == written
                elif kind == "read":
                    page = json.loads(done(ask(connection, "read_session", party, own)).row[0] or "")
                    assert [each["user_message"] for each in page["messages"]] == [text] * min(written, 50)
                elif kind == "list":
                    listed = json.loads(done(ask(connection, "list_sessions", party, {})).row[0] or "")["sessions"]
                    assert {each.get("user_id") for each in listed} <= {party.user} or party.user is None
                    assert all(each["id"].startswith(f"of {party.tenant} ") for each in listed)
                else:
                    function, refused, sqlstate = chance.choice(refused_calls(party))
                    assert ask(connection, function, party, refused).sqlstate == sqlstate

    with ThreadPoolExecutor(len(PARTIES)) as pool:
        for running in [pool.submit(client, party) for party in PARTIES]:
            running.result(300)
    assert_one_clean_connection(one_connection)


def done(answer: Answer) -> Answer:
    """Return the answer of a call that must succeed."""
    assert answer.sqlstate is None, answer
    return answer


@pytest.mark.parametrize("number", range(7))
def test_a_refused_call_leaves_no_tenant_on_the_connection(one_connection: Database, number: int) -> None:
    party = Party("acme")
    with one_connection.app() as connection:
        turn = json.dumps([{"robot_personality": "p", "user_message": "", "robot_response": "", "metadata": {}}])
        done(ask(connection, "write_message", party, {"p_session_id": "of acme None", "p_messages": turn}))
        function, arguments, sqlstate = refused_calls(party)[number]
        assert ask(connection, function, party, arguments).sqlstate == sqlstate
    assert_one_clean_connection(one_connection)


def test_a_client_that_leaves_in_its_transaction_leaves_no_tenant_on_the_connection(one_connection: Database) -> None:
    leaving = psycopg.connect(one_connection.app_url, prepare_threshold=None)
    ask(leaving, "read_session", Party("acme"), {"p_session_id": "s"})
    assert leaving.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
    leaving.close()
    assert_one_clean_connection(one_connection)
