"""Invocations by EventBridge Scheduler, which are no HTTP requests: they succeed or they fail."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

from robot_brain import telemetry
from robot_brain.deadline import Context, Deadline, deadline_of
from robot_brain.errors import RobotBrainError

__all__ = ["Answer", "Context", "Event", "is_scheduled", "task"]

SOURCE = "robot-brain.schedule"
ACTION = "refresh_stats"

Event = dict[str, Any]
Answer = dict[str, Any]


def is_scheduled(event: object) -> bool:
    """Return whether the schedule of template.yaml sent this event, which may be any JSON."""
    return isinstance(event, dict) and event.get("source") == SOURCE and event.get("action") == ACTION


def task(function: Callable[[Deadline], str]) -> Callable[[Context], Answer]:
    """Make a scheduled task of a function that returns JSON text. What it raises is logged and raised again.

    A text with a member `skipped` says that there was a reason to do nothing.
    """

    @wraps(function)
    def run(context: Context) -> Answer:
        started = time.monotonic()
        outcome = "failed"
        try:
            answer: Answer = json.loads(function(deadline_of(context)))
            outcome = "skipped" if "skipped" in answer else "done"
            telemetry.note(**answer)
            return answer
        except RobotBrainError as error:
            telemetry.count("RefreshFailures")
            telemetry.note(error=type(error).__name__, reason=str(error))
            raise
        finally:
            telemetry.finished("schedule", outcome, time.monotonic() - started, context)

    return run
