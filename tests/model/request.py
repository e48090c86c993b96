"""A request of a caller as data, and its event for the function that serves its route."""

from __future__ import annotations

import importlib
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from local.settings import ROOT
from local.template import load_template
from robot_brain import environment
from tests.support.bundle import Context, Reply, event

POST = "POST /sessions/{session_id}/messages"
PUT = "PUT /sessions/{session_id}/messages/{seq}"
REMOVE = "DELETE /sessions/{session_id}/messages"
ERASE = "DELETE /sessions/{session_id}"
PATCH = "PATCH /sessions/{session_id}"
GET = "GET /sessions/{session_id}"
LIST = "GET /sessions"
STATS = "GET /stats"
POST_USER = "POST /users"
PUT_USER = "PUT /users/{user_id}"
PATCH_USER = "PATCH /users/{user_id}"
ERASE_USER = "DELETE /users/{user_id}"
GET_USER = "GET /users/{user_id}"
LIST_USERS = "GET /users"
EXPORT = "GET /users/{user_id}/export"
AUDIT = "GET /audit"
DRY_RUN = {"dry_run": "true"}

# The environment of functions that know their callers.
KNOWS_CALLERS = {"AUTH": "jwt", "TENANT_FROM": "fixed"}
ALL_USERS = "robot-brain/all-users"

_TEMPLATE = load_template(ROOT / "template.yaml")


@dataclass(frozen=True)
class Request:
    """One request. `query` and `headers` are as HTTP has them; `body` is the value that becomes JSON.

    `user` is the end user that sends it, and None for a service, which sees all users' sessions. `user_id` is the user
    in the path. `position` says what the cursor of a list of users stands for: the last user of the page before.
    """

    route: str
    session_id: str = ""
    seq: int = 0
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None
    if_match: str | None = None
    if_none_match: str | None = None
    key: str | None = None
    user: str | None = None
    user_id: str = ""
    position: tuple[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that this request has beside those of each request."""
        found = {"if-match": self.if_match, "if-none-match": self.if_none_match, "idempotency-key": self.key}
        return {name: value for name, value in found.items() if value is not None}

    def event(self) -> dict[str, Any]:
        """Return the event that API Gateway makes of this request."""
        made = event("read_session")
        method, _, path = self.route.partition(" ")
        parameters = {"session_id": self.session_id, "seq": str(self.seq), "user_id": self.user_id}
        used = {name: value for name, value in parameters.items() if f"{{{name}}}" in path}
        made["routeKey"] = made["requestContext"]["routeKey"] = self.route
        made["rawPath"] = made["requestContext"]["http"]["path"] = path.format(**used)
        made["requestContext"]["http"]["method"] = method
        made["rawQueryString"] = urlencode(self.query)
        made["pathParameters"] = used
        made["headers"] |= self.headers
        made["requestContext"]["authorizer"] = {"jwt": {"claims": self._claims, "scopes": None}}
        if self.body is not None:
            made["headers"]["content-type"] = "application/json"
            made["body"] = json.dumps(self.body)
        return made

    @property
    def _claims(self) -> dict[str, str]:
        """Return the claims of the caller's token, as the gateway passes them on."""
        scope = f"openid {ALL_USERS}" if self.user is None else "openid"
        return {"iss": "https://issuer.example", "sub": self.user or "service", "scope": scope, "exp": "1795352400"}


def send(request: Request, request_id: str = "") -> Reply:
    """Send a request to the handler of its route in template.yaml. Event and answer pass through JSON, as in Lambda.

    `request_id` is the id that Lambda gives it. Without it, the id is a new one.
    """
    knows_callers = environment.current.variables.get("AUTH") == "jwt"
    assert knows_callers or request.user is None, "without KNOWS_CALLERS every caller sees all"
    answer = handler(request.route)(
        json.loads(json.dumps(request.event())), Context(aws_request_id=request_id or str(uuid.uuid4()))
    )
    answer = json.loads(json.dumps(answer))
    return Reply(answer["statusCode"], answer["headers"], answer.get("body"))


def handler(route: str) -> Any:
    """Return the handler that template.yaml names for a route."""
    (found,) = (each for each in _TEMPLATE.routes if f"{each.method} {each.path}" == route)
    module, _, name = _TEMPLATE.functions[found.function].handler.rpartition(".")
    return getattr(importlib.import_module(module), name)
