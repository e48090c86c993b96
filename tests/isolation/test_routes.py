"""Each route answers about another caller's session exactly as about an unknown one, and changes no row of it.

The exceptions are POST and PATCH of an end user in its own tenant: 404, the same in each state of the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from tests.isolation.calling import As, by_account, by_role, by_token, everything, plain
from tests.isolation.parties import STATES, Axis, Known, Party
from tests.isolation.route_cases import ROUTE_CASES, RouteCase
from tests.isolation.world import World, world_of
from tests.support.bundle import Reply, deployed
from tests.support.servers.databases import Template

CREATORS = ("POST /sessions/{session_id}/messages", "PATCH /sessions/{session_id}")
JWT = {"AUTH": "jwt", "TENANT_FROM": "claim:tenant"}
BEA = "bea 9d41f7c03b6e"


@dataclass(frozen=True)
class Deployment:
    """Settings of the functions, an axis of callers, and how a caller proves who it is."""

    variables: Mapping[str, str]
    prove: Callable[[Party], As]
    axis: Axis


DEPLOYMENTS = [
    Deployment(JWT, by_token, Axis("tenants by token", Party("acme"), Party("globex"))),
    Deployment(JWT, by_token, Axis("equal users of two tenants", Party("acme", "zoe"), Party("globex", "zoe"))),
    Deployment(JWT, by_token, Axis("users of a tenant", Party("acme", "ann"), Party("acme", BEA))),
    Deployment(JWT, by_token, Axis("a user and its tenant", Party("acme", "ann"), Party("acme"))),
    Deployment(
        {"AUTH": "iam", "TENANT_FROM": "iam:account"},
        by_account,
        Axis("accounts", Party("111111111111"), Party("222222222222")),
    ),
    Deployment(
        {"AUTH": "iam", "TENANT_FROM": "iam:role"},
        by_role,
        Axis("roles of an account", Party("111111111111:kiosk"), Party("111111111111:kitchen")),
    ),
]


@dataclass
class Scene:
    """A world, and the functions deployed on it."""

    world: World
    prove: Callable[[Party], As]


@pytest.fixture(scope="module", params=DEPLOYMENTS, ids=[each.axis.name for each in DEPLOYMENTS])
def scene(request: pytest.FixtureRequest, embedded_template: Template) -> Iterator[Scene]:
    deployment: Deployment = request.param
    with (
        embedded_template.clone("embedded") as database,
        world_of(database, deployment.axis) as world,
        deployed({"DATABASE_URL": database.app_url, "STATS_MAX_AGE": "0", **deployment.variables}),
    ):
        yield Scene(world, deployment.prove)


def the_answers(scene: Scene, route: str, case: RouteCase, known: Known) -> tuple[Reply, bool]:
    """Return the answer about the owner's session, and whether it equals that about a session that does not exist."""
    axis = scene.world.axis
    asker = scene.prove(axis.fresh_asker() if route in CREATORS else axis.asker)
    unknown = known.made_up(asker.party)
    before = scene.world.rows()
    found = case.send(asker, known)
    after = scene.world.rows()
    sent = asker.sent
    assert not before - after, f"{case.name}: rows of the owner were changed or deleted"
    creates = axis.within_tenant and route in CREATORS and known.state == "erased"
    assert creates or not after - before, f"{case.name}: the owner's tenant has new rows"
    for each in (*scene.world.sessions.values(), known):
        for word in each.canaries:
            assert word not in everything(found) or word in sent, f"{case.name}: {word} in {everything(found)}"
    return found, plain(found, known) == plain(case.send(asker, unknown), unknown)


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("route", ROUTE_CASES)
def test_a_foreign_session_is_answered_as_an_unknown_one(scene: Scene, route: str, state: str) -> None:
    world = scene.world
    taken = world.axis.within_tenant and route in CREATORS and state != "erased"
    free = world.axis.within_tenant and route in CREATORS and state == "erased"
    for case in ROUTE_CASES[route]:
        if case.service_only and world.axis.asker.user is not None:
            continue
        known = world.free.pop() if free else world.sessions[state]
        found, is_unknown = the_answers(scene, route, case, known)
        if taken:
            assert (found.status, dict(found.headers)) == (404, TAKEN_HEADERS), case.name
            assert found.json == {**TAKEN, "request_id": found.json["request_id"]}, case.name
        elif case.steady:
            assert is_unknown, f"{case.name}: {everything(found)}"
    assert world.view(world.sessions[state]) == world.views[state]


TAKEN_HEADERS = {"content-type": "application/problem+json", "cache-control": "no-store"}
TAKEN = {
    "type": "about:blank",
    "title": "Session not found",
    "status": 404,
    "detail": "This id is taken. Use another id.",
}


def test_the_owner_of_a_key_gets_its_answer_again(scene: Scene) -> None:
    owner, known = scene.prove(scene.world.axis.owner), scene.world.sessions["turns"]
    replayed = owner.write(known.id, {"messages": known.messages}, {"idempotency-key": known.key})
    assert (replayed.status, replayed.headers.get("idempotent-replayed")) == (201, "true")
    gone = scene.world.sessions["erased"]
    assert owner.write(gone.id, {"messages": gone.messages}, {"idempotency-key": gone.key}).status == 410


def test_the_figures_of_a_caller_are_of_its_own_tenant_alone(scene: Scene) -> None:
    axis = scene.world.axis
    if axis.asker.user is not None:
        assert scene.prove(axis.asker).stats().status == 403
    asker = scene.prove(Party(replace(axis, owner=Party("")).fresh_asker().tenant))
    asker.write("counted", {"messages": [{"robot_personality": "own", "user_message": "q", "robot_response": "a"}] * 2})
    # The longest sessions are as of the last refresh.
    for refreshed in ([], ["counted"]):
        figures = asker.stats().json
        assert figures["totals"] == {"sessions": 1, "messages": 2, "interactions": 0}
        assert [each["robot_personality"] for each in figures["personalities"]] == ["own"]
        assert [(day["sessions"], day["messages"]) for day in figures["daily"]][-1] == (1, 2)
        assert [each["session_id"] for each in figures["top_sessions"]] == refreshed
        asker.refresh()
