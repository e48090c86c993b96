"""The table of routes: which function an event reaches, and with what."""

import json
from typing import Any

import pytest

from robot_brain.deadline import Deadline
from robot_brain.entry import routes
from robot_brain.errors import DatabaseAwayError
from robot_brain.http.request import Request, Response
from tests.support.bundle import Context, Json, event
from tests.support.log_lines import logged

ONE, OTHER = "GET /one", "POST /other/{session_id}"


def one(request: Request) -> Response:
    """Answer with its own name."""
    return Response(200, json.dumps(["one", request.route]))


def other(request: Request, session_id: str) -> Response:
    """Answer with its own name and what it received."""
    return Response(200, json.dumps(["other", request.route, session_id]))


def asked(route: str, **path: str) -> Json:
    """Return a request of a route."""
    return event("health") | {"routeKey": route, "pathParameters": path}


def answered(handler: Any, sent: Json) -> tuple[int, Any, Json]:
    """Return status, document and log line of an event."""
    with logged() as lines:
        answer = handler(sent, Context())
        (line,) = lines()
    return answer["statusCode"], json.loads(answer["body"]), line


def test_each_route_reaches_its_own_function() -> None:
    handler = routes({ONE: one, OTHER: other})
    assert answered(handler, asked(ONE))[:2] == (200, ["one", ONE])
    assert answered(handler, asked(OTHER, session_id="demo"))[:2] == (200, ["other", OTHER, "demo"])


def test_a_function_receives_the_parameters_of_its_path_by_name_and_the_log_has_them() -> None:
    _, document, line = answered(routes({OTHER: other}), asked(OTHER, session_id="demo"))
    assert document[-1] == line["session_id"] == "demo"
    status, document, line = answered(routes({OTHER: other}), asked(OTHER, session_id="a/b"))
    assert (status, document["errors"][0]["loc"]) == (422, ["path", "session_id"])
    assert "session_id" not in line


def test_a_path_parameter_that_the_route_does_not_name_is_left_alone() -> None:
    assert answered(routes({ONE: one}), asked(ONE, session_id="a/b"))[0] == 200


@pytest.mark.parametrize("route", ["GET /elsewhere", "DELETE /one", "get /one", "POST /other/demo"])
@pytest.mark.parametrize("table", [{ONE: one}, {ONE: one, OTHER: other}])
def test_a_route_that_no_function_serves_is_a_500_whose_line_names_it(table: Any, route: str) -> None:
    status, document, line = answered(routes(table), asked(route))
    assert (status, document["title"]) == (500, "Unexpected event")
    assert (line["error"], line["route"]) == ("UnexpectedEventError", route)
    assert f"has the route {route}, which this function does not serve" in line["reason"]
    assert "frames" not in line


@pytest.mark.parametrize("named", ["$default", "", None])
def test_an_event_that_names_no_route_has_that_of_its_method_and_path(named: str | None) -> None:
    sent = event("health") | {"routeKey": named}
    assert answered(routes({"GET /health": one, ONE: one}), sent)[:2] == (200, ["one", "GET /health"])
    assert answered(routes({ONE: one}), sent)[0] == 500


def scheduled(action: object) -> Json:
    """Return an event of the schedule."""
    return {"source": "robot-brain.schedule", "action": action}


def test_each_action_of_the_schedule_reaches_its_own_function_and_returns_what_that_does() -> None:
    handler = routes({ONE: one}, {"add": lambda _: {"added": 3}, "rest": lambda _: {"skipped": "asleep"}})
    for action, outcome, expected in (("add", "done", {"added": 3}), ("rest", "skipped", {"skipped": "asleep"})):
        with logged() as lines:
            assert handler(scheduled(action), Context()) == expected
            (line,) = lines()
        assert (line["route"], line["status"]) == ("schedule", outcome)
        assert expected.items() <= line.items()


def test_a_scheduled_function_has_the_time_of_its_invocation() -> None:
    given: list[float] = []

    def look(deadline: Deadline) -> Json:
        given.append(deadline.left())
        return {}

    routes({ONE: one}, {"look": look})(scheduled("look"), Context(milliseconds=5_500))
    assert 0 < given[0] <= 5.0


def test_what_a_scheduled_function_raises_fails_the_invocation_and_is_in_its_line() -> None:
    def fail(_: Deadline) -> Json:
        raise DatabaseAwayError("no answer")

    with logged() as lines:
        with pytest.raises(DatabaseAwayError):
            routes({ONE: one}, {"fail": fail})(scheduled("fail"), Context())
        (line,) = lines()
    assert (line["route"], line["status"], line["level"]) == ("schedule", "failed", "ERROR")
    assert (line["error"], line["reason"], line["RefreshFailures"]) == ("DatabaseAwayError", "no answer", [1])


@pytest.mark.parametrize("action", ["", "add ", None, 5, ["add"], {"add": 1}])
def test_an_unknown_action_of_the_schedule_runs_nothing_and_is_answered_as_an_unexpected_event(action: object) -> None:
    ran: list[Deadline] = []

    def add(deadline: Deadline) -> Json:
        ran.append(deadline)
        return {}

    status, document, line = answered(routes({ONE: one}, {"add": add}), scheduled(action))
    assert (status, document["title"], line["error"]) == (500, "Unexpected event", "UnexpectedEventError")
    assert ran == []


def test_a_function_without_a_schedule_runs_no_action() -> None:
    assert answered(routes({ONE: one}), scheduled("refresh_stats"))[0] == 500
