"""Lambda handlers: each one is a table of routes for HTTP requests and of actions for the schedule's events.

A request always gets an answer. If it fails, the answer says what failed. An event of the schedule succeeds or fails.
"""

from __future__ import annotations

import gc
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from robot_brain import telemetry
from robot_brain.deadline import Context, Deadline, deadline_of
from robot_brain.errors import RobotBrainError, UnexpectedEventError
from robot_brain.http.problems import problem
from robot_brain.http.request import JSON, Request, Response

SOURCE = "robot-brain.schedule"

Answer = dict[str, Any]
Handler = Callable[[Any, Context], Answer]


def routes(
    endpoints: Mapping[str, Callable[..., Response]],
    schedule: Mapping[str, Callable[[Deadline], Answer]] | None = None,
    *,
    open_to_anyone: bool = False,
) -> Handler:
    """Return a Lambda handler that calls the function of an event's route.

    `endpoints` has a function for each route, such as `GET /sessions/{session_id}`. The function receives the Request,
    the Caller, and the path's parameters by name. Without a valid caller it is not called. With `open_to_anyone` the
    functions receive no Caller, and anyone may call them.
    `schedule` has a function for each action. The function returns a JSON object. The object has a member `skipped` if
    the function had a reason to do nothing.

    An exception of an endpoint becomes an answer. An exception of a scheduled function fails the invocation. Each
    invocation writes one line with its log fields and metrics.
    """
    table = {route: (function, _names(route)) for route, function in endpoints.items()}
    actions = schedule or {}

    def handler(event: Any, context: Context) -> Answer:
        if actions and isinstance(event, dict) and event.get("source") == SOURCE:
            action = event.get("action")
            if isinstance(action, str) and action in actions:
                return _run(actions[action], context)
        started = time.monotonic()
        route, size = "unknown", 0
        try:
            request = Request.parse(event, context)
            route, size = request.route, len(request.body)
            if route not in table:
                raise UnexpectedEventError(
                    f"the event has the route {route}, which this function does not serve: see template.yaml for the "
                    "function that does"
                )
            function, names = table[route]
            known = () if open_to_anyone else (request.caller(),)
            response = function(request, *known, **{name: request.path_parameter(name) for name in names})
            status, body = response.status, response.body
            headers = {"content-type": JSON, **response.headers} if body is not None else dict(response.headers)
        except Exception as error:
            status, headers, body = problem(error, context.aws_request_id)
            _explain(error, status)
        telemetry.answered(route, status, time.monotonic() - started, size, len(body or ""), context)
        answer: Answer = {"statusCode": status, "headers": headers}
        if body is not None:
            answer["body"] = body
        return answer

    if not gc.isenabled():
        # Imported modules stay in memory, so the collector never needs to examine them again.
        gc.freeze()
        gc.enable()
    return handler


def _names(route: str) -> list[str]:
    """Return the names of the parameters in a route's path."""
    return [part.partition("}")[0] for part in route.split("{")[1:]]


def _run(function: Callable[[Deadline], Answer], context: Context) -> Answer:
    """Run a scheduled function. Log its error, if any, and raise it again."""
    started = time.monotonic()
    outcome = "failed"
    try:
        answer = function(deadline_of(context))
        outcome = "skipped" if "skipped" in answer else "done"
        telemetry.note(**answer)
        return answer
    except RobotBrainError as error:
        telemetry.count("RefreshFailures")
        telemetry.note(error=type(error).__name__, reason=str(error))
        raise
    finally:
        telemetry.finished("schedule", outcome, time.monotonic() - started, context)


def _explain(error: Exception, status: int) -> None:
    """Add to the log the kind of error, the reason for the operator, and for a 500 the stack."""
    telemetry.note(error=type(error).__name__)
    if status == 403 or status >= 500:
        telemetry.note(reason=_error_text(error))
    if status == 500 and not isinstance(error, UnexpectedEventError):
        # Frames contain only code. The message of an unforeseen exception may quote a turn, so it is left out.
        telemetry.note(frames=traceback.format_tb(error.__traceback__))


def _error_text(error: Exception) -> str:
    """Return the message of one of our own errors, which quotes no content. Return the type of any other error."""
    return str(error) if type(error).__module__.startswith("robot_brain.") else type(error).__name__
