"""Each route of users answers about a person of another tenant exactly as about an unknown one, and changes no row."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import pytest

from tests.isolation.asking import ask
from tests.isolation.calling import As, by_account, by_role, by_token, everything, plain
from tests.isolation.parties import Party
from tests.isolation.people import People, saved
from tests.isolation.person import PERSON_STATES, Person
from tests.isolation.user_route_cases import USER_ROUTE_CASES
from tests.isolation.world import rows_of, tables_of
from tests.support.bundle import deployed
from tests.support.log_lines import logged
from tests.support.servers.databases import Template


@dataclass(frozen=True)
class Deployment:
    """Settings of the functions, the owner's tenant, what names begin with, and how a caller proves who it is."""

    name: str
    variables: Mapping[str, str]
    prove: Callable[[Party], As]
    owner: Party
    prefix: str = ""


DEPLOYMENTS = [
    Deployment("tenants by token", {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}, by_token, Party("globex")),
    Deployment("accounts", {"AUTH": "iam", "TENANT_FROM": "iam:account"}, by_account, Party("222222222222")),
    Deployment(
        "roles of an account",
        {"AUTH": "iam", "TENANT_FROM": "iam:role"},
        by_role,
        Party("111111111111:kitchen"),
        "111111111111:",
    ),
]


@dataclass(frozen=True)
class Scene:
    """People of the owner, and the functions deployed on their database."""

    people: People
    tables: list[str]
    known: Mapping[str, Person]
    deployment: Deployment

    def asker(self) -> As:
        """Return the functions as a new tenant with a user `own`."""
        party = Party(f"{self.deployment.prefix}fresh-{secrets.token_hex(8)}")
        own = {"p_user_id": "own", **saved({"email": "own@example.com"})}
        assert ask(self.people.app, "save_user", party, own).sqlstate is None
        return self.deployment.prove(party)

    def rows(self) -> object:
        """Return all rows of the owner."""
        return rows_of(self.people.admin, self.tables, self.people.tenant.tenant)


@pytest.fixture(scope="module", params=DEPLOYMENTS, ids=[each.name for each in DEPLOYMENTS])
def scene(request: pytest.FixtureRequest, embedded_template: Template) -> Iterator[Scene]:
    deployment: Deployment = request.param
    with (
        embedded_template.clone("embedded") as database,
        database.app() as app,
        database.admin() as admin,
        deployed({"DATABASE_URL": database.app_url, "STATS_MAX_AGE": "0", **deployment.variables}),
    ):
        people = People(app, admin, deployment.owner)
        yield Scene(people, tables_of(admin), people.make_each(), deployment)


@pytest.mark.parametrize("state", PERSON_STATES)
@pytest.mark.parametrize("route", USER_ROUTE_CASES)
def test_a_person_of_another_tenant_is_answered_as_an_unknown_one(scene: Scene, route: str, state: str) -> None:
    person, before = scene.known[state], scene.rows()
    for case in USER_ROUTE_CASES[route]:
        asker, other, unknown = scene.asker(), scene.asker(), person.made_up()
        with logged() as lines:
            found = case.send(asker, person.asked_by(asker.party.tenant))
        log = json.dumps(lines())
        for each in scene.known.values():
            for word in each.canaries:
                assert word not in everything(found) or word in asker.sent.lower(), f"{case.name}: {word} in {found}"
                assert word not in log or word == person.id, f"{case.name}: {word} in the log: {log}"
        assert plain(found, person) == plain(case.send(other, unknown.asked_by(other.party.tenant)), unknown), (
            f"{case.name}: {everything(found)}"
        )
    assert scene.rows() == before, "rows of the owner were changed"
