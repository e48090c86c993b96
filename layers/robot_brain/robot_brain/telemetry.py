"""Structured logs and EMF metrics, through Powertools for AWS Lambda. Ids and sizes, never a message's text."""

from __future__ import annotations

from functools import cache

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics, MetricUnit

from robot_brain.deadline import Context

NAMESPACE = "RobotBrain"
SERVICE = "robot-brain"


@cache
def logger() -> Logger:
    """Return the logger of this execution environment; POWERTOOLS_LOG_LEVEL sets its level."""
    return Logger(service=SERVICE, location=None)


@cache
def metrics() -> Metrics:
    """Return the metrics of this execution environment; they are written once a request, by `flush`."""
    return Metrics(namespace=NAMESPACE, service=SERVICE)


def note(**fields: object) -> None:
    """Add ids and sizes to the one log line of the running request."""
    logger().append_keys(**fields)


def count(name: str, number: int = 1) -> None:
    """Add to a counter, such as Retries, Replays or ConnectionsOpened."""
    metrics().add_metric(name=name, unit=MetricUnit.Count, value=number)


def took(name: str, seconds: float) -> None:
    """Record how long something took, as milliseconds."""
    metrics().add_metric(name=name, unit=MetricUnit.Milliseconds, value=round(seconds * 1000, 3))


def answered(route: str, status: int, seconds: float, request_size: int, response_size: int, context: Context) -> None:
    """End an HTTP request: its one log line and its one EMF line. Sizes are in characters."""
    note(request_size=request_size, response_size=response_size)
    finished(route, status, seconds, context)


def finished(route: str, status: int | str, seconds: float, context: Context) -> None:
    """End an invocation: write its one log line and its one EMF line, and forget its fields."""
    log = logger()
    failed = status == "failed" or (isinstance(status, int) and status >= 500)
    (log.error if failed else log.info)(
        "answered",
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 3),
        request_id=context.aws_request_id,
        cold_start=_environment.cold,
    )
    took("Milliseconds", seconds)
    if _environment.cold:
        count("ColdStart")
        _environment.cold = False
    metric = metrics()
    metric.add_dimension(name="function_name", value=context.function_name)
    metric.flush_metrics()
    log.clear_state()


class _Environment:
    """What this execution environment knows of itself."""

    cold = True


_environment = _Environment()
