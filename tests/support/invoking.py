"""The right execute-api:Invoke: the resources that requests ask for, and what policies allow."""

import re
from collections.abc import Iterator
from typing import Any

from local.template import Route

API = "arn:aws:execute-api:eu-central-1:123456789012:abcdefghij/$default/"
# Names of sessions that look like parts of a path. A session's id has no slash.
SESSIONS = ("demo", "a b", "messages", "POST", "GET", "$default", "*", "sessions")


def requested(route: Route) -> Iterator[str]:
    """Yield the resource of some requests for a route, as the gateway gives it to IAM."""
    for session in SESSIONS:
        yield API + route.method + route.path.replace("{session_id}", session).replace("{seq}", "7")


def allows(resource: str, *policies: dict[str, Any]) -> bool:
    """Return whether these policies together allow a request, as IAM decides: a Deny wins."""
    effects = {
        statement["Effect"]
        for policy in policies
        for statement in policy["Statement"]
        for pattern in statement["Resource"]
        if re.fullmatch(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), resource, re.DOTALL)
    }
    return effects == {"Allow"}
