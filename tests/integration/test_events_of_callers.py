"""The events of callers: each file of events/ with an authorizer is served, and each of events/forbidden/ is 403."""

import json
from pathlib import Path

import pytest

from tests.integration.edge import assert_problem, function_of
from tests.support.bundle import EVENTS, deployed, event
from tests.support.servers.databases import Database

# The tenant of the events: a claim, or an account and a role.
TENANT_FROM = {"jwt": "claim:tenant", "iam": "iam:role"}
# No server listens there, so a request that got as far as the database would be 503.
UNREACHABLE = "postgresql://robot_brain_app:example@127.0.0.1:1/robot_brain"
STATUS = {"edit_user_jwt": 201, "write_message_iam": 201, "write_message_jwt": 201}


def auth_of(path: Path) -> str:
    """Return the AUTH that an event is for: `jwt` or `iam` is a part of its file's name."""
    (auth,) = set(path.stem.split("_")) & set(TENANT_FROM)
    return auth


WITH_AUTHORIZER = [path for path in sorted(EVENTS.glob("*.json")) if '"authorizer"' in path.read_text()]
FORBIDDEN = sorted((EVENTS / "forbidden").glob("*.json"))
WITHOUT_AUTHORIZER = [
    path.stem
    for path in sorted(EVENTS.glob("*.json"))
    if path not in WITH_AUTHORIZER and "routeKey" in json.loads(path.read_text())
]


def stem(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("database", ["embedded"], indirect=True)
@pytest.mark.parametrize("path", WITH_AUTHORIZER, ids=stem)
def test_an_event_with_an_authorizer_is_served_for_its_caller(database: Database, path: Path) -> None:
    auth = auth_of(path)
    variables = {"DATABASE_URL": database.app_url, "AUTH": auth, "TENANT_FROM": TENANT_FROM[auth]}
    with deployed(variables) as functions:
        assert functions.call("write_message", event(f"write_message_{auth}")).status == 201
        sent = event(path.stem)
        reply = functions.call(function_of(sent), sent)
        assert reply.status == STATUS.get(path.stem, 200), reply.body
        if path.stem == "read_session_list_jwt":
            claims = sent["requestContext"]["authorizer"]["jwt"]["claims"]
            assert [(each["id"], each["user_id"]) for each in reply.json["sessions"]] == [("demo", claims["sub"])]


@pytest.mark.parametrize("path", FORBIDDEN, ids=stem)
def test_an_event_of_the_folder_forbidden_is_403_before_the_database_is_called(path: Path) -> None:
    auth = auth_of(path)
    sent = event(f"forbidden/{path.stem}")
    with deployed({"DATABASE_URL": UNREACHABLE, "AUTH": auth, "TENANT_FROM": TENANT_FROM[auth]}) as functions:
        reply = functions.call(function_of(sent), sent)
        assert_problem(reply, 403, functions.context.aws_request_id)
        assert reply.json["title"] == "Forbidden"


@pytest.mark.parametrize("auth", TENANT_FROM)
@pytest.mark.parametrize("name", WITHOUT_AUTHORIZER)
def test_with_auth_an_event_without_authorizer_is_403_unless_it_asks_for_health(name: str, auth: str) -> None:
    sent = event(name)
    with deployed({"DATABASE_URL": UNREACHABLE, "AUTH": auth}) as functions:
        reply = functions.call(function_of(sent), sent)
    assert reply.status == (200 if sent["routeKey"].endswith(" /health") else 403), reply.body
