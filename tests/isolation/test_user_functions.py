"""Each SQL function answers about a person of another tenant exactly as about an unknown one, and changes no row of it.

The same holds if the asker's tenant has a twin: a user of the same id and e-mail, with a session of the same id. Then
the answer is about the twin. It also holds if the policies of all tables let every row pass, so the conditions of the
functions separate the tenants too, and not only row-level security.
"""

from __future__ import annotations

import json
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from tests.isolation.asking import Answer, ask
from tests.isolation.function_cases import TURN, Case
from tests.isolation.parties import Party
from tests.isolation.people import People, more_sessions, saved
from tests.isolation.person import PERSON_STATES, Person
from tests.isolation.policies import open_policies
from tests.isolation.user_function_cases import USER_FUNCTION_CASES
from tests.isolation.world import rows_of, tables_of, write_own
from tests.support.servers.databases import Database, Template

OWNER = Party("globex")


@dataclass(frozen=True)
class Town:
    """A database with a person of the owner in each state, and what the owner sees of each."""

    people: People
    tables: list[str]
    known: dict[str, Person]
    views: dict[str, list[Answer]]

    def asker(self, person: Person, has_twin: bool) -> Party:
        """Return a new tenant with a user `own`, and with a twin of the person if `has_twin`.

        It is after the owner in order. So a search that forgets the tenant finds the row of the owner first.
        """
        app, asker = self.people.app, Party(f"z-{secrets.token_hex(8)}")
        ask(app, "save_user", asker, {"p_user_id": "own", **saved({"email": "own@example.com"})})
        if has_twin:
            # Without a profile and in another spelling, so that each part of another user's row would show.
            twin = {"p_user": json.dumps({"email": person.email.upper()}), "p_email_key": person.email}
            acts = {"p_actor": person.actor, "p_request_id": person.request_id}
            made = ask(app, "create_user", asker, {"p_user_id": person.id, **twin, "p_key": person.key, **acts})
            assert made.sqlstate is None
            write_own(app, Party(asker.tenant, person.id), person.session_id)
        return asker

    def answers(self, function: str, case: Case[Person], person: Person, has_twin: bool) -> tuple[Answer, bool]:
        """Return the answer about the person, and whether it equals that about one that does not exist.

        Each is the answer to a new tenant.
        """
        app, unknown = self.people.app, person.made_up()
        asker, other = (self.asker(each, has_twin) for each in (person, unknown))
        before = self.rows()
        found = ask(app, function, asker, case.arguments(person.asked_by(asker.tenant)))
        assert self.rows() == before, f"{case.name}: rows of the owner were changed"
        expected = ask(app, function, other, case.arguments(unknown.asked_by(other.tenant)))
        # What the calls did to the rows of the two tenants is the same, too.
        return found, (found.plain(person), self.counts(asker)) == (expected.plain(unknown), self.counts(other))

    def counts(self, party: Party) -> Counter[str]:
        """Return how many rows of each table a tenant has."""
        return Counter(table for table, _ in rows_of(self.people.admin, self.tables, party.tenant))

    def rows(self) -> object:
        """Return all rows of the owner."""
        return rows_of(self.people.admin, self.tables, OWNER.tenant)


@pytest.fixture(scope="module")
def town(embedded_template: Template) -> Iterator[Town]:
    with town_of(embedded_template, has_policies=True) as made:
        yield made


@pytest.fixture(scope="module")
def town_without_policies(embedded_template: Template) -> Iterator[Town]:
    with town_of(embedded_template, has_policies=False) as made:
        yield made


@contextmanager
def town_of(template: Template, has_policies: bool) -> Iterator[Town]:
    """Make a person in each state, and record what the owner sees of each."""
    with template.clone("embedded") as database, database.app() as app, database.admin() as admin:
        if not has_policies:
            open_policies(admin)
        people = People(app, admin, OWNER)
        known = people.make_each()
        yield Town(people, tables_of(admin), known, {state: people.view(each) for state, each in known.items()})


def check(town: Town, function: str, state: str, has_twin: bool) -> None:
    """Assert that each case of a function is answered as for an unknown person, with no word of the owner."""
    person = town.known[state]
    for case in USER_FUNCTION_CASES[function]:
        found, is_unknown = town.answers(function, case, person, has_twin)
        own = [person.id, person.email, person.session_id, person.actor, person.request_id] if has_twin else ""
        sent = f"{case.arguments(person)} {own}"
        for each in town.known.values():
            for word in each.canaries:
                assert word not in found.text or word in sent, f"{case.name}: {word} of the owner in {found.text}"
        assert is_unknown, f"{case.name}: {found}"


@pytest.mark.parametrize("has_twin", [False, True], ids=["alone", "with a twin"])
@pytest.mark.parametrize("state", PERSON_STATES)
@pytest.mark.parametrize("function", USER_FUNCTION_CASES)
def test_a_person_of_another_tenant_is_answered_as_an_unknown_one(
    town: Town, function: str, state: str, has_twin: bool
) -> None:
    check(town, function, state, has_twin)


@pytest.mark.parametrize("has_twin", [False, True], ids=["alone", "with a twin"])
@pytest.mark.parametrize("state", ["profile", "erasing"])
@pytest.mark.parametrize("function", USER_FUNCTION_CASES)
def test_the_conditions_of_a_function_separate_tenants_without_row_level_security(
    town_without_policies: Town, function: str, state: str, has_twin: bool
) -> None:
    check(town_without_policies, function, state, has_twin)


@pytest.mark.parametrize("state", PERSON_STATES)
def test_the_owner_gets_the_same_after_all_requests_of_others(town: Town, state: str) -> None:
    assert town.people.view(town.known[state]) == town.views[state]


def test_sessions_of_one_id_and_one_time_in_two_tenants_stay_apart_without_row_level_security(
    embedded_database: Database,
) -> None:
    acme, globex = Party("acme", "tom"), Party("globex", "tom")
    turn = {**TURN, "interaction": {"interaction_type": "t", "robot_id": "r", "duration_ms": 7, "success": True}}
    with embedded_database.admin() as admin, embedded_database.app() as app:
        open_policies(admin)
        # Each session begins before the other's last turn and ends after its first.
        for number in range(2):
            for party in (acme, globex):
                text = f"of {party.tenant} {number}"
                sent = {"p_session_id": "s", "p_messages": json.dumps([{**turn, "user_message": text}])}
                assert ask(app, "write_message", party, sent).sqlstate is None

        def exported(party: Party) -> list[str]:
            body = ask(app, "export_user", party, {"p_user_id": "tom"}).row[0]
            return [each["user_message"] for each in json.loads(body or '{"turns": []}')["turns"]]

        assert exported(acme) == ["of acme 0", "of acme 1"]
        assert exported(globex) == ["of globex 0", "of globex 1"]
        counted = json.loads(ask(app, "count_user", acme, {"p_user_id": "tom"}).row[0] or "")
        assert counted == {"sessions": 1, "messages": 2, "interactions": 2}
        # So many that their erasure would take another step.
        more_sessions(admin, globex)
        assert ask(app, "erase_user", acme, {"p_user_id": "tom"}).row == ("erased",)
        assert exported(acme) == []
        assert exported(globex) == ["of globex 0", "of globex 1"]
        counted = json.loads(ask(app, "count_user", globex, {"p_user_id": "tom"}).row[0] or "")
        assert counted == {"sessions": 102, "messages": 2, "interactions": 2}


def test_an_erasure_goes_on_with_an_erasure_of_its_own_tenant_alone_without_row_level_security(
    embedded_database: Database,
) -> None:
    tom = {"p_user_id": "tom"}
    # The older erasure is that of the other tenant.
    erased = (("globex", "zoe"), ("acme", "tom"))
    with embedded_database.admin() as admin, embedded_database.app() as app:
        open_policies(admin)
        for tenant, user in erased:
            more_sessions(admin, Party(tenant, user))
            assert ask(app, "erase_user", Party(tenant), {"p_user_id": user}).row == ("erasing",)
        before = rows_of(admin, tables_of(admin), "globex")
        before_step = json.loads(ask(app, "count_user", Party("acme"), tom).row[0] or "")
        ask(app, "save_user", Party("acme"), {"p_user_id": "ann", "p_user": "{}"})
        assert ask(app, "erase_user", Party("acme"), {"p_user_id": "ann"}).row == ("erased",)
        # A step ends after a time, so it may leave some.
        left = json.loads(ask(app, "count_user", Party("acme"), tom).row[0] or '{"sessions": 0}')
        assert left["sessions"] < before_step["sessions"]
        assert rows_of(admin, tables_of(admin), "globex") == before


@pytest.mark.parametrize(
    "table", ["users", "user_profiles", "user_erasures", "sessions", "conversations", "idempotency_keys", "audit_logs"]
)
def test_row_level_security_shows_the_owner_of_a_table_one_tenant_alone(town: Town, table: str) -> None:
    admin = town.people.admin
    town.asker(town.known["profile"], has_twin=True)
    admin.execute("select robot_brain.append_audit('*', 'files', '6', 'UPDATE', null, null, 'operator', null)")
    # '*' is the tenant of an operator's commands.
    for tenant, expected in (("", []), (OWNER.tenant, [(OWNER.tenant,)]), ("*", [])):
        with admin.transaction(force_rollback=True):
            admin.execute("set local role robot_brain_owner")
            admin.execute("select set_config('robot_brain.tenant_id', %s, true)", [tenant])
            rows = admin.execute(f"select distinct tenant_id from robot_brain.{table}".encode()).fetchall()
        assert rows == expected
