"""The suite has a case for each SQL function of the catalogue, each parameter of it, and each route of the template."""

from __future__ import annotations

from local.settings import ROOT
from local.template import Route, load_template
from tests.isolation.coverage import (
    ALL_FUNCTION_CASES,
    ALL_ROUTE_CASES,
    functions_of,
    missing_of_functions,
    missing_of_routes,
)
from tests.support.servers.databases import Database


def test_each_function_and_each_parameter_has_a_case(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        functions = functions_of(admin)
    assert missing_of_functions(functions) == []
    assert all(ALL_FUNCTION_CASES.values())
    print(f"{len(functions)} functions, {sum(len(parameters) for _, parameters in functions)} parameters")


def test_each_route_has_a_case() -> None:
    routes = load_template(ROOT / "template.yaml").routes
    assert missing_of_routes(routes) == []
    print(f"{len(routes)} routes, {sum(map(len, ALL_ROUTE_CASES.values()))} cases")


def test_a_new_function_without_a_case_fails_the_suite(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute(
            "create function robot_brain_api.find(p_tenant_id text, p_words text, out body text)"
            " language sql return null"
        )
        (missing,) = missing_of_functions(functions_of(admin))
    assert missing.startswith("robot_brain_api.find has no case: add it to FUNCTION_CASES of tests/isolation/")


def test_a_new_parameter_without_a_case_fails_the_suite(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute("drop function robot_brain_api.stats")
        admin.execute(
            "create function robot_brain_api.stats(p_tenant_id text, p_session_id text, p_max_age integer,"
            " p_as_user text, p_since date, p_schema_version integer, out body text) language sql return null"
        )
        (missing,) = missing_of_functions(functions_of(admin))
    assert missing.startswith("p_since of robot_brain_api.stats is in no case: add a case")


def test_a_function_with_a_tenant_needs_cases_and_no_reason(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute("drop function robot_brain_api.make_month")
        admin.execute(
            "create function robot_brain_api.make_month(p_tenant_id text, out body text) language sql return null"
        )
        (missing,) = missing_of_functions(functions_of(admin))
    assert missing == "robot_brain_api.make_month takes a tenant's value: add cases instead of a reason."


def test_a_new_route_without_a_case_fails_the_suite() -> None:
    routes = (*load_template(ROOT / "template.yaml").routes, Route("GET", "/found", "FindFunction"))
    assert missing_of_routes(routes) == [
        "GET /found has no case: add it to ROUTE_CASES of tests/isolation/route_cases.py."
    ]


def test_a_case_of_a_removed_function_or_route_fails_the_suite(embedded_database: Database) -> None:
    with embedded_database.admin() as admin:
        admin.execute("drop function robot_brain_api.health")
        assert len(missing_of_functions(functions_of(admin))) == 1
    assert len(missing_of_routes(load_template(ROOT / "template.yaml").routes[1:])) == 1
