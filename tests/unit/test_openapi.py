"""docs/openapi.json is valid, describes exactly the routes of the template, and its examples fit their schemas."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from contract.document import ROUTES
from local.settings import ROOT
from local.template import load_template
from robot_brain import __version__
from robot_brain.errors import InvalidRequestError, MalformedRequestError, SessionNotFoundError, UserNotFoundError
from robot_brain.http import json_body, parameters
from robot_brain.limits import MAX_ACTOR_LENGTH, MAX_USER_ID_LENGTH
from tests.support.documented import DOCUMENT, Json, errors_of, operations, resolved
from tests.support.raised_errors import raised_errors

EVENTS = ROOT / "events"


def contents() -> Iterator[tuple[str, Json]]:
    """Yield each content of a request or an answer, with its place in the document."""
    for route, operation in operations().items():
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            yield f"{route} {media}", content
        for status, answer in operation["responses"].items():
            for media, content in answer.get("content", {}).items():
                yield f"{route} {status} {media}", content


def test_the_document_is_valid() -> None:
    validate(DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert DOCUMENT["info"]["version"] == __version__
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"
    assert (ROOT / "LICENSE").read_text().startswith("MIT License")


def test_every_route_of_the_template_is_in_the_document_and_no_other() -> None:
    template = load_template(ROOT / "template.yaml")
    assert {f"{route.method} {route.path}" for route in template.routes} == set(operations())


OPEN = ["GET /health", "HEAD /health"]


def test_only_health_needs_no_credentials_and_each_other_route_takes_a_signature_or_a_token() -> None:
    assert DOCUMENT["security"] == [{"sigv4": []}, {"jwt": []}]
    assert [route for route, each in operations().items() if "security" in each] == OPEN
    assert [operations()[route]["security"] for route in OPEN] == [[], []]
    schemes = DOCUMENT["components"]["securitySchemes"]
    assert {name: (each["type"], each.get("scheme")) for name, each in schemes.items()} == {
        "sigv4": ("apiKey", None),
        "jwt": ("http", "bearer"),
    }


def test_each_route_but_health_describes_the_401_of_the_gateway_and_the_403_of_both() -> None:
    for route, operation in operations().items():
        answers = operation["responses"]
        if route in OPEN:
            assert not {"401", "403"} & set(answers), route
            continue
        assert set(answers["401"]["content"]) == {"application/json"}, route
        assert set(answers["401"]["headers"]) == {"WWW-Authenticate"}, route
        assert set(answers["403"]["content"]) == {"application/json", "application/problem+json"}, route
        (example,) = map(resolved, answers["403"]["content"]["application/problem+json"]["examples"].values())
        assert (example["value"]["title"], example["value"]["status"]) == ("Forbidden", 403), route


def test_each_route_of_one_session_describes_the_404_of_a_session_of_another_user() -> None:
    described = {route.name for route in ROUTES if SessionNotFoundError in route.errors}
    of_sessions = {route.name for route in ROUTES if route.path.startswith("/sessions/{session_id}")}
    assert described == of_sessions | {"stats"}


def test_each_route_of_one_user_describes_its_404_except_the_put_that_creates_the_user() -> None:
    described = {route.name for route in ROUTES if UserNotFoundError in route.errors}
    of_users = {route.name for route in ROUTES if route.path.startswith("/users/{user_id}")}
    assert described == of_users - {"replace_user"}


def test_every_error_is_described_on_some_route() -> None:
    assert {kind for route in ROUTES for kind in route.errors} == set(raised_errors())


@pytest.mark.parametrize(("place", "content"), list(contents()))
def test_an_example_fits_its_schema(place: str, content: Json) -> None:
    assert content["examples"], place
    for name, example in content["examples"].items():
        value = resolved(example)["value"]
        assert errors_of(content["schema"], value) == [], name
        # The schema must refuse an object without the required members. A patch and a user's body require no member.
        is_optional = place.startswith("PATCH") or content["schema"].get("$ref", "").endswith("/UserContent")
        if isinstance(value, dict) and "messages" not in value and not is_optional:
            assert errors_of(content["schema"], {}) != []


@pytest.mark.parametrize("route", operations())
def test_the_examples_of_a_parameter_fit_its_schema(route: str) -> None:
    for parameter in operations()[route].get("parameters", []):
        assert parameter["examples"], parameter["name"]
        for example in parameter["examples"].values():
            assert errors_of(parameter["schema"], example["value"]) == []


def test_every_component_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for kind in ("schemas", "examples"):
        for name in DOCUMENT["components"][kind]:
            assert f'"#/components/{kind}/{name}"' in text


def test_every_status_has_a_description_and_a_body_unless_it_may_not_have_one() -> None:
    for route, operation in operations().items():
        for status, answer in operation["responses"].items():
            assert answer["description"], (route, status)
            assert ("content" in answer) == (status not in ("202", "204", "304") and not route.startswith("HEAD")), (
                route,
                status,
            )


def body_schema(event: Json) -> Json:
    """Return the schema of the body of an event's route."""
    content: Json = operations()[event["routeKey"]]["requestBody"]["content"]
    schema: Json = content["application/json"]["schema"]
    return schema


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_body_of_an_event_fits_the_document(path: Path) -> None:
    event = json.loads(path.read_text())
    if event.get("body"):
        assert errors_of(body_schema(event), json_body.parse(event["body"], event["isBase64Encoded"])) == []


@pytest.mark.parametrize(
    "name",
    [
        *("write_message_missing_field", "write_message_unknown_field", "write_message_metadata_null"),
        *("write_message_items_not_array", "write_message_items_not_objects", "write_message_items_too_many"),
        *("write_message_replace_missing_field", "write_message_replace_unknown_field"),
        *("edit_session_unknown_field", "edit_session_user_id", "edit_session_user_metadata"),
        *("edit_user_unknown_field", "edit_user_null", "edit_user_patch_profile", "edit_user_email"),
    ],
)
def test_the_body_of_a_bad_event_breaks_the_document(name: str) -> None:
    event = json.loads((EVENTS / "bad" / f"{name}.json").read_text())
    assert errors_of(body_schema(event), json.loads(event["body"])) != []


def schema_of(route: str, name: str) -> Json:
    """Return the schema of a parameter."""
    (found,) = (each for each in operations()[route]["parameters"] if each["name"] == name)
    schema: Json = found["schema"]
    return schema


WRITE, AUDIT = "POST /sessions/{session_id}/messages", "GET /audit"
# robot_brain.http.parameters parses these by hand, because a read loads no validator. Each with a route that has it.
PARSERS: dict[str, tuple[str, Any]] = {
    "session_id": (WRITE, lambda text: parameters.session_id(text, ["path"])),
    "Idempotency-Key": (WRITE, parameters.idempotency_key),
    "If-Match": (WRITE, parameters.if_match),
    "record": (AUDIT, lambda text: parameters.short_text({"record": text}, "record", MAX_USER_ID_LENGTH)),
    "user": (AUDIT, lambda text: parameters.short_text({"user": text}, "user", MAX_ACTOR_LENGTH)),
    "from": (AUDIT, lambda text: parameters.moment({"from": text}, "from")),
    "to": (AUDIT, lambda text: parameters.moment({"to": text}, "to")),
}
_ACTORS = ["a", "arn:aws:sts::123456789012:assumed-role/a/b", "é \xa0", "", "a\x00", "a\nb", "\x7f", "\x9f"]
_TIMES = [
    *("2026-11-28", "2026-11-28T12:00:00Z", "2026-11-28T12:00:00.5+01:30", "2026-11-28T12:00:00-23:59"),
    *("", "2026", "2026-11", "2026-11-28T12:00Z", "2026-11-28T12:00:00", "2026-11-28T12:00:00.Z", "2026-11-28 "),
    *("2026-11-28T24:00:00Z", "2026-11-28T12:60:00Z", "2026-11-28T12:00:60Z", "2026-11-28T12:00:00+24:00"),
    *("2026-11-28T12:00:00+01:60", "2026-11-28T12:00:00 01:00", "2026-11-28t12:00:00z", "now"),
]
VALUES = {
    "session_id": [
        *("a", "é" * 100, "\U0001f916" * 100, "", "x" * 101, ".", "..", "...", "a/b", "a\\b", "a?", "#", "%"),
        *("\x00", "\x1f", " ", "\x7f", "\x9f", "\xa0", "a\nb", "~"),
    ],
    "Idempotency-Key": ["a", "x" * 255, "", "x" * 256, "a,b", ",", " ", "~", "\x7f", "\x1f", "é", "a\tb", "+", "-"],
    "If-Match": [
        *('"0"', '"7.1f2e3d4c5b6a"', f'"{"9" * 18}"', f'"{"9" * 19}"', '""', "0", "*", 'W/"0"', '"0", "1"', '"0."'),
        *('"0.' + "f" * 32 + '"', '"0.' + "f" * 33 + '"', '"-1"', '"a"', '"0.g"', '"0.-"', '"0.1.2"'),
    ],
    "record": [*_ACTORS, "x" * 255, "x" * 256],
    "user": [*_ACTORS, "\U0001f916" * 1024, "x" * 1025],
    "from": _TIMES,
    "to": _TIMES,
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALUES.items() for value in values])
def test_a_parameter_that_is_parsed_by_hand_agrees_with_the_document(name: str, value: str) -> None:
    route, parse = PARSERS[name]
    try:
        parse(value)
        is_accepted = True
    except (InvalidRequestError, MalformedRequestError):
        is_accepted = False
    assert (errors_of(schema_of(route, name), value) == []) == is_accepted


def test_a_schema_that_inherits_a_member_has_the_members_description_too() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    for inherited, own in (("Turn", "OneTurn"), ("Problem", "InvalidRequest"), ("Problem", "PreconditionFailed")):
        for name, member in schemas[inherited]["properties"].items():
            assert schemas[own]["properties"][name] == member
    assert "description" in schemas["OneTurn"]["properties"]["user_message"]


def test_each_route_describes_a_400_of_the_gateway() -> None:
    for route, operation in operations().items():
        assert "Answered by the gateway" in operation["responses"]["400"]["description"], route
        if not route.startswith("HEAD"):
            assert "application/json" in operation["responses"]["400"]["content"], route
