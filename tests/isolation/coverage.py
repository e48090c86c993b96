"""Find SQL functions, their parameters and routes for which the suite has no case, with what to add."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from local.template import Route
from tests.isolation.function_cases import FUNCTION_CASES, WITHOUT_CASE, WITHOUT_FOREIGN_VALUE, Case
from tests.isolation.route_cases import ROUTE_CASES
from tests.isolation.user_function_cases import USER_FUNCTION_CASES
from tests.isolation.user_route_cases import USER_ROUTE_CASES

# Each case of a function and of a route, of sessions and of people.
ALL_FUNCTION_CASES: dict[str, list[Case[Any]]] = {
    name: [*FUNCTION_CASES.get(name, []), *USER_FUNCTION_CASES.get(name, [])]
    for name in (*FUNCTION_CASES, *USER_FUNCTION_CASES)
}
ALL_ROUTE_CASES = {**ROUTE_CASES, **USER_ROUTE_CASES}

_PARAMETERS = """
select p.proname, coalesce(array_agg(a.name order by a.n) filter (where a.mode in ('i', 'b', 'v')), '{}')
from pg_proc p
left join lateral unnest(
  p.proargnames, coalesce(p.proargmodes::text[], array_fill('i'::text, array[cardinality(p.proargnames)]))
) with ordinality a (name, mode, n) on true
where p.pronamespace = 'robot_brain_api'::regnamespace
group by p.oid, p.proname
order by p.proname
"""


def functions_of(admin: psycopg.Connection) -> list[tuple[str, list[str]]]:
    """Return the functions of robot_brain_api, each with the names of its parameters."""
    return [(name, list(parameters)) for name, parameters in admin.execute(_PARAMETERS)]


def missing_of_functions(functions: Iterable[tuple[str, list[str]]]) -> list[str]:
    """Return a sentence for each function and parameter without a case, and for each case without a function."""
    missing = []
    known = {}
    for name, parameters in functions:
        known[name] = parameters
        if name in WITHOUT_CASE:
            if {"p_tenant_id", "p_session_id", "p_user_id", "p_as_user"} & set(parameters):
                missing.append(f"robot_brain_api.{name} takes a tenant's value: add cases instead of a reason.")
        elif name not in ALL_FUNCTION_CASES:
            missing.append(
                f"robot_brain_api.{name} has no case: add it to FUNCTION_CASES of tests/isolation/function_cases.py,"
                " or to WITHOUT_CASE with the reason if it takes no value of a tenant."
            )
        else:
            given = {each for case in ALL_FUNCTION_CASES[name] for each in (*case.foreign, *case.fixed)}
            missing += [
                f"{each} of robot_brain_api.{name} is in no case: add a case with another caller's value to"
                " FUNCTION_CASES of tests/isolation/function_cases.py."
                for each in parameters
                if each not in given and each not in WITHOUT_FOREIGN_VALUE
            ]
    for name in (*ALL_FUNCTION_CASES, *WITHOUT_CASE):
        if name not in known:
            missing.append(f"robot_brain_api has no function {name}: remove it from tests/isolation/function_cases.py.")
    return missing


def missing_of_routes(routes: Iterable[Route]) -> list[str]:
    """Return a sentence for each route without a case, and for each case without a route."""
    names = [f"{route.method} {route.path}" for route in routes]
    missing = [
        f"{name} has no case: add it to ROUTE_CASES of tests/isolation/route_cases.py."
        for name in names
        if not ALL_ROUTE_CASES.get(name)
    ]
    return missing + [
        f"template.yaml has no route {name}: remove it from tests/isolation/route_cases.py."
        for name in ALL_ROUTE_CASES
        if name not in names
    ]
