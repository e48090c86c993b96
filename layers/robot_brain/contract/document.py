"""Build an OpenAPI 3.1 document from the contract."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from contract import (
    database_health,
    edit_session,
    edit_user,
    health,
    problems,
    read_audit,
    read_session,
    read_user,
    search,
    stats,
    write_message,
)
from contract.api import INFO, SECURITY, SECURITY_SCHEMES, SERVERS
from contract.json_schema import Json, described, json_schema, members
from contract.links import links_of
from contract.route import Answer, Route
from robot_brain.errors import InvalidRequestError, RobotBrainError
from robot_brain.http import json_body
from robot_brain.http.problems import CONTENT_TYPE, problem

ROUTES: tuple[Route, ...] = (
    *write_message.ROUTES,
    *read_session.ROUTES,
    *edit_session.ROUTES,
    *read_user.ROUTES,
    *edit_user.ROUTES,
    *read_audit.ROUTES,
    *search.ROUTES,
    *stats.ROUTES,
    *health.ROUTES,
    *database_health.ROUTES,
)

_JSON = "application/json"
_WIDTH = 120
# A parameter's text as a value of its type.
_TYPED: dict[str, Callable[[str], Any]] = {"integer": int, "boolean": lambda text: text == "true"}
_REQUEST_ID = "4b1f5f3e-1c53-4e0b-9c43-6f3b2a0d9e57"


def written(value: Any, indent: int = 0, before: int = 0) -> str:
    """Return JSON text. An object or array is on one line if it fits, so that a change gives a small diff."""
    line = json.dumps(value, ensure_ascii=False)
    if before + len(line) < _WIDTH or not isinstance(value, dict | list):
        return line
    inner = "\n" + " " * (indent + 2)
    if isinstance(value, list):
        parts, brackets = [written(each, indent + 2, indent + 2) for each in value], "[]"
    else:
        labels = {f"{json.dumps(key)}: ": each for key, each in value.items()}
        parts = [label + written(each, indent + 2, indent + 2 + len(label)) for label, each in labels.items()]
        brackets = "{}"
    return f"{brackets[0]}{inner}{f',{inner}'.join(parts)}{inner[:-2]}{brackets[1]}"


def document(events: Path) -> Json:
    """Return the document. The requests in the folder `events` are its examples."""
    return _Document(_requests(events)).whole()


def _requests(events: Path) -> dict[str, dict[str, Json]]:
    """Return the valid requests by route and file name."""
    found: dict[str, dict[str, Json]] = {}
    for path in sorted(events.glob("*.json")):
        event = json.loads(path.read_text())
        if "routeKey" in event:
            found.setdefault(event["routeKey"], {})[path.stem] = event
    return found


class _Document:
    """Builds the document and collects its components."""

    def __init__(self, requests: dict[str, dict[str, Json]]) -> None:
        self._requests = requests
        self._schemas: Json = {}
        self._examples: Json = {}

    def whole(self) -> Json:
        """Return the document."""
        paths: dict[str, Json] = {}
        for route in ROUTES:
            paths.setdefault(route.path, {})[route.method.lower()] = self._operation(route)
        return {
            "openapi": "3.1.0",
            "info": INFO,
            "servers": SERVERS,
            "security": SECURITY,
            "paths": paths,
            "components": {
                "schemas": dict(sorted(self._schemas.items())),
                "examples": dict(sorted(self._examples.items())),
                "securitySchemes": SECURITY_SCHEMES,
            },
        }

    def _operation(self, route: Route) -> Json:
        found: Json = {"operationId": route.name, "summary": route.summary, "description": route.description}
        if route.is_open:
            found["security"] = []
        events = self._requests[f"{route.method} {route.path}"]
        if declared := self._parameters(route, events):
            found["parameters"] = declared
        if route.bodies:
            examples = {name: {"value": body} for name, body in _bodies(events).items()}
            found["requestBody"] = {
                "required": True,
                "content": {_JSON: {"schema": self._any_of(route.bodies), "examples": examples}},
            }
        found["responses"] = self._responses(route)
        return found

    def _parameters(self, route: Route, events: dict[str, Json]) -> list[Json]:
        found = []
        for form, place in ((route.path_parameters, "path"), (route.query, "query"), (route.headers, "header")):
            for name, schema, required in members(form):
                examples = _examples_of(name, place, schema, events)
                found.append({"name": name, "in": place, "required": required, **described(schema)} | examples)
        return found

    def _responses(self, route: Route) -> Json:
        gateway = problems.gateway_answers(route)
        statuses = {answer.status for answer in route.answers} | {kind.status for kind in route.errors} | set(gateway)
        return {str(status): self._response(route, status, gateway.get(status)) for status in sorted(statuses)}

    def _response(self, route: Route, status: int, gateway: tuple[str, str] | None) -> Json:
        """Return every form of a route's status: an answer, errors, and the gateway's message with its reason."""
        answers = [answer for answer in route.answers if answer.status == status]
        kinds = [kind for kind in route.errors if kind.status == status]
        descriptions = [answer.description for answer in answers]
        descriptions += dict.fromkeys(f"{kind.title}: {kind.summary()}" for kind in kinds)
        headers: Json = {}
        for form in [problems.headers_of(status) if kinds else None, *(answer.headers for answer in answers)]:
            headers |= self._headers(form)
        if gateway:
            descriptions.append(f"Answered by the gateway: {gateway[1]}")
            # The gateway sends none of our headers.
            headers = {name: header | {"required": False} for name, header in headers.items()}
            headers |= self._headers(problems.gateway_headers_of(status))
        found: Json = {"description": "\n".join(descriptions)}
        if headers:
            found["headers"] = headers
        # An answer to HEAD never has a body.
        if route.method != "HEAD" and (content := self._contents(route, answers, kinds, gateway)):
            found["content"] = content
        if links := links_of(route.name, status):
            found["links"] = links
        return found

    def _contents(
        self,
        route: Route,
        answers: list[Answer],
        kinds: list[type[RobotBrainError]],
        gateway: tuple[str, str] | None,
    ) -> Json:
        content: Json = {}
        for answer in answers:
            if answer.body is not None:
                content[_JSON] = self._content(answer)
        if kinds:
            content[CONTENT_TYPE] = self._problems(route, kinds)
        if gateway:
            self._add_gateway(content, gateway[0])
        return content

    def _content(self, answer: Answer) -> Json:
        return {
            "schema": self._schema(answer.body),
            "examples": {name: {"value": value} for name, value in answer.examples.items()},
        }

    def _problems(self, route: Route, kinds: list[type[RobotBrainError]]) -> Json:
        examples: Json = {}
        for kind in kinds:
            body = json.loads(problem(problems.example_of(kind, route), _REQUEST_ID)[2])
            name = kind.__name__.removesuffix("Error")
            if issubclass(kind, InvalidRequestError):
                name = f"{name}-{route.name}"
            self._examples[name] = {"summary": body["title"], "value": body}
            examples[name] = {"$ref": f"#/components/examples/{name}"}
        return {"schema": self._any_of(dict.fromkeys(map(problems.body_of, kinds))), "examples": examples}

    def _add_gateway(self, content: Json, message: str) -> None:
        name = "Gateway-" + message.replace(" ", "")
        self._examples[name] = {"summary": message, "value": {"message": message}}
        schema = self._schema(problems.GatewayMessage)
        into = content.setdefault(_JSON, {"schema": schema, "examples": {}})
        if into["schema"] != schema:
            into["schema"] = {"anyOf": [into["schema"], schema]}
        into["examples"][name] = {"$ref": f"#/components/examples/{name}"}

    def _headers(self, form: Any) -> Json:
        return {name: {"required": required, **described(schema)} for name, schema, required in members(form)}

    def _any_of(self, forms: Iterable[Any]) -> Json:
        schemas = [self._schema(form) for form in forms]
        return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}

    def _schema(self, form: Any) -> Json:
        """Return a reference to the schema of a form, and add the schemas to the components.

        Raises ValueError if two forms have one name.
        """
        schema, definitions = json_schema(form)
        for name, definition in definitions.items():
            if self._schemas.setdefault(name, definition) != definition:
                raise ValueError(f"two forms have the name {name}")
        return schema


def _bodies(events: dict[str, Json]) -> Json:
    """Return the distinct bodies of requests, each under the name of the first event with it."""
    found: Json = {}
    for name, event in events.items():
        body = json_body.parse(event["body"], event["isBase64Encoded"])
        if body not in found.values():
            found[name] = body
    return found


def _examples_of(name: str, place: str, schema: Json, events: dict[str, Json]) -> Json:
    """Return the distinct values of a parameter: one in the schema, and each under the name of an event with it."""
    found: dict[str, Any] = {"declared": schema.pop("example")} if "example" in schema else {}
    for event_name, event in events.items():
        values = {
            "path": event.get("pathParameters") or {},
            "query": dict(parse_qsl(event["rawQueryString"])),
            "header": event["headers"],
        }[place]
        value = values.get(name.lower())
        if value is not None and value not in found.values():
            found[event_name] = value
    typed = {key: _TYPED.get(schema.get("type", ""), str)(value) for key, value in found.items()}
    return {"examples": {key: {"value": value} for key, value in typed.items()}} if typed else {}
