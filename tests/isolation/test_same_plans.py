"""A foreign id and an unknown id use the same indexes, as often, on small tables with kept plans and on large ones.

Between tenants all counters are equal: scans, rows, and blocks of each table and index. Between users of a tenant one
thing differs: sessions_pkey finds the row of the other user's session, and the function drops it by its user_id. So
that index returns one row more, and its table reads that row. No other table or index differs.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.isolation.counters import INDEXES, WITHOUT_INDEX, Counters, counted, scans, undone
from tests.isolation.function_cases import FUNCTION_CASES, Case
from tests.isolation.parties import Axis, Known, Party, clears_keys
from tests.isolation.world import World, world_of
from tests.support.servers.databases import Template

AXES = [Axis("tenants", Party("acme"), Party("globex")), Axis("users", Party("acme", "ann"), Party("acme", "bea"))]
CREATORS = ("write_message", "patch_session")
# A search has more parts if one of them took long, so its counters differ between equal calls.
FUNCTIONS = [function for function in FUNCTION_CASES if function != "search"]
# PL/pgSQL keeps a generic plan after five calls.
WARM_CALLS = 7
SESSIONS = ("robot_brain.sessions", "robot_brain.sessions_pkey")
GROW = """
insert into robot_brain.sessions
  (tenant_id, id, user_id, created_at, last_active, active_hour, message_count, response_length, answer_bytes)
select t, 'grown ' || n, u, now() - interval '1 day', now() - interval '1 day', now() - interval '1 day', 1, 1, 1
from generate_series(1, 3000) n, (values ('acme', 'ann'), ('acme', 'bea'), ('acme', null), ('globex', null)) v (t, u)
on conflict do nothing
"""


@pytest.fixture(scope="module", params=AXES, ids=[axis.name for axis in AXES])
def small(request: pytest.FixtureRequest, embedded_template: Template) -> Iterator[World]:
    """A world whose tables have few rows and no statistics, with a connection that keeps its plans."""
    axis: Axis = request.param
    with embedded_template.clone("embedded") as database:
        with database.admin() as admin:
            for table in ("sessions", "conversations_default", "idempotency_keys", "erasures"):
                admin.execute(f"alter table robot_brain.{table} set (autovacuum_enabled = off)".encode())
        with world_of(database, axis) as world:
            yield world


@pytest.fixture(scope="module")
def grown(small: World) -> World:
    """The same world after its sessions became many, and with statistics. The plans that were kept stay."""
    small.admin.execute(GROW)
    small.admin.execute("analyze robot_brain.sessions")
    return small


def touched(world: World, function: str, case: Case[Known], known: Known) -> Counters:
    """Return the counters of each table and index that one call touched."""
    # A write that was undone leaves a dead row, which another search for the same id would read.
    asker = world.axis.asker
    if function in CREATORS:
        askers = iter(world.axis.fresh_asker, asker)
        asker = next(each for each in askers if not clears_keys(each.user, known.key))
    return counted(world.admin, asker, function, case.arguments(known))


def both(world: World, function: str, case: Case[Known], state: str) -> tuple[Counters, Counters]:
    """Return what a call for the owner's session touches, and a call for an unknown one, with the same plan."""
    asker, free = world.axis.asker, world.axis.within_tenant and function in CREATORS and state == "erased"
    for attempt in range(5):
        known = world.free.pop() if free else world.sessions[state]
        before, after = (known.made_up(asker) for _ in range(2))
        if function == "list_sessions":
            known, before, after = (each.for_asker(asker) for each in (known, before, after))
        first, foreign, second = (touched(world, function, case, each) for each in (before, known, after))
        # The server may plan a statement again at any time, and the time for a page of the list may end. Then compare
        # again.
        is_cut = function == "list_sessions" and foreign != second and attempt < 4
        if scans(first) == scans(second) and not is_cut:
            return foreign, second
    raise AssertionError("the plans of an unknown id do not stay the same")


def check(world: World, function: str) -> None:
    """Compare each case of a function in each state of the owner's session."""
    asker, within = world.axis.asker, world.axis.within_tenant
    # An erased session leaves a dead row too, until the next vacuum.
    world.admin.execute("vacuum robot_brain.sessions, robot_brain.idempotency_keys")
    for case in FUNCTION_CASES[function]:
        if (case.service_only and asker.user is not None) or case.has_first_id:
            continue
        for _ in range(WARM_CALLS):
            undone(world.admin, asker, function, case.arguments(world.sessions["turns"].made_up(asker)))
        for state in ("turns", "erasing", "erased"):
            foreign, unknown = both(world, function, case, state)
            name = f"{function}, {case.name}, {state}"
            assert {each for each in scans(foreign) if not each.endswith(INDEXES)} <= WITHOUT_INDEX, name
            if within and function in CREATORS and state != "erased":
                # This is RB404, so nothing follows the search for the session.
                assert set(foreign) <= {*SESSIONS, "robot_brain.idempotency_keys_pkey"}, name
                assert scans(foreign)["robot_brain.sessions_pkey"] >= 1, name
                assert set(scans(foreign)) <= set(scans(unknown)), name
            elif function in CREATORS:
                compare_creations(foreign, unknown, within, name)
            elif not within or state == "erased" or "p_session_id" not in case.foreign:
                assert foreign == unknown, name
            else:
                compare_with_dropped_row(foreign, unknown, name)


def compare_creations(foreign: Counters, unknown: Counters, within: bool, name: str) -> None:
    """Compare two calls that create a session. Their blocks differ, because rows go to pages with free space."""
    expected = scans(unknown)
    if within and "robot_brain.erasures_pkey" in expected:
        # The erased session was written by a retry. So the new session of its id learns the first id of that write.
        expected[SESSIONS[1]] += 1
    assert scans(foreign) == expected, name


def compare_with_dropped_row(foreign: Counters, unknown: Counters, name: str) -> None:
    """Compare two calls of which one finds another user's session, and drops it."""
    assert scans(foreign) == scans(unknown), name
    assert {each for each in {*foreign, *unknown} if foreign.get(each) != unknown.get(each)} == set(SESSIONS), name
    assert foreign[SESSIONS[1]][1] == unknown[SESSIONS[1]][1] + 1, name


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_foreign_id_and_an_unknown_id_use_the_same_indexes_of_small_tables(small: World, function: str) -> None:
    check(small, function)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_foreign_id_and_an_unknown_id_use_the_same_indexes_of_large_tables(grown: World, function: str) -> None:
    check(grown, function)
