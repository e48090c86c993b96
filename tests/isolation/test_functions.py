"""Each SQL function answers about another caller's session exactly as about an unknown one, and changes no row of it.

The exceptions are POST and PATCH of an end user in its own tenant: RB404, the same in each state of the session.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.isolation.asking import Answer, ask
from tests.isolation.function_cases import FUNCTION_CASES, Case
from tests.isolation.parties import STATES, Axis, Known, Party
from tests.isolation.world import World, world_of
from tests.support.servers.databases import Template

AXES = [
    Axis("tenants", Party("acme"), Party("globex")),
    Axis("equal users of two tenants", Party("acme", "zoe"), Party("globex", "zoe")),
    Axis("users of a tenant", Party("acme", "ann"), Party("acme", "bea 5f0c3e9a71d2")),
    Axis("a user and its tenant", Party("acme", "ann"), Party("acme")),
]
CREATORS = ("write_message", "patch_session")
# Their cursors fit only one caller.
LISTS = ("list_sessions", "search")
TAKEN = "the end user has no session of this id, and may not create it"


@pytest.fixture(scope="module", params=AXES, ids=[axis.name for axis in AXES])
def world(request: pytest.FixtureRequest, embedded_template: Template) -> Iterator[World]:
    axis: Axis = request.param
    with embedded_template.clone("embedded") as database, world_of(database, axis) as made:
        yield made


def known_in(world: World, function: str, state: str) -> Known:
    """Return a session of the owner in a state. A free id is for one case, because a write makes a session of it."""
    free = world.axis.within_tenant and function in CREATORS and state == "erased"
    return world.free.pop() if free else world.sessions[state]


def may_meet(case: Case[Known], party: Party) -> bool:
    return party.user is None or not case.service_only


def the_answers(world: World, function: str, case: Case[Known], known: Known) -> tuple[Answer, bool]:
    """Return the answer about the owner's session, and whether it equals that about a session that does not exist."""
    asker = world.axis.fresh_asker() if function in CREATORS else world.axis.asker
    unknown = known.made_up(asker)
    if function in LISTS:
        # A cursor that was made for the asker's own list, with the place of the owner's session.
        known, unknown = (each.for_asker(asker) for each in (known, unknown))
    before = world.rows()
    found = ask(world.app, function, asker, case.arguments(known))
    after = world.rows()
    assert not before - after, f"{case.name}: rows of the owner were changed or deleted"
    creates = world.axis.within_tenant and function in CREATORS and known.state == "erased"
    assert creates or not after - before, f"{case.name}: the owner's tenant has new rows"
    other = ask(world.app, function, asker, case.arguments(unknown))
    return found, found.plain(known) == other.plain(unknown)


def assert_without_canaries(world: World, known: Known, case: Case[Known], answer: Answer) -> None:
    """Assert that the answer has no word of the owner which the request did not have."""
    sent = str(case.arguments(known))
    for each in (*world.sessions.values(), known):
        for word in each.canaries:
            assert word not in answer.text or word in sent, f"{case.name}: {word} of the owner in {answer.text}"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("function", FUNCTION_CASES)
def test_a_foreign_session_is_answered_as_an_unknown_one(world: World, function: str, state: str) -> None:
    for case in FUNCTION_CASES[function]:
        if not may_meet(case, world.axis.asker):
            continue
        known = known_in(world, function, state)
        found, is_unknown = the_answers(world, function, case, known)
        assert_without_canaries(world, known, case, found)
        if world.axis.within_tenant and function in CREATORS and state != "erased":
            assert (found.sqlstate, *found.error[:2]) == ("RB404", TAKEN, None), f"{case.name}: {found}"
        elif world.axis.within_tenant and case.has_first_id and state == "erased":
            # The first id is random and only the layer has it. It says that the write of its owner was erased.
            assert found.sqlstate == "RB409", case.name
        else:
            assert is_unknown, f"{case.name}: {found}"
    assert world.view(world.sessions[state]) == world.views[state]


def test_a_foreign_cursor_is_refused_to_another_user_and_is_only_a_place_in_another_tenant(world: World) -> None:
    known = world.sessions["turns"]
    for cursor in (*known.cursors, *known.made_up(world.axis.asker).cursors):
        answer = ask(world.app, "list_sessions", world.axis.asker, {"p_cursor": cursor, "p_limit": 100})
        assert_without_canaries(world, known, Case[Known]("a cursor", {}, {"p_cursor": cursor}), answer)
        if world.axis.within_tenant:
            assert answer.sqlstate == "RB428"
        else:
            listed = json.loads(answer.row[0] or "")["sessions"]
            assert all(each["id"].startswith("own ") for each in listed)
