"""The policies of docs/deploy.md give a caller exactly the routes of template.yaml that the document names."""

import json
from typing import Any

import pytest

from local.settings import ROOT
from local.template import Route, load_template
from tests.e2e.documented_commands import blocks
from tests.support.invoking import API, allows, requested

ROUTES = load_template(ROOT / "template.yaml").routes
POLICIES: list[dict[str, Any]] = [
    json.loads(block.text)
    for block in blocks(ROOT / "docs" / "deploy.md")
    if block.kind == "json" and "execute-api" in block.text
]
EVERYTHING = {"Statement": [{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": [API + "*"]}]}


def test_the_document_has_one_policy_that_allows_and_one_that_denies() -> None:
    assert [[each["Effect"] for each in policy["Statement"]] for policy in POLICIES] == [["Allow"], ["Deny"]]
    for policy in POLICIES:
        assert policy["Version"] == "2012-10-17"
        assert [each["Action"] for each in policy["Statement"]] == ["execute-api:Invoke"]


@pytest.mark.parametrize("chosen", [POLICIES[:1], [EVERYTHING, *POLICIES[1:]]], ids=["allowed", "all but denied"])
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_an_append_only_caller_may_append_and_read_and_change_nothing(
    route: Route, chosen: list[dict[str, Any]]
) -> None:
    if route.method == "HEAD":
        # HEAD /health is open to anyone, so IAM is not asked.
        return
    appends_or_reads = route.method == "GET" or (route.method, route.path) == (
        "POST",
        "/sessions/{session_id}/messages",
    )
    for resource in requested(route):
        assert allows(resource, *chosen) is appends_or_reads, resource


def test_the_routes_that_change_or_remove_what_is_stored_are_denied_and_the_only_other_post_appends() -> None:
    resources = {resource.removeprefix(API) for resource in POLICIES[1]["Statement"][0]["Resource"]}
    methods = {each.removesuffix("/*") for each in resources if each.endswith("/*")}
    assert {route.method for route in ROUTES} - methods == {"GET", "HEAD", "POST"}
    assert [route.path for route in ROUTES if route.method == "POST" and f"POST{route.path}" not in resources] == [
        "/sessions/{session_id}/messages"
    ]
