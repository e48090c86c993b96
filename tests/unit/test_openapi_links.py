"""Each link of docs/openapi.json goes to a route, from parameters and members that exist."""

from typing import Any

import pytest

from contract.document import ROUTES
from contract.links import LINKS
from tests.support.documented import Json, operations, resolved

Place = tuple[str, str, str]


def links() -> dict[Place, Json]:
    """Return each link by its route, its status and its name."""
    return {
        (route, status, name): link
        for route, operation in operations().items()
        for status, answer in operation["responses"].items()
        for name, link in answer.get("links", {}).items()
    }


def parameters(operation: Json, *places: str) -> dict[str, Json]:
    """Return the parameters of an operation that are in one of these places."""
    return {each["name"]: each for each in operation.get("parameters", []) if each["in"] in places}


def alternatives(schema: Json) -> list[Json]:
    """Return the alternatives of a schema without references."""
    whole = resolved(schema)
    return [each for part in whole["anyOf"] for each in alternatives(part)] if "anyOf" in whole else [whole]


def has_member(schema: Json, path: list[str]) -> bool:
    """Return whether an object or array of this schema can have a member at the path."""
    if not path:
        return True
    for each in alternatives(schema):
        inner = each.get("items") if path[0].isdigit() else each.get("properties", {}).get(path[0])
        if inner is not None and has_member(inner, path[1:]):
            return True
    return False


def is_known(value: Any, operation: Json, answer: Json) -> bool:
    """Return whether an expression of a link names something that the request or the answer can have."""
    if not isinstance(value, str) or not value.startswith("$"):
        return True
    if value.startswith("$response.body#/"):
        return has_member(answer["content"]["application/json"]["schema"], value.split("#/")[1].split("/"))
    if value.startswith("$response.header."):
        return value.removeprefix("$response.header.") in answer["headers"]
    _, place, name = value.split(".")
    return value.startswith("$request.") and name in parameters(operation, place)


@pytest.mark.parametrize("place", links())
def test_a_link_gives_the_required_parameters_of_its_target_from_what_exists(place: Place) -> None:
    route, status, _ = place
    link = links()[place]
    (target,) = (each for each in operations().values() if each["operationId"] == link["operationId"])
    known = parameters(target, "path", "query", "header")
    assert set(link["parameters"]) <= set(known)
    assert {name for name, each in known.items() if each["required"]} - {"q"} <= set(link["parameters"])
    answer = operations()[route]["responses"][status]
    for value in link["parameters"].values():
        assert is_known(value, operations()[route], answer), value


def test_every_declared_link_is_in_the_document() -> None:
    routes = {route.name: f"{route.method} {route.path}" for route in ROUTES}
    declared = {(routes[operation], str(status), name) for (operation, status), each in LINKS.items() for name in each}
    assert declared == set(links())


def test_links_lead_to_every_route_about_one_session_one_user_and_the_search() -> None:
    targets = {link["operationId"] for link in links().values()}
    about_one = {route.name for route in ROUTES if route.path.startswith(("/sessions/{", "/users/{", "/search"))}
    assert about_one <= targets


def test_an_expression_that_names_nothing_is_found() -> None:
    read = operations()["GET /sessions/{session_id}"]
    answer = read["responses"]["200"]
    assert is_known("$response.body#/messages/0/seq", read, answer)
    for wrong in ("$response.body#/messages/0/no", "$response.header.X", "$request.path.no", "$request.query.q"):
        assert not is_known(wrong, read, answer), wrong
