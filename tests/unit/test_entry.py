"""The table of routes: which function an event reaches, and with which arguments."""

import json
from functools import partial
from typing import Any

import pytest

from robot_brain import entry
from robot_brain.caller import Caller
from robot_brain.deadline import Deadline
from robot_brain.errors import DatabaseAwayError
from robot_brain.http.request import Request, Response
from tests.support.bundle import Context, Json, deployed, event
from tests.support.log_lines import logged

routes = partial(entry.routes, open_to_anyone=True)

ONE, OTHER = "GET /one", "POST /other/{session_id}"


def one(request: Request) -> Response:
    """Answer with this function's name."""
    return Response(200, json.dumps(["one", request.route]))


def other(request: Request, session_id: str) -> Response:
    """Answer with this function's name and its argument."""
    return Response(200, json.dumps(["other", request.route, session_id]))


def event_of(route: str, **path: str) -> Json:
    """Return an event of a route."""
    return event("health") | {"routeKey": route, "pathParameters": path}


def call(handler: Any, sent: Json, request_id: str = "request-1") -> tuple[int, Any, Json]:
    """Call the handler with `sent`. Return the status, the document and the log line."""
    with logged() as lines:
        answer = handler(sent, Context(aws_request_id=request_id))
        (line,) = lines()
    return answer["statusCode"], json.loads(answer["body"]), line


def test_each_route_reaches_its_own_function() -> None:
    handler = routes({ONE: one, OTHER: other})
    assert call(handler, event_of(ONE))[:2] == (200, ["one", ONE])
    assert call(handler, event_of(OTHER, session_id="demo"))[:2] == (200, ["other", OTHER, "demo"])


def test_a_function_receives_its_path_parameters_by_name_and_the_log_line_has_them() -> None:
    _, document, line = call(routes({OTHER: other}), event_of(OTHER, session_id="demo"))
    assert document[-1] == line["session_id"] == "demo"
    status, document, line = call(routes({OTHER: other}), event_of(OTHER, session_id="a/b"))
    assert (status, document["errors"][0]["loc"]) == (422, ["path", "session_id"])
    assert "session_id" not in line


def read(request: Request, caller: Caller, user_id: str) -> Response:
    """Answer with the caller and the user that the path names."""
    return Response(200, json.dumps([caller.user_id, user_id]))


def test_the_log_line_has_the_caller_and_the_user_that_the_path_names() -> None:
    handler = entry.routes({"GET /users/{user_id}": read})
    sent = event("edit_user_jwt") | {"routeKey": "GET /users/{user_id}", "pathParameters": {"user_id": "bob"}}
    caller = sent["requestContext"]["authorizer"]["jwt"]["claims"]["sub"]
    with deployed({"DATABASE_URL": "postgresql://app@127.0.0.1:1/none", "AUTH": "jwt"}):
        _, document, line = call(handler, sent)
    assert document == [caller, "bob"]
    assert (line["user_id"], line["named_user_id"]) == (caller, "bob")


def test_the_log_line_names_no_user_of_the_path_that_cannot_be_one() -> None:
    handler = entry.routes({"GET /users/{user_id}": read})
    with deployed({"DATABASE_URL": "postgresql://app@127.0.0.1:1/none"}):
        status, document, line = call(handler, event_of("GET /users/{user_id}", user_id="a%2Fb"))
    assert (status, document["errors"][0]["loc"]) == (422, ["path", "user_id"])
    assert {"user_id", "named_user_id"} & set(line) == set()


@pytest.mark.parametrize("auth", ["iam", "jwt"])
def test_without_a_caller_no_function_is_called(auth: str) -> None:
    called: list[Caller] = []

    def closed(_: Request, caller: Caller) -> Response:
        called.append(caller)
        return Response(200, "{}")

    with deployed({"DATABASE_URL": "postgresql://app@127.0.0.1:1/none", "AUTH": auth}):
        status, document, line = call(entry.routes({ONE: closed}), event_of(ONE))
    assert (status, document["title"], line["error"]) == (403, "Forbidden", "ForbiddenError")
    assert called == []
    with deployed({"DATABASE_URL": "postgresql://app@127.0.0.1:1/none", "TENANT_ID": "acme"}):
        assert call(entry.routes({ONE: closed}), event_of(ONE))[0] == 200
        assert call(entry.routes({ONE: closed}), event_of(ONE), "request-2")[0] == 200
    assert called == [Caller("acme", None, True, request_id=f"request-{number}") for number in (1, 2)]


def test_a_path_parameter_that_the_route_does_not_name_is_ignored() -> None:
    assert call(routes({ONE: one}), event_of(ONE, session_id="a/b"))[0] == 200


@pytest.mark.parametrize("route", ["GET /elsewhere", "DELETE /one", "get /one", "POST /other/demo"])
@pytest.mark.parametrize("table", [{ONE: one}, {ONE: one, OTHER: other}])
def test_a_route_that_no_function_serves_is_a_500_and_the_log_line_names_the_route(table: Any, route: str) -> None:
    status, document, line = call(routes(table), event_of(route))
    assert (status, document["title"]) == (500, "Unexpected event")
    assert (line["error"], line["route"]) == ("UnexpectedEventError", route)
    assert f"has the route {route}, which this function does not serve" in line["reason"]
    assert "frames" not in line


@pytest.mark.parametrize("named", ["$default", "", None])
def test_the_route_of_an_event_that_names_no_route_is_its_method_and_path(named: str | None) -> None:
    sent = event("health") | {"routeKey": named}
    assert call(routes({"GET /health": one, ONE: one}), sent)[:2] == (200, ["one", "GET /health"])
    assert call(routes({ONE: one}), sent)[0] == 500


def scheduled(action: object) -> Json:
    """Return an event of the schedule."""
    return {"source": "robot-brain.schedule", "action": action}


def test_each_scheduled_action_reaches_its_own_function_and_returns_that_functions_result() -> None:
    handler = routes({ONE: one}, {"add": lambda _: {"added": 3}, "rest": lambda _: {"skipped": "asleep"}})
    for action, outcome, expected in (("add", "done", {"added": 3}), ("rest", "skipped", {"skipped": "asleep"})):
        with logged() as lines:
            assert handler(scheduled(action), Context()) == expected
            (line,) = lines()
        assert (line["route"], line["status"]) == ("schedule", outcome)
        assert expected.items() <= line.items()


def test_a_scheduled_function_has_the_deadline_of_its_invocation() -> None:
    seconds_left: list[float] = []

    def look(deadline: Deadline) -> Json:
        seconds_left.append(deadline.left())
        return {}

    routes({ONE: one}, {"look": look})(scheduled("look"), Context(milliseconds=5_500))
    assert 0 < seconds_left[0] <= 5.0


def test_an_error_of_a_scheduled_function_fails_the_invocation_and_is_in_its_log_line() -> None:
    def fail(_: Deadline) -> Json:
        raise DatabaseAwayError("no answer")

    with logged() as lines:
        with pytest.raises(DatabaseAwayError):
            routes({ONE: one}, {"fail": fail})(scheduled("fail"), Context())
        (line,) = lines()
    assert (line["route"], line["status"], line["level"]) == ("schedule", "failed", "ERROR")
    assert (line["error"], line["reason"], line["RefreshFailures"]) == ("DatabaseAwayError", "no answer", [1])


@pytest.mark.parametrize("action", ["", "add ", None, 5, ["add"], {"add": 1}])
def test_an_unknown_scheduled_action_runs_nothing_and_is_an_unexpected_event(action: object) -> None:
    ran: list[Deadline] = []

    def add(deadline: Deadline) -> Json:
        ran.append(deadline)
        return {}

    status, document, line = call(routes({ONE: one}, {"add": add}), scheduled(action))
    assert (status, document["title"], line["error"]) == (500, "Unexpected event", "UnexpectedEventError")
    assert ran == []


def test_a_function_without_a_schedule_runs_no_action() -> None:
    assert call(routes({ONE: one}), scheduled("refresh_stats"))[0] == 500
