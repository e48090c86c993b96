"""Compare an answer of a function with docs/openapi.json and with the contract."""

from typing import Any

from pydantic import TypeAdapter, ValidationError

from contract import problems
from contract.document import ROUTES
from tests.support.bundle import Reply
from tests.support.documented import errors_of, operations


def assert_documented(route: str, reply: Reply) -> None:
    """Assert that the document describes this answer of `route`, and the contract each of its members."""
    documented = operations()[route]["responses"][str(reply.status)]
    headers = {name.lower(): header for name, header in documented.get("headers", {}).items()}
    sent = {name: value for name, value in reply.headers.items() if name != "content-type"}
    assert set(sent) <= set(headers)
    for name, header in headers.items():
        assert name in sent or not header["required"], name
        assert name not in sent or errors_of(header["schema"], sent[name]) == [], (route, reply.status, name)
    if reply.body is None:
        assert "content" not in documented
        return
    # The gateway removes the body of an answer to HEAD.
    if not route.startswith("HEAD"):
        assert errors_of(documented["content"][reply.headers["content-type"]]["schema"], reply.json) == []
    assert any(fits(form, reply.json) for form in forms(route, reply)), reply.body


def forms(route: str, reply: Reply) -> list[Any]:
    """Return the forms that the contract allows for a body."""
    (declared,) = (each for each in ROUTES if f"{each.method} {each.path}" == route)
    if reply.headers["content-type"] == "application/problem+json":
        return [problems.body_of(kind) for kind in declared.errors if kind.status == reply.status]
    return [answer.body for answer in declared.answers if answer.status == reply.status]


def fits(form: Any, value: Any) -> bool:
    """Return whether a value has all members of a form, and no other member."""
    try:
        TypeAdapter(form).validate_python(value)
    except ValidationError:
        return False
    return True
