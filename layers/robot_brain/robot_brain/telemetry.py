"""One line for each request, with log fields and metrics: ids and sizes, never a message's text.

A request's fields and metrics are collected here. When it ends they become one document in CloudWatch's embedded metric
format (EMF). Powertools' Metrics makes the document, with the log fields as its metadata. CloudWatch reads the metrics,
Logs Insights the fields. A second line by Powertools' Logger would take as long as the request's validation, and AWS
would bill it.
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

Other lines, such as advice for the operator, go through the Logger.
"""

from __future__ import annotations

import json
import logging

from aws_lambda_powertools.logging import Logger
from aws_lambda_powertools.metrics import Metrics

from robot_brain import environment
from robot_brain.deadline import Context
from robot_brain.settings import log_settings

NAMESPACE = "RobotBrain"
SERVICE = "robot-brain"

# One encoder for all lines, because making an encoder takes as long as encoding a line.
_json = json.JSONEncoder(separators=(",", ":"), default=str).encode


def logger() -> Logger:
    """Return the logger of this execution environment.

    If the log's variables are wrong, log one warning and use the level INFO. With such variables the Logger itself
    would raise at each line.
    """
    return environment.current.made(_new_logger)


def _new_logger() -> Logger:
    found = log_settings()
    made = Logger(service=SERVICE, location=None, level=found.level, sampling_rate=found.sample_rate)
    if found.wrong:
        made.warning(
            "a variable of the log has an unknown value; use DEBUG, INFO, WARNING, ERROR or CRITICAL as a level",
            extra={"variables": found.wrong},
        )
    return made


def _metrics() -> Metrics:
    return Metrics(namespace=NAMESPACE, service=SERVICE)


def note(**fields: object) -> None:
    """Add ids and sizes to the one line of the running request."""
    environment.current.fields.update(fields)


def count(name: str, number: int = 1) -> None:
    """Add to a counter, such as Retries, Replays or ConnectionsOpened."""
    _measure(name, "Count", number)


def took(name: str, seconds: float) -> None:
    """Record how long something took, as milliseconds."""
    _measure(name, "Milliseconds", round(seconds * 1000, 3))


def _measure(name: str, unit: str, value: float) -> None:
    values = environment.current.measures.setdefault(name, {"Unit": unit, "Value": []})["Value"]
    assert isinstance(values, list)
    values.append(value)


def answered(route: str, status: int, seconds: float, request_size: int, response_size: int, context: Context) -> None:
    """Write the one line of an HTTP request when it ends. Sizes are in characters."""
    note(request_size=request_size, response_size=response_size)
    finished(route, status, seconds, context)


def finished(route: str, status: int | str, seconds: float, context: Context) -> None:
    """Write the one line of an invocation when it ends, and clear its fields and metrics.

    If POWERTOOLS_LOG_LEVEL is above the line's level, only the metrics are written.
    """
    took("Milliseconds", seconds)
    now = environment.current
    if now.cold:
        count("ColdStart")
    failed = status == "failed" or (isinstance(status, int) and status >= 500)
    fields: dict[str, object] = {}
    if failed or logger().log_level <= logging.INFO:
        fields = {
            "level": "ERROR" if failed else "INFO",
            "message": "answered",
            "route": route,
            "status": status,
            "milliseconds": round(seconds * 1000, 3),
            "request_id": context.aws_request_id,
            "cold_start": now.cold,
            **now.fields,
        }
    dimensions = {"function_name": context.function_name, "service": SERVICE}
    metrics = now.made(_metrics)
    line = metrics.serialize_metric_set(metrics=now.measures, dimensions=dimensions, metadata=fields)
    print(_json(line))  # noqa: T201  # CloudWatch reads stdout
    now.cold, now.fields, now.measures = False, {}, {}
